#pragma once

#include <functional>
#include <string>

#include "cenote/base/error.h"
#include "cenote/base/time.h"

namespace cenote::bench {

/// Runs `work` in a forked process and returns the text it returned: what one comparison does to threads, memory and
/// CPU affinity, or its crash, does not reach the next. Its stdout and stderr are this process's. The process and all
/// it started are killed after `limit`. The caller must be single-threaded.
Result<std::string> run_isolated(const std::function<Result<std::string>()>& work, Duration limit);

}  // namespace cenote::bench
