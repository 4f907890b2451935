#include "open_files.h"

#include <sys/resource.h>

namespace cenote::cli {
namespace {

rlimit ask() {
  rlimit limit{};
  ::getrlimit(RLIMIT_NOFILE, &limit);
  return limit;
}

}  // namespace

std::uint64_t open_files_limit() { return ask().rlim_max; }

std::uint64_t raise_open_files_limit() {
  rlimit limit = ask();
  limit.rlim_cur = limit.rlim_max;
  // Everybody may do this much; what is refused all the same shows in the answer.
  ::setrlimit(RLIMIT_NOFILE, &limit);
  return ask().rlim_cur;
}

}  // namespace cenote::cli
