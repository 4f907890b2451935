#pragma once

#include <atomic>
#include <memory>
#include <optional>
#include <thread>
#include <type_traits>
#include <utility>

#include "cenote/runtime/scope.h"
#include "cenote/runtime/uring_reactor.h"

namespace cenote {

/// A reactor on a thread of its own, and the bridge to it from ordinary threads: how the blocking form of the client
/// runs.
class ReactorThread {
 public:
  /// kIoError when the kernel refuses io_uring.
  static Result<std::unique_ptr<ReactorThread>> start(UringReactorOptions options = {});
  /// Waits for everything that was started with `run`, then stops the thread.
  ~ReactorThread();

  UringReactor& reactor() { return *reactor_; }

  /// Thread-safe: calls `make_task()` (a Task<T>) on the reactor and blocks until it has ended. The caller's stack
  /// stays valid meanwhile, so the task may refer to it. Never called from the reactor's own thread.
  template <typename MakeTask>
  auto run(MakeTask make_task);
  /// Thread-safe: calls a plain function on the reactor and blocks until it has returned.
  template <typename Function>
  void run_plain(Function function);

 private:
  explicit ReactorThread(std::unique_ptr<UringReactor> reactor);

  std::unique_ptr<UringReactor> reactor_;
  Scope scope_;
  std::thread thread_;
};

namespace detail {

/// One blocking call: mail on the way there, a flag to wait for on the way back. Lives on the caller's stack.
template <typename MakeTask, typename T>
class BlockingCall final : public Mail {
 public:
  BlockingCall(Scope& scope, MakeTask& make_task) : scope_(scope), make_task_(make_task) {}

  void wait() { done_->wait(false, std::memory_order_acquire); }
  auto& value() { return value_; }

 private:
  static Task<> run(BlockingCall* call) {
    if constexpr (std::is_void_v<T>) {
      co_await call->make_task_();
    } else {
      call->value_.emplace(co_await call->make_task_());
    }
    call->finish();
  }
  void deliver() override {
    // The scope belongs to the thread object, which outlives all callers of `run`.
    const bool started = scope_.spawn(run(this));
    ASSERT(started);
  }
  void finish() {
    // The caller may return, and this object go, between the store and the notification.
    const auto done = done_;
    done->store(true, std::memory_order_release);
    done->notify_one();
  }

  Scope& scope_;
  MakeTask& make_task_;
  std::optional<std::conditional_t<std::is_void_v<T>, bool, T>> value_;
  std::shared_ptr<std::atomic<bool>> done_ = std::make_shared<std::atomic<bool>>(false);
};

template <typename T>
struct TaskValue;
template <typename T>
struct TaskValue<Task<T>> {
  using Type = T;
};

template <typename Function>
Task<> run_function(Function* function) {
  (*function)();
  co_return;
}

}  // namespace detail

template <typename MakeTask>
auto ReactorThread::run(MakeTask make_task) {
  using T = typename detail::TaskValue<std::invoke_result_t<MakeTask&>>::Type;
  ASSERT(!reactor_->is_current());
  detail::BlockingCall<MakeTask, T> call(scope_, make_task);
  reactor_->post(call);
  call.wait();
  if constexpr (!std::is_void_v<T>) return *std::move(call.value());
}

template <typename Function>
void ReactorThread::run_plain(Function function) {
  run([&function] { return detail::run_function(&function); });
}

}  // namespace cenote
