#include "daemon.h"

#include <fcntl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstring>
#include <utility>

#include "cenote/base/exit_code.h"
#include "cenote/base/format.h"

namespace cenote::cli {
namespace {

/// In the caller's process: waits for the one byte, or for the end of the other.
[[noreturn]] void wait_and_end(int pipe, pid_t child) {
  char ready = 0;
  ssize_t got = 0;
  do {
    got = ::read(pipe, &ready, 1);
  } while (got < 0 && errno == EINTR);
  if (got == 1) ::_exit(static_cast<int>(ExitCode::kOk));
  int status = 0;
  while (::waitpid(child, &status, 0) < 0 && errno == EINTR) {
  }
  ::_exit(WIFEXITED(status) ? WEXITSTATUS(status) : static_cast<int>(ExitCode::kFailure));
}

}  // namespace

Result<Daemon> Daemon::begin() {
  std::array<int, 2> ends{-1, -1};
  if (::pipe2(ends.data(), O_CLOEXEC) != 0)
    return failf(Code::kIoError, "cannot make a pipe: {}", std::strerror(errno));
  const pid_t child = ::fork();
  if (child < 0) return failf(Code::kResourceExhausted, "cannot start another process: {}", std::strerror(errno));
  if (child > 0) {
    ::close(ends[1]);
    wait_and_end(ends[0], child);
  }
  ::close(ends[0]);
  ::setsid();
  return Daemon(ends[1]);
}

Daemon::Daemon(Daemon&& other) noexcept : pipe_(std::exchange(other.pipe_, -1)) {}

Daemon::~Daemon() {
  if (pipe_ >= 0) ::close(pipe_);
}

void Daemon::ready() {
  // The directory may be one that somebody wants to unmount.
  if (::chdir("/") != 0) return;
  const int nothing = ::open("/dev/null", O_RDWR | O_CLOEXEC);
  if (nothing >= 0) {
    for (const int stream : {STDIN_FILENO, STDOUT_FILENO, STDERR_FILENO}) ::dup2(nothing, stream);
    ::close(nothing);
  }
  const char byte = 1;
  static_cast<void>(::write(pipe_, &byte, 1) == 1);
  ::close(std::exchange(pipe_, -1));
}

}  // namespace cenote::cli
