#pragma once

#include <coroutine>
#include <cstddef>
#include <exception>
#include <new>
#include <optional>
#include <utility>

#include "cenote/base/assert.h"
#include "cenote/base/error.h"

namespace cenote {

/// Memory of coroutine frames: a free list per thread and size class, so that starting a coroutine on the hot path
/// costs no call of malloc. Frames may be freed on another thread than the one that made them. Plain new under
/// sanitizers, which then see a frame used after its end, and for frames with over-aligned locals.
void* allocate_frame(std::size_t bytes, std::align_val_t alignment);
/// Both values as they were given to `allocate_frame`.
void free_frame(void* frame, std::size_t bytes, std::align_val_t alignment) noexcept;

template <typename T>
class Task;

namespace detail {

/// Base of every promise type of the runtime.
struct FrameAllocation {
  static void* operator new(std::size_t bytes, std::align_val_t alignment) { return allocate_frame(bytes, alignment); }
  static void operator delete(void* frame, std::size_t bytes, std::align_val_t alignment) noexcept {
    free_frame(frame, bytes, alignment);
  }
};

struct TaskPromiseBase : FrameAllocation {
  std::coroutine_handle<> continuation = std::noop_coroutine();

  struct FinalAwaiter {
    bool await_ready() const noexcept { return false; }
    template <typename Promise>
    std::coroutine_handle<> await_suspend(std::coroutine_handle<Promise> self) noexcept {
      return self.promise().continuation;
    }
    void await_resume() const noexcept {}
  };

  std::suspend_always initial_suspend() const noexcept { return {}; }
  FinalAwaiter final_suspend() const noexcept { return {}; }
  // Failures are values here; an exception that gets this far is a defect, and there is no one to hand it to.
  [[noreturn]] void unhandled_exception() const noexcept { std::terminate(); }
};

template <typename T>
struct TaskPromise : TaskPromiseBase {
  std::optional<T> value;
  Task<T> get_return_object();
  template <typename U>
    requires std::convertible_to<U&&, T>
  void return_value(U&& result) {
    value.emplace(std::forward<U>(result));
  }
};

template <>
struct TaskPromise<void> : TaskPromiseBase {
  Task<void> get_return_object();
  void return_void() const noexcept {}
};

}  // namespace detail

/// A coroutine that starts when it is awaited and resumes its awaiter when it ends. Move-only; it is awaited in the
/// expression that makes it, or given to a Scope. Destroying one that never ran is fine, destroying one that is
/// suspended half-way is not, unless its whole reactor goes down with it.
template <typename T = void>
class [[nodiscard]] Task {
 public:
  using promise_type = detail::TaskPromise<T>;
  using Handle = std::coroutine_handle<promise_type>;

  Task() = default;
  explicit Task(Handle handle) : handle_(handle) {}
  Task(Task&& other) noexcept : handle_(std::exchange(other.handle_, {})) {}
  Task& operator=(Task&& other) noexcept {
    std::swap(handle_, other.handle_);
    return *this;
  }
  ~Task() {
    if (handle_) handle_.destroy();
  }

  auto operator co_await() && noexcept {
    struct Awaiter {
      Handle handle;
      bool await_ready() const noexcept { return false; }
      std::coroutine_handle<> await_suspend(std::coroutine_handle<> awaiting) noexcept {
        handle.promise().continuation = awaiting;
        return handle;
      }
      T await_resume() {
        if constexpr (!std::is_void_v<T>) return *std::move(handle.promise().value);
      }
    };
    ASSERT(handle_);
    return Awaiter{handle_};
  }

  /// Gives up ownership; the runtime's spawn and block_on build on this.
  Handle release() { return std::exchange(handle_, {}); }

 private:
  Handle handle_;
};

template <typename T>
Task<T> detail::TaskPromise<T>::get_return_object() {
  return Task<T>(std::coroutine_handle<TaskPromise>::from_promise(*this));
}
inline Task<void> detail::TaskPromise<void>::get_return_object() {
  return Task<void>(std::coroutine_handle<TaskPromise>::from_promise(*this));
}

}  // namespace cenote
