#include "kit/process.h"

#include <fcntl.h>
#include <grp.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <csignal>
#include <cstring>

namespace cenote::posix_tests {

namespace {

Outcome run(const std::function<void()>& body) {
  try {
    body();
    return {};
  } catch (const Failure& failure) {
    return {Outcome::Kind::kFailed, failure.what};
  } catch (const NotOffered& thing) {
    return {Outcome::Kind::kNotOffered, thing.what};
  }
}

}  // namespace

Process::Process(const std::function<void()>& body) {
  int ends[2];
  ok(::pipe2(ends, O_CLOEXEC));
  results_ = Fd(ends[0]);
  Fd writer(ends[1]);
  pid_ = ok(::fork());
  if (pid_ != 0) return;
  // Nobody is left behind when the suite is interrupted.
  ::prctl(PR_SET_PDEATHSIG, SIGKILL);
  const Outcome outcome = run(body);
  const std::string message = static_cast<char>(outcome.kind) + outcome.what;
  const bool sent = ::write(writer.get(), message.data(), message.size()) == static_cast<ssize_t>(message.size());
  ::_exit(sent ? 0 : 1);
}

Process::~Process() {
  if (pid_ <= 0) return;
  kill();
  ::waitpid(pid_, nullptr, 0);
}

void Process::kill() { ::kill(pid_, SIGKILL); }

Outcome Process::outcome() {
  std::string message;
  char piece[4096];
  for (ssize_t length = 0; (length = ::read(results_.get(), piece, sizeof piece)) != 0;) {
    if (length > 0) message.append(piece, static_cast<std::size_t>(length));
    if (length < 0 && errno != EINTR) break;
  }
  int status = 0;
  ok(::waitpid(pid_, &status, 0));
  pid_ = -1;
  if (WIFSIGNALED(status)) {
    const char* name = ::sigabbrev_np(WTERMSIG(status));
    return {Outcome::Kind::kFailed, fmt::format("its process was killed by SIG{}", name != nullptr ? name : "?")};
  }
  if (message.empty()) return {Outcome::Kind::kFailed, "its process ended before it was done"};
  return {static_cast<Outcome::Kind>(message[0]), message.substr(1)};
}

void Process::join() {
  const Outcome outcome = this->outcome();
  if (outcome.kind == Outcome::Kind::kFailed) throw Failure{outcome.what};
  if (outcome.kind == Outcome::Kind::kNotOffered) throw NotOffered{outcome.what};
}

void in_process(const std::function<void()>& body) { Process(body).join(); }

void as_user(const User& user, const std::function<void()>& body) {
  in_process([&] {
    ok(::setgroups(user.groups.size(), user.groups.data()));
    ok(::setresgid(user.id, user.id, user.id));
    ok(::setresuid(user.id, user.id, user.id));
    body();
  });
}

}  // namespace cenote::posix_tests
