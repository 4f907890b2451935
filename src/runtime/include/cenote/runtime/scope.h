#pragma once

#include "cenote/runtime/cancel.h"
#include "cenote/runtime/sync.h"
#include "cenote/runtime/task.h"

namespace cenote {

/// Owner of background coroutines: the only way to run one that is not awaited where it is made. `stop` cancels the
/// scope's source and waits for every one of them; the destructor asserts that it did.
class Scope {
 public:
  explicit Scope(Reactor& reactor) : reactor_(reactor), gate_(reactor) {}
  Scope(const Scope&) = delete;
  Scope& operator=(const Scope&) = delete;
  ~Scope() { ASSERT(gate_.count() == 0); }

  /// Schedules `task`; its frame is freed when it ends. Pass everything it needs as parameters, by value. After `stop`
  /// or `drain` began the task is destroyed without running and false is returned.
  bool spawn(Task<> task);
  /// Given to waits inside the tasks, so that `stop` ends them.
  CancelSource& cancel_source() { return cancel_; }
  bool stopping() const { return cancel_.cancelled(); }
  std::uint64_t running() const { return gate_.count(); }
  /// Cancels, then waits for all tasks; every frame is freed when it returns. Idempotent. Never await it in a task of
  /// the same scope, which would wait for itself.
  Task<> stop();
  /// Waits for all tasks without cancelling them; no new ones are accepted.
  Task<> drain();

 private:
  Reactor& reactor_;
  Gate gate_;
  CancelSource cancel_;
};

}  // namespace cenote
