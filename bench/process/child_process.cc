#include "process/child_process.h"

#include <fcntl.h>
#include <poll.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <csignal>
#include <system_error>

#include "cenote/base/format.h"
#include "harness/machine.h"

namespace cenote::bench {
namespace {

// In the forked process, where other threads may have held locks: system calls only.
[[noreturn]] void run_program(const std::vector<char*>& words, int output) {
  ::prctl(PR_SET_PDEATHSIG, SIGKILL);  // an interrupted parent leaves nothing running
  ::dup2(output, STDOUT_FILENO);
  const int null = ::open("/dev/null", O_WRONLY | O_CLOEXEC);
  ::dup2(null, STDERR_FILENO);
  ::execvp(words.front(), words.data());
  ::_exit(127);  // the reader finds an empty output
}

}  // namespace

Result<std::unique_ptr<ChildProcess>> ChildProcess::start(const std::vector<std::string>& arguments) {
  std::array<int, 2> ends{};
  if (::pipe2(ends.data(), O_CLOEXEC) != 0) return fail(Code::kResourceExhausted, "no pipe for a child process");
  std::vector<char*> words;
  for (const std::string& argument : arguments) words.push_back(const_cast<char*>(argument.c_str()));
  words.push_back(nullptr);
  const pid_t pid = ::fork();
  if (pid == 0) run_program(words, ends[1]);
  ::close(ends[1]);
  if (pid < 0) {
    ::close(ends[0]);
    return failf(Code::kResourceExhausted, "cannot start '{}': {}", arguments.front(),
                 std::generic_category().message(errno));
  }
  return std::unique_ptr<ChildProcess>(new ChildProcess(pid, ends[0]));
}

ChildProcess::~ChildProcess() {
  if (!ended_) {
    ::kill(pid_, SIGKILL);
    wait();
  }
  ::close(output_);
}

Result<std::string> ChildProcess::read_line(Duration limit) {
  const Instant deadline = now() + limit;
  while (true) {
    if (const std::size_t end = buffered_.find('\n'); end != std::string::npos) {
      std::string line = buffered_.substr(0, end);
      buffered_.erase(0, end + 1);
      return line;
    }
    const auto left = std::chrono::duration_cast<std::chrono::milliseconds>(deadline - now()).count();
    pollfd waiting{.fd = output_, .events = POLLIN, .revents = 0};
    const int ready = left <= 0 ? 0 : ::poll(&waiting, 1, static_cast<int>(left));
    if (ready < 0 && errno == EINTR) continue;
    if (ready <= 0) return fail(Code::kDeadlineExceeded, "a child process printed nothing in time");
    std::array<char, 4096> chunk{};
    const ssize_t bytes = ::read(output_, chunk.data(), chunk.size());
    if (bytes <= 0) return fail(Code::kNotFound, "a child process ended without the output that was expected");
    buffered_.append(chunk.data(), static_cast<std::size_t>(bytes));
  }
}

ChildProcess::Ended ChildProcess::wait() {
  Ended ended;
  rusage usage{};
  while (::wait4(pid_, &ended.status, 0, &usage) < 0 && errno == EINTR) {
  }
  ended_ = true;
  ended.max_resident_bytes = static_cast<std::uint64_t>(usage.ru_maxrss) * 1024;
  return ended;
}

ChildProcess::Ended ChildProcess::stop() {
  ::kill(pid_, SIGTERM);
  return wait();
}

}  // namespace cenote::bench
