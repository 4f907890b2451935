#include "handover.h"

#include <linux/futex.h>
#include <sched.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <ctime>

namespace cenote::intercept {
namespace {

constexpr long kLookAtSignalsNs = 100'000'000;

void futex_wait(std::atomic<std::uint32_t>& word, std::uint32_t expected) {
  const timespec most{.tv_sec = 0, .tv_nsec = kLookAtSignalsNs};
  ::syscall(SYS_futex, &word, FUTEX_WAIT_PRIVATE, expected, &most, nullptr, 0);
}

void futex_wake(std::atomic<std::uint32_t>& word) {
  ::syscall(SYS_futex, &word, FUTEX_WAKE_PRIVATE, 1, nullptr, nullptr, 0);
}

/// Whether a signal that nothing is said about ends a process.
bool ends_process(int number) {
  return number != SIGCHLD && number != SIGCONT && number != SIGURG && number != SIGWINCH && number != SIGSTOP &&
         number != SIGTSTP && number != SIGTTIN && number != SIGTTOU;
}

/// Delivers what is held back and ends the process.
void let_fatal_signals_through(const sigset_t& of_program) {
  sigset_t pending;
  ::sigpending(&pending);
  for (int number = 1; number < SIGRTMIN; ++number) {
    if (::sigismember(&pending, number) != 1 || ::sigismember(&of_program, number) == 1) continue;
    struct sigaction action{};
    if (!ends_process(number) || ::sigaction(number, nullptr, &action) != 0) continue;
    // NOLINTNEXTLINE(cppcoreguidelines-pro-type-cstyle-cast): SIG_DFL is one
    if ((action.sa_flags & SA_SIGINFO) != 0 || action.sa_handler != SIG_DFL) continue;
    sigset_t one;
    ::sigemptyset(&one);
    ::sigaddset(&one, number);
    ::pthread_sigmask(SIG_UNBLOCK, &one, nullptr);
  }
}

}  // namespace

void Ended::set() {
  // Waking an address whose owner has gone wakes nobody.
  if (state_.exchange(kSet, std::memory_order_acq_rel) == kSleeping) futex_wake(state_);
}

void Ended::wait(const Guard& guard, int polls) {
  for (int i = 0; i < polls; ++i) {
    if (state_.load(std::memory_order_acquire) == kSet) return;
    ::sched_yield();
  }
  std::uint32_t expected = kRunning;
  if (!state_.compare_exchange_strong(expected, kSleeping, std::memory_order_acq_rel)) return;
  for (;;) {
    futex_wait(state_, kSleeping);
    if (state_.load(std::memory_order_acquire) == kSet) return;
    let_fatal_signals_through(guard.mask_of_program());
  }
}

}  // namespace cenote::intercept
