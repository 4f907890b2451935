#include "attendant.h"

#include <fcntl.h>
#include <sys/prctl.h>
#include <sys/random.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>
#include <cstring>
#include <utility>

#include "cenote/base/format.h"
#include "cenote/base/log.h"
#include "cenote/cluster/member.h"
#include "cenote/etcd/etcd_coordinator.h"
#include "cenote/runtime/uring_reactor.h"
#include "etcd_source.h"
#include "member_addresses.h"
#include "server_options.h"

namespace cenote::cli {
namespace {

// By then the others have noticed by themselves.
constexpr Duration kPatience = std::chrono::seconds(10);
constexpr Duration kRetryPause = std::chrono::milliseconds(100);

/// From the engine to who attends it.
constexpr int kMembersChanged = SIGUSR1;

/// The engine's end of the pipe; -1: nobody attends it.
int& ready_end() {
  static int end = -1;
  return end;
}

Result<Uuid> draw_id() {
  std::uint64_t random[2];
  if (::getrandom(random, sizeof random, 0) != sizeof random)
    return fail(Code::kIoError, "the kernel gives no random number");
  return Uuid::from_random(random[0], random[1]);
}

/// What the attendant waits for.
sigset_t watched_signals() {
  sigset_t signals;
  sigemptyset(&signals);
  for (const int signal : {SIGCHLD, SIGTERM, SIGINT, kMembersChanged}) sigaddset(&signals, signal);
  return signals;
}

/// False: none came for so long.
bool wait_for_signal(const sigset_t& watched, std::optional<Duration> most, siginfo_t& signal) {
  for (;;) {
    int taken = 0;
    if (most) {
      const auto seconds = std::chrono::floor<std::chrono::seconds>(*most);
      const timespec time{.tv_sec = seconds.count(), .tv_nsec = (*most - seconds).count()};
      taken = ::sigtimedwait(&watched, &signal, &time);
    } else {
      taken = ::sigwaitinfo(&watched, &signal);
    }
    if (taken > 0) return true;
    if (most && errno == EAGAIN) return false;
  }
}

Task<Result<bool>> attest_at(UringReactor& reactor, etcd::EtcdOptions options, Logger logger, Uuid process) {
  const Until until = Until::at(reactor.now() + kPatience);
  CO_TRY(auto coordinator, co_await etcd::EtcdCoordinator::open(reactor, std::move(options), std::move(logger)));
  Result<bool> told = fail(Code::kInternal);
  for (;;) {
    told = co_await cluster::attest_exit(*coordinator, process, until);
    if (told || reactor.now() + kRetryPause >= until.deadline) break;
    co_await reactor.sleep_for(kRetryPause);
  }
  static_cast<void>(co_await coordinator->close());
  co_return told;
}

}  // namespace

Result<Uuid> Attendant::divide(const Settings& settings) {
  TRY(const bool wanted, settings.flag("server.attendant"));
  TRY(const auto coordinator, coordinator_of(settings));
  if (coordinator && coordinator->managed) {
    if (!wanted)
      return fail(settings.wrong("server.attendant", "engines of this system run etcd by their attendants: allow one"));
    CHECK_OK(etcd_process_options(settings));
    CHECK_OK(adopt_address(settings));
  }
  if (!wanted || !coordinator) return Uuid();
  TRY(const Uuid process, draw_id());
  int ready[2];
  if (::pipe2(ready, O_CLOEXEC | O_NONBLOCK) != 0)
    return failf(Code::kResourceExhausted, "no pipe to a second process beside the engine: {}", std::strerror(errno));
  // From before the fork on, so that none is lost.
  const sigset_t watched = watched_signals();
  sigset_t before;
  pthread_sigmask(SIG_BLOCK, &watched, &before);
  const pid_t attendant = ::getpid();
  const pid_t engine = ::fork();
  if (engine < 0) {
    const int reason = errno;
    pthread_sigmask(SIG_SETMASK, &before, nullptr);
    for (const int end : ready) ::close(end);
    return failf(Code::kResourceExhausted,
                 "no second process beside the engine ({}): allow more, or start with --attendant=false",
                 std::strerror(reason));
  }
  if (engine > 0) {
    ::close(ready[1]);
    Attendant(settings, process, engine, ready[0]).run();
  }
  ::close(ready[0]);
  ready_end() = ready[1];
  pthread_sigmask(SIG_SETMASK, &before, nullptr);
  ::prctl(PR_SET_PDEATHSIG, SIGTERM);
  if (::getppid() != attendant) return fail(Code::kStopped, "the process that attends the engine has ended");
  return process;
}

void Attendant::note_ready() {
  if (ready_end() < 0) return;
  // Into an empty pipe. Who attends has ended if it fails, and the engine then is to end, too.
  static_cast<void>(::write(ready_end(), "r", 1));
  ::close(std::exchange(ready_end(), -1));
}

void Attendant::note_members_changed() { ::kill(::getppid(), kMembersChanged); }

bool Attendant::was_ready() const {
  char byte = 0;
  return ::read(ready_, &byte, 1) == 1;
}

void Attendant::run() {
  const auto coordinator = coordinator_of(settings_);
  if (!coordinator || !*coordinator || !(*coordinator)->managed) ::_exit(conclude(wait_for_end(nullptr)));
  const auto logs = log_options(settings_);
  const auto output = logs ? LogOutput::open(*logs) : fail(logs.error());
  const auto options = etcd_process_options(settings_);
  if (!output || !options) ::_exit(conclude(wait_for_end(nullptr)));
  EtcdKeeper keeper(*options, Logger(**output, "attendant"));
  keeper.follow();
  const int exit_code = conclude(wait_for_end(&keeper));
  // Last: what the engine had to say was said through it.
  keeper.stop();
  ::_exit(exit_code);
}

/// After the engine's end: says so, if it was none that it wanted, and returns with what the attendant ends.
int Attendant::conclude(int status) {
  if (WIFEXITED(status)) {
    // It says itself why. One that failed while it ran may be registered; if that cannot be said its lease ends.
    if (WEXITSTATUS(status) != 0 && was_ready()) static_cast<void>(attest());
    return WEXITSTATUS(status);
  }
  tell(WTERMSIG(status));
  return 128 + WTERMSIG(status);
}

int Attendant::wait_for_end(EtcdKeeper* keeper) {
  const sigset_t watched = watched_signals();
  for (;;) {
    // In a container it may be the first process, and the parent of whoever has lost his.
    int status = 0;
    for (pid_t ended = 0; (ended = ::waitpid(-1, &status, WNOHANG)) > 0;) {
      if (ended == engine_) return status;
      if (keeper != nullptr) keeper->note_ended(ended, status);
    }
    siginfo_t signal{};
    if (!wait_for_signal(watched, keeper == nullptr ? std::nullopt : keeper->due(), signal)) {
      keeper->follow();
      continue;
    }
    if (signal.si_signo == SIGCHLD) continue;
    if (signal.si_signo == kMembersChanged) {
      if (keeper != nullptr) keeper->follow();
      continue;
    }
    // A terminal sends its interrupt to all processes in its foreground.
    if (signal.si_signo == SIGINT && signal.si_code == SI_KERNEL) continue;
    ::kill(engine_, signal.si_signo);
  }
}

void Attendant::tell(int signal) {
  const auto told = attest();
  const auto options = log_options(settings_);
  if (!options) return;
  const auto output = LogOutput::open(*options);
  if (!output) return;
  const Logger logger(**output, "attendant");
  const std::string how = fmt::format("signal {} ({})", signal, ::strsignal(signal));
  if (!told) {
    logger.error("the engine was ended by a signal; the others notice when its lease ends",
                 {{"by", how}, {"error", told.error()}});
  } else {
    logger.error("the engine was ended by a signal", {{"by", how}, {"others_told", *told}});
  }
}

Result<bool> Attendant::attest() {
  TRY(auto coordinator, coordinator_of(settings_));
  TRY(const LogOptions logs, log_options(settings_));
  TRY(const auto output, LogOutput::open(logs));
  TRY(const auto reactor, UringReactor::create({.spin = Duration(0)}));
  return reactor->block_on(
      attest_at(*reactor, std::move(coordinator->options), Logger(*output, "attendant"), process_));
}

}  // namespace cenote::cli
