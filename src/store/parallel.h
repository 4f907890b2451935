#pragma once

#include <algorithm>
#include <cstdint>

#include "cenote/base/error.h"
#include "cenote/runtime/scope.h"

namespace cenote::store {
namespace detail {

struct ParallelState {
  std::uint64_t next = 0;
  std::uint64_t count = 0;
  Result<> outcome;
};

template <typename Step>
Task<> parallel_worker(ParallelState* state, Step* step) {
  while (state->next < state->count && state->outcome) {
    auto done = co_await (*step)(state->next++);
    if (!done && state->outcome) state->outcome = std::move(done);
  }
}

}  // namespace detail

/// Awaits step(0) .. step(count - 1), each a Task<Result<>>, at most `width` of them at a time, and returns the first
/// error; after one no further step begins. `step` must be a plain callable that makes the task, not itself a coroutine
/// with captures.
template <typename Step>
Task<Result<>> in_parallel(Reactor& reactor, std::uint64_t count, std::uint64_t width, Step step) {
  detail::ParallelState state;
  state.count = count;
  Scope scope(reactor);
  for (std::uint64_t i = 0; i < std::min(count, width); ++i) {
    scope.spawn(detail::parallel_worker(&state, &step));
  }
  co_await scope.drain();
  co_return std::move(state.outcome);
}

}  // namespace cenote::store
