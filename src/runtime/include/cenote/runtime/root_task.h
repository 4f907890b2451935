#pragma once

#include <coroutine>
#include <exception>
#include <optional>
#include <utility>

#include "cenote/runtime/task.h"

namespace cenote::detail {

/// The outermost coroutine of a chain of awaits: awaited by no one, it frees its own frame when it ends. Whoever makes
/// one schedules `handle` exactly once and is told of the end by the body itself. Only the runtime makes them; everyone
/// else spawns into a Scope.
struct RootTask {
  struct promise_type : FrameAllocation {
    RootTask get_return_object() noexcept { return {std::coroutine_handle<promise_type>::from_promise(*this)}; }
    std::suspend_always initial_suspend() const noexcept { return {}; }
    std::suspend_never final_suspend() const noexcept { return {}; }
    void return_void() const noexcept {}
    [[noreturn]] void unhandled_exception() const noexcept { std::terminate(); }
  };

  std::coroutine_handle<> handle;
};

/// Where `block_on` finds what its task returned.
template <typename T>
struct BlockedOn {
  std::optional<T> value;
  bool done = false;
  T take() { return *std::move(value); }
};
template <>
struct BlockedOn<void> {
  bool done = false;
  void take() const {}
};

/// Runs `task` to its end and frees its frame before it says so. `outcome` lives on the stack of the blocked caller.
template <typename T>
RootTask run_blocked(Task<T> task, BlockedOn<T>& outcome) {
  {
    Task<T> running = std::move(task);
    if constexpr (std::is_void_v<T>) {
      co_await std::move(running);
    } else {
      outcome.value.emplace(co_await std::move(running));
    }
  }
  outcome.done = true;
}

}  // namespace cenote::detail
