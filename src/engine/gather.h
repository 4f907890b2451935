#pragma once

#include <cstddef>
#include <vector>

#include "cenote/runtime/scope.h"
#include "cenote/runtime/task.h"

namespace cenote::engine {

namespace detail {
template <typename MakeTask>
Task<> run_one(MakeTask& make_task, std::size_t index, Result<>& outcome) {
  outcome = co_await make_task(index);
}
}  // namespace detail

/// Runs `make_task(0)` to `make_task(count - 1)`, each a Task<Result<>>, at the same time on `home`, and returns their
/// results in order once all have ended.
template <typename MakeTask>
Task<std::vector<Result<>>> gather(Reactor& home, std::size_t count, MakeTask make_task) {
  std::vector<Result<>> outcomes(count);
  Scope scope(home);
  for (std::size_t index = 0; index < count; ++index) {
    const bool started = scope.spawn(detail::run_one(make_task, index, outcomes[index]));
    ASSERT(started);
  }
  co_await scope.drain();
  co_return outcomes;
}

/// The first failure among several outcomes, or ok.
inline Result<> first_failure(std::vector<Result<>> outcomes) {
  for (Result<>& outcome : outcomes) {
    if (!outcome) return std::move(outcome);
  }
  return {};
}

}  // namespace cenote::engine
