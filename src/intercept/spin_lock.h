#pragma once

#include <sched.h>

#include <atomic>

namespace cenote::intercept {

/// For a few instructions, in threads that no signal handler runs in. A child of a fork can make it anew.
class SpinLock {
 public:
  void lock() {
    while (locked_.exchange(true, std::memory_order_acquire)) ::sched_yield();
  }
  void unlock() { locked_.store(false, std::memory_order_release); }

 private:
  std::atomic<bool> locked_{false};
};

}  // namespace cenote::intercept
