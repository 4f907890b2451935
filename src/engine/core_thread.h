#pragma once

#include <atomic>
#include <memory>
#include <optional>
#include <thread>
#include <type_traits>
#include <utility>

#include "cenote/runtime/scope.h"
#include "cenote/runtime/uring_reactor.h"

namespace cenote::engine {

/// A reactor on a thread of its own, and the bridge to it from ordinary threads (the HTTP server's, the caller of
/// Engine::start).
///
/// Invariants: the thread runs from construction to destruction; everything that runs on behalf of an ordinary thread
/// is in `calls_`, so nothing is left when the loop ends.
class CoreThread {
 public:
  /// kIoError when the kernel refuses io_uring.
  static Result<std::unique_ptr<CoreThread>> start(UringReactorOptions options);
  CoreThread(const CoreThread&) = delete;
  CoreThread& operator=(const CoreThread&) = delete;
  /// All callers of `run` have returned.
  ~CoreThread();

  UringReactor& reactor() { return *reactor_; }

  /// Thread-safe: calls `make_task()`, which returns a Task<T>, on the reactor, and blocks until the task has ended.
  /// Never from the reactor's own thread.
  template <typename MakeTask>
  auto run(MakeTask make_task);

 private:
  template <typename MakeTask>
  class BlockingCall;

  explicit CoreThread(std::unique_ptr<UringReactor> reactor);

  std::unique_ptr<UringReactor> reactor_;
  Scope calls_;
  Scope closing_;
  std::thread thread_;
};

/// On the stack of the blocked caller.
template <typename MakeTask>
class CoreThread::BlockingCall final : public Mail {
  template <typename T>
  struct Value;
  template <typename T>
  struct Value<Task<T>> {
    using Type = T;
  };

 public:
  using T = typename Value<std::invoke_result_t<MakeTask&>>::Type;

  BlockingCall(Scope& scope, MakeTask& make_task) : scope_(scope), make_task_(make_task) {}

  T wait() {
    done_->wait(false, std::memory_order_acquire);
    if constexpr (!std::is_void_v<T>) return *std::move(value_);
  }

 private:
  void deliver() override {
    const bool started = scope_.spawn(run(*this));
    ASSERT(started);
  }
  static Task<> run(BlockingCall& call) {
    // The caller returns, and `call` goes, as soon as the flag is set: the flag outlives both sides.
    const auto done = call.done_;
    if constexpr (std::is_void_v<T>) {
      co_await call.make_task_();
    } else {
      call.value_.emplace(co_await call.make_task_());
    }
    done->store(true, std::memory_order_release);
    done->notify_one();
  }

  Scope& scope_;
  MakeTask& make_task_;
  std::optional<std::conditional_t<std::is_void_v<T>, bool, T>> value_;
  std::shared_ptr<std::atomic<bool>> done_ = std::make_shared<std::atomic<bool>>(false);
};

template <typename MakeTask>
auto CoreThread::run(MakeTask make_task) {
  ASSERT(!reactor_->is_current());
  BlockingCall<MakeTask> call(calls_, make_task);
  reactor_->post(call);
  return call.wait();
}

}  // namespace cenote::engine
