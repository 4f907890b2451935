#include "last_resort.h"

#include <unistd.h>

#include <new>
#include <string_view>

#include "cenote/base/format.h"

namespace cenote::cli {
namespace {

// Without the heap, and without destructors that might want some of it.
[[noreturn]] void report_no_memory() {
  constexpr std::string_view kLine =
      "cenote: out of memory: allow more ('ulimit -v', or MemoryMax= of the service), or let an engine use less "
      "(server.cache, server.targets); stored data is safe\n";
  static_cast<void>(!::write(STDERR_FILENO, kLine.data(), kLine.size()));
  ::_exit(1);
}

}  // namespace

void end_when_out_of_memory() { std::set_new_handler(report_no_memory); }

Error failure_of(const std::exception& exception) {
  return Error(
      Code::kInternal,
      fmt::format("ended by '{}': if limits are low ('ulimit -a'), allow more; else report it", exception.what()));
}

}  // namespace cenote::cli
