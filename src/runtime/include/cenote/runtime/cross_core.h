#pragma once

#include <concepts>
#include <optional>
#include <utility>

#include "cenote/runtime/reactor.h"
#include "cenote/runtime/root_task.h"
#include "cenote/runtime/sync.h"
#include "cenote/runtime/task.h"

namespace cenote {
namespace detail {

/// What came back from the other core; for `void` only the fact.
template <typename R>
struct RemoteValue {
  std::optional<R> value;
  R take() { return *std::move(value); }
};
template <>
struct RemoteValue<void> {
  void take() const {}
};

/// One call in flight, in the frame of `call_on`. Only one side touches it at a time: home until the request is posted,
/// the target until the answer is posted, then home again.
template <typename R, typename F>
class RemoteCall {
 public:
  RemoteCall(Reactor& home, Reactor& target, F& make_task)
      : home_(home), target_(target), make_task_(make_task), request_(*this), answer_(*this) {}

  bool await_ready() const { return false; }
  void await_suspend(std::coroutine_handle<> caller) {
    caller_ = caller;
    target_.post(request_);
  }
  R await_resume() { return value_.take(); }

 private:
  struct Request final : Mail {
    RemoteCall& call;
    explicit Request(RemoteCall& c) : call(c) {}
    void deliver() override { call.target_.schedule(run(call).handle); }
  };
  struct Answer final : Mail {
    RemoteCall& call;
    explicit Answer(RemoteCall& c) : call(c) {}
    void deliver() override { call.home_.schedule(call.caller_); }
  };

  static RootTask run(RemoteCall& call) {
    {
      // The task's frame is freed here, on the core that made it, before the caller may go on.
      Task<R> task = call.make_task_();
      if constexpr (std::is_void_v<R>) {
        co_await std::move(task);
      } else {
        call.value_.value.emplace(co_await std::move(task));
      }
    }
    call.home_.post(call.answer_);
  }

  Reactor& home_;
  Reactor& target_;
  F& make_task_;
  std::coroutine_handle<> caller_;
  RemoteValue<R> value_;
  Request request_;
  Answer answer_;
};

template <typename T>
struct TaskValue;
template <typename T>
struct TaskValue<Task<T>> {
  using type = T;
};

}  // namespace detail

/// Runs `make_task()`, which returns a Task<R>, on the core of `target` and resumes the caller on `home`, the reactor
/// it runs on, with the value. When both are the same reactor the task is simply awaited. Allocates nothing but the
/// frames.
///
/// `make_task` stays in the caller's frame for the whole call, so here the task may be a coroutine lambda with
/// captures. It is called, and its task runs and ends, on the target's core: what it captures must not be touched at
/// home meanwhile, and a CancelSource of home must not be given to it: the other form of `call_on` takes one across. A
/// deadline crosses by itself: instants of all reactors are of one clock. The call cannot be abandoned, so `target` has
/// to run until the answer came.
template <typename F>
  requires requires(F& make_task) { typename detail::TaskValue<decltype(make_task())>::type; }
auto call_on(Reactor& home, Reactor& target, F make_task)
    -> Task<typename detail::TaskValue<decltype(make_task())>::type> {
  using R = typename detail::TaskValue<decltype(make_task())>::type;
  ASSERT(home.is_current());
  if (&home == &target) co_return co_await make_task();
  detail::RemoteCall<R, F> call(home, target, make_task);
  co_return co_await call;
}

namespace detail {

/// Takes the cancellation of a source at home to one at the target. In the frame of `call_on`, which ends when nothing
/// of it is on its way any more.
class RemoteCancel final : CancelCallback {
 public:
  RemoteCancel(Reactor& home, Reactor& target, Until until)
      : home_(home), target_(target), until_(until), request_(*this), answer_(*this), arrived_(home) {
    if (until.cancel == nullptr) return;
    if (until.cancel->cancelled()) {
      there_.cancel();  // nobody there knows it yet
    } else {
      until.cancel->add(*this);
    }
  }

  /// For the task at the target.
  Until until() { return {until_.deadline, until_.cancel == nullptr ? nullptr : &there_}; }
  /// At home, after the task has ended.
  Task<> end() {
    unlink();
    if (posted_) static_cast<void>(co_await arrived_.wait(Until::forever()));
  }

 private:
  struct Request final : Mail {
    RemoteCancel& cancel;
    explicit Request(RemoteCancel& c) : cancel(c) {}
    void deliver() override {
      cancel.there_.cancel();
      cancel.home_.post(cancel.answer_);
    }
  };
  struct Answer final : Mail {
    RemoteCancel& cancel;
    explicit Answer(RemoteCancel& c) : cancel(c) {}
    void deliver() override { cancel.arrived_.set(); }
  };
  void on_cancel() override {
    posted_ = true;
    target_.post(request_);
  }

  Reactor& home_;
  Reactor& target_;
  Until until_;
  Request request_;
  Answer answer_;
  bool posted_ = false;
  Event arrived_;
  CancelSource there_;  ///< the target's
};

}  // namespace detail

/// The same for work that may be ended early: `make_task(until)` gets what `until` is at the target.
template <typename F>
  requires requires(F& make_task, Until until) { typename detail::TaskValue<decltype(make_task(until))>::type; }
auto call_on(Reactor& home, Reactor& target, Until until, F make_task)
    -> Task<typename detail::TaskValue<decltype(make_task(until))>::type> {
  ASSERT(home.is_current());
  if (&home == &target) co_return co_await make_task(until);
  detail::RemoteCancel cancel(home, target, until);
  auto value = co_await call_on(home, target, [&] { return make_task(cancel.until()); });
  co_await cancel.end();
  co_return value;
}

}  // namespace cenote
