#include "stop_signals.h"

#include <poll.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <ctime>

#include "cenote/base/exit_code.h"

namespace cenote::cli {
namespace {

/// Who stops a service may tell several of its processes, which pass it on: that is one wish, not two.
constexpr std::time_t kSameWishSeconds = 1;
timespec& asked() {
  static timespec when{};
  return when;
}

void end_unless_just_asked(int) {
  timespec now{};
  clock_gettime(CLOCK_MONOTONIC, &now);
  const std::time_t seconds = now.tv_sec - asked().tv_sec;
  if (seconds > kSameWishSeconds || (seconds == kSameWishSeconds && now.tv_nsec >= asked().tv_nsec))
    _exit(static_cast<int>(ExitCode::kInterrupted));
}

timespec time_of(Duration duration) {
  const auto seconds = std::chrono::floor<std::chrono::seconds>(duration);
  return {.tv_sec = seconds.count(), .tv_nsec = (duration - seconds).count()};
}

}  // namespace

StopSignals::StopSignals() {
  sigemptyset(&signals_);
  sigaddset(&signals_, SIGTERM);
  sigaddset(&signals_, SIGINT);
  pthread_sigmask(SIG_BLOCK, &signals_, nullptr);
}

void StopSignals::wait() {
  int signal = 0;
  while (sigwait(&signals_, &signal) != 0) {
  }
}

bool StopSignals::wait_for(Duration most) {
  const timespec time = time_of(most);
  return sigtimedwait(&signals_, nullptr, &time) > 0;
}

StopSignals::Woken StopSignals::wait_for(Duration most, int input) {
  const int signals = ::signalfd(-1, &signals_, SFD_CLOEXEC);
  std::array<pollfd, 2> watched{pollfd{.fd = signals, .events = POLLIN, .revents = 0},
                                pollfd{.fd = input, .events = POLLIN, .revents = 0}};
  const timespec time = time_of(std::max(most, Duration::zero()));
  static_cast<void>(::ppoll(watched.data(), watched.size(), &time, nullptr));
  if (signals >= 0) ::close(signals);
  if (wait_for(Duration::zero())) return Woken::kSignal;
  return watched[1].revents != 0 ? Woken::kInput : Woken::kTime;
}

void StopSignals::let_the_next_one_kill() {
  clock_gettime(CLOCK_MONOTONIC, &asked());
  std::signal(SIGTERM, end_unless_just_asked);
  std::signal(SIGINT, end_unless_just_asked);
  pthread_sigmask(SIG_UNBLOCK, &signals_, nullptr);
}

StopOfCalls::StopOfCalls(StopSignals& signals) : signals_(signals), thread_([this] { watch(); }) {}

StopOfCalls::~StopOfCalls() {
  {
    const std::scoped_lock lock(mutex_);
    over_ = true;
  }
  thread_.join();
}

void StopOfCalls::watch() {
  constexpr Duration kLook = std::chrono::milliseconds(50);
  for (;;) {
    const bool came = signals_.wait_for(kLook);
    const std::scoped_lock lock(mutex_);
    came_ = came_ || came;
    if (came_) cancellation_.cancel();
    if (came_ || over_) break;
  }
  changed_.notify_all();
}

bool StopOfCalls::wait_for(Duration most) {
  std::unique_lock lock(mutex_);
  return changed_.wait_for(lock, most, [this] { return came_; });
}

}  // namespace cenote::cli
