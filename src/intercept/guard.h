#pragma once

#include <pthread.h>

#include <cerrno>
#include <csignal>

namespace cenote::intercept {

/// Whether this thread is in this library already: then what it calls is meant for the kernel. Threads of the library
/// always are.
inline thread_local constinit bool is_inside __attribute__((tls_model("initial-exec"))) = false;

/// Around everything that takes locks or waits: the thread is inside, cannot be cancelled, and no handler of a signal
/// runs in it, which might jump out of what others still work on. Restores errno.
class Guard {
 public:
  Guard() : errno_(errno) {
    is_inside = true;
    sigset_t all;
    ::sigfillset(&all);
    ::pthread_sigmask(SIG_BLOCK, &all, &before_);
    ::pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, &cancel_state_);
  }
  Guard(const Guard&) = delete;
  Guard& operator=(const Guard&) = delete;
  ~Guard() {
    ::pthread_setcancelstate(cancel_state_, nullptr);
    ::pthread_sigmask(SIG_SETMASK, &before_, nullptr);
    is_inside = false;
    errno = errno_;
  }

  /// Signals that the program wanted to get, of those that are held back.
  const sigset_t& mask_of_program() const { return before_; }

 private:
  int errno_;
  int cancel_state_ = PTHREAD_CANCEL_ENABLE;
  sigset_t before_{};
};

}  // namespace cenote::intercept
