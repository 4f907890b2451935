#include "harness/isolate.h"

#include <fcntl.h>
#include <poll.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <optional>
#include <string_view>

#include "cenote/base/format.h"
#include "harness/machine.h"

namespace cenote::bench {
namespace {

void write_all(int fd, std::string_view text) {
  while (!text.empty()) {
    const ssize_t written = ::write(fd, text.data(), text.size());
    if (written < 0 && errno == EINTR) continue;
    if (written <= 0) return;
    text.remove_prefix(static_cast<std::size_t>(written));
  }
}

// The first byte says whether a value or a message follows.
[[noreturn]] void run_child(const std::function<Result<std::string>()>& work, int fd) {
  ::prctl(PR_SET_PDEATHSIG, SIGKILL);  // an interrupted parent leaves nothing running
  ::setpgid(0, 0);                     // so that its own children can be ended with it
  const Result<std::string> outcome = work();
  write_all(fd, outcome ? "+" + *outcome : "-" + outcome.error().to_string());
  std::fflush(nullptr);
  ::_exit(0);  // no destructors of what the parent still owns
}

// Text until the other end closes; nullopt when the time is up.
std::optional<std::string> read_until(int fd, Instant deadline) {
  std::string text;
  std::array<char, 65536> buffer{};
  while (true) {
    const auto left = std::chrono::duration_cast<std::chrono::milliseconds>(deadline - now()).count();
    if (left <= 0) return std::nullopt;
    pollfd waiting{.fd = fd, .events = POLLIN, .revents = 0};
    const int ready = ::poll(&waiting, 1, static_cast<int>(left));
    if (ready < 0 && errno == EINTR) continue;
    if (ready <= 0) return std::nullopt;
    const ssize_t bytes = ::read(fd, buffer.data(), buffer.size());
    if (bytes <= 0) return text;
    text.append(buffer.data(), static_cast<std::size_t>(bytes));
  }
}

}  // namespace

Result<std::string> run_isolated(const std::function<Result<std::string>()>& work, Duration limit) {
  std::array<int, 2> pipe_ends{};
  if (::pipe2(pipe_ends.data(), O_CLOEXEC) != 0) return fail(Code::kResourceExhausted, "no pipe for a child process");
  std::fflush(nullptr);  // or the child would print it again
  const pid_t child = ::fork();
  if (child < 0) return fail(Code::kResourceExhausted, "no child process");
  if (child == 0) {
    ::close(pipe_ends[0]);
    run_child(work, pipe_ends[1]);
  }
  ::setpgid(child, child);
  ::close(pipe_ends[1]);
  const std::optional<std::string> text = read_until(pipe_ends[0], now() + limit);
  ::close(pipe_ends[0]);
  ::kill(-child, SIGKILL);  // it has answered, or it never will
  int status = 0;
  ::waitpid(child, &status, 0);
  if (!text) return failf(Code::kDeadlineExceeded, "not done after {} s", limit / std::chrono::seconds(1));
  if (text->empty()) return failf(Code::kInternal, "the process ended without an answer (status {:#x})", status);
  if (text->front() == '-') return fail(Code::kInternal, text->substr(1));
  return text->substr(1);
}

}  // namespace cenote::bench
