#pragma once

#include <string>

#include "harness/comparison.h"

namespace cenote::bench {

/// What whole processes take, by the `cenote` program at `binary`: CPU and memory of an idle engine with an empty
/// store, memory of a client at work, and the time until `cenote dev` is ready.
void add_process_rows(Suite& suite, const std::string& binary);

}  // namespace cenote::bench
