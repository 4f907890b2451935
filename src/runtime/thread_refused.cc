#include "cenote/runtime/thread_refused.h"

#include "cenote/base/format.h"

namespace cenote {

Error thread_refused(const std::system_error& refused) {
  return Error(
      Code::kResourceExhausted,
      fmt::format("the system allows no further thread ({}): allow more processes ('ulimit -u', or TasksMax= of "
                  "the service) or address space ('ulimit -v')",
                  refused.code().message()));
}

}  // namespace cenote
