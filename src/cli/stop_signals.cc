#include "stop_signals.h"

#include <unistd.h>

#include "cenote/base/exit_code.h"

namespace cenote::cli {

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
  const auto seconds = std::chrono::floor<std::chrono::seconds>(most);
  const timespec time{.tv_sec = seconds.count(), .tv_nsec = (most - seconds).count()};
  return sigtimedwait(&signals_, nullptr, &time) > 0;
}

void StopSignals::let_the_next_one_kill() {
  const auto end = [](int) { _exit(static_cast<int>(ExitCode::kInterrupted)); };
  std::signal(SIGTERM, end);
  std::signal(SIGINT, end);
  pthread_sigmask(SIG_UNBLOCK, &signals_, nullptr);
}

}  // namespace cenote::cli
