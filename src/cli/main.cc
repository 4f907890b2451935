#include <sys/prctl.h>

#include <csignal>
#include <cstdlib>

#include "command_line.h"
#include "last_resort.h"

namespace {

std::optional<std::string> environment(std::string_view name) {
  const char* value = std::getenv(std::string(name).c_str());
  return value == nullptr || *value == '\0' ? std::nullopt : std::optional<std::string>(value);
}

}  // namespace

int main(int argc, char** argv) {
  // One that begins anew was started by another name.
  ::prctl(PR_SET_NAME, "cenote");
  cenote::cli::end_when_out_of_memory();
  // A reader that has gone away ends in a failed write, which is reported like any other error.
  std::signal(SIGPIPE, SIG_IGN);
  // So is a file that a limit keeps from growing: LimitFSIZE of systemd, ulimit -f.
  std::signal(SIGXFSZ, SIG_IGN);
  return cenote::cli::run_command_line(argc, argv, environment);
}
