#include "flattenings.h"

#include <algorithm>
#include <vector>

namespace cenote::engine {
namespace {

// A short one is seen to end at once, and a long one costs nothing.
constexpr Duration kFirstPause = std::chrono::milliseconds(10);
constexpr Duration kLongestPause = std::chrono::seconds(1);

}  // namespace

Task<Result<ContainerInfo>> Flattenings::begin(std::string pool, std::string container, Until until) {
  CO_TRY(ContainerInfo info, co_await containers_.query(pool, container));
  if (!info.clone_of || info.flattening) co_return info;
  // It may take its time, in which others change what they like.
  CO_CHECK_OK(co_await containers_.check_flattening(info.id));
  {
    CO_CHECK_OK(co_await turn_.acquire(1, until));
    const auto begun = co_await containers_.begin_flattening(info.id);
    turn_.release(1);
    CO_CHECK_OK(begun);
  }
  watch(info.id);
  co_return co_await containers_.query(std::move(pool), std::move(container));
}

Task<Result<>> Flattenings::resume() {
  CO_TRY(const auto records, co_await store_.containers());
  for (const ContainerRecord& record : records) {
    if (record.state != ContainerRecord::State::kReady || !record.flattening) continue;
    // A target that cannot go on is no reason not to start.
    const auto ended = co_await end(record.id);
    if (!ended || !*ended) watch(record.id);
  }
  co_return Result<>();
}

void Flattenings::watch(const Uuid& container) {
  going_on_.insert(container);
  pause_ = kFirstPause;
  if (!watching_) watching_ = scope_.spawn(run());
}

Task<> Flattenings::run() {
  while (!going_on_.empty()) {
    const auto slept = co_await sleep_for(reactor_, pause_, scope_.cancel_source());
    if (!slept) break;
    pause_ = std::min(2 * pause_, kLongestPause);
    const std::vector<Uuid> containers(going_on_.begin(), going_on_.end());
    for (const Uuid& container : containers) {
      // What cannot be told or done now can be later.
      const auto ended = co_await end(container);
      if (ended && *ended) going_on_.erase(container);
    }
  }
  watching_ = false;
}

/// True: the container is no clone any more, also in the control state, or it is gone.
Task<Result<bool>> Flattenings::end(Uuid container) {
  CO_TRY(const auto found, co_await store_.container(container));
  if (!found || found->record.state == ContainerRecord::State::kDestroying) co_return true;
  // Those that do so already go on; others may have been started anew.
  CO_CHECK_OK(co_await targets_.start_flattening(container));
  CO_TRY(const auto progress, co_await targets_.flattening(container));
  if (progress) co_return false;
  CO_CHECK_OK(co_await turn_.acquire(1, {kNoDeadline, &scope_.cancel_source()}));
  const auto ended = co_await containers_.end_flattening(container);
  turn_.release(1);
  CO_CHECK_OK(ended);
  co_return true;
}

}  // namespace cenote::engine
