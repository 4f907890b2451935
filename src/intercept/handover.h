#pragma once

#include <atomic>
#include <cstdint>

#include "cenote/runtime/scope.h"
#include "cenote/runtime/uring_reactor.h"
#include "guard.h"

namespace cenote::intercept {

/// That something has ended on the reactor, for the one thread that waits for it.
class Ended {
 public:
  /// The object may be gone when this returns.
  void set();
  /// Polls so often, then sleeps. Of the signals that `guard` holds back, one that ends the process does so
  /// meanwhile; those that the program handles come when the call returns.
  void wait(const Guard& guard, int polls);

 private:
  enum State : std::uint32_t { kRunning, kSleeping, kSet };
  std::atomic<std::uint32_t> state_{kRunning};
};

/// A call of a program, as a coroutine on the reactor. Lives on the caller's stack.
template <typename MakeTask, typename Answer>
class HandedOver final : public Mail {
 public:
  HandedOver(Scope& scope, MakeTask& make_task) : scope_(scope), make_task_(make_task) {}
  void wait(const Guard& guard, int polls) { ended_.wait(guard, polls); }
  Answer& answer() { return answer_; }

 private:
  static Task<> run(HandedOver* call) {
    call->answer_ = co_await call->make_task_();
    call->ended_.set();
  }
  void deliver() override {
    // It is not stopped while calls may come.
    const bool started = scope_.spawn(run(this));
    ASSERT(started);
  }

  Scope& scope_;
  MakeTask& make_task_;
  Answer answer_{};
  Ended ended_;
};

}  // namespace cenote::intercept
