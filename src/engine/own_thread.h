#pragma once

#include <coroutine>
#include <optional>
#include <thread>
#include <type_traits>
#include <utility>

#include "cenote/base/assert.h"
#include "cenote/base/error.h"
#include "cenote/runtime/reactor.h"
#include "cenote/runtime/task.h"
#include "cenote/runtime/thread_refused.h"

namespace cenote::engine {
namespace detail {

/// One piece of work on its way, in the frame of `on_own_thread`. The thread touches it until its mail is posted, home
/// from then on.
template <typename R, typename F>
class OwnThread {
 public:
  OwnThread(Reactor& home, F& work) : home_(home), work_(work), finished_(*this) {}

  bool await_ready() const { return false; }
  void await_suspend(std::coroutine_handle<> caller) {
    caller_ = caller;
    // The new thread may be done before the constructor returns here, but home runs the caller only after this turn.
    try {
      thread_ = std::thread([this] {
        outcome_.emplace(work_());
        home_.post(finished_);
      });
    } catch (const std::system_error& refused) {
      outcome_.emplace(fail(thread_refused(refused)));
      home_.post(finished_);
    }
  }
  R await_resume() {
    if (thread_.joinable()) thread_.join();
    return *std::move(outcome_);
  }

 private:
  struct Finished final : Mail {
    OwnThread& own;
    explicit Finished(OwnThread& o) : own(o) {}
    void deliver() override { own.home_.schedule(own.caller_); }
  };

  Reactor& home_;
  F& work_;
  std::coroutine_handle<> caller_;
  std::optional<R> outcome_;
  std::thread thread_;
  Finished finished_;
};

}  // namespace detail

/// Runs `work()`, a plain function that may block and returns a Result, on a thread made for it, and resumes the caller
/// on `home`, the reactor it runs on, with the value: for rare calls that the kernel answers slowly and has no
/// asynchronous form of. kResourceExhausted when the system allows no thread.
///
/// `work` stays in the caller's frame for the whole call; what it captures must not be touched at home meanwhile. The
/// call cannot be abandoned, so `home` has to run until it has ended.
template <typename F>
auto on_own_thread(Reactor& home, F work) -> Task<std::invoke_result_t<F&>> {
  using R = std::invoke_result_t<F&>;
  ASSERT(home.is_current());
  detail::OwnThread<R, F> own(home, work);
  co_return co_await own;
}

}  // namespace cenote::engine
