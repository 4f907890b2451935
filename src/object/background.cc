#include <algorithm>
#include <utility>

#include "core.h"
#include "merge.h"

namespace cenote::object {
namespace {

constexpr Duration kInterval = std::chrono::seconds(1);
/// A slice takes some tens of microseconds: with this pause between them, background work leaves the foreground at
/// least nine tenths of the core. That is while a quarter of the data space is free; from there down to a sixteenth the
/// pause shrinks to none, since requests that find no room are worse than slower ones.
constexpr Duration kPause = std::chrono::microseconds(500);
constexpr double kAmpleSpace = 1.0 / 4, kLittleSpace = 1.0 / 16;

Result<bool> reclaim_requests_slice(Core& core, store::View& view) {
  constexpr std::uint32_t kEntries = 200;
  core.batch.clear();
  core.batch.set_space_class(store::SpaceClass::kReclaim);
  const auto keys = core.sessions.reclaim(core.wall_now(), kEntries, core.request_tree, core.batch);
  if (keys.empty()) return true;
  CHECK_OK(view.apply(core.batch));
  core.sessions.reclaimed(keys);
  return keys.size() < kEntries;
}

/// Where space is scarce it is worth more than the past, and readers of old epochs have this long, so that a user who
/// deletes because nothing fits soon sees it help.
constexpr Duration kScarceRetention = std::chrono::seconds(5);

/// For so long after a write was refused for a quota: long enough to delete and see it help.
constexpr Duration kWantedFor = std::chrono::seconds(30);

/// Whether what the container may hold is nearly used up, or was too little for somebody.
bool is_scarce(const Core& core, Container& container) {
  if (!container.account) return false;
  const std::uint64_t refusals = container.account->refusals();
  if (std::exchange(container.refusals, refusals) != refusals) container.wanted_until = core.reactor.now() + kWantedFor;
  return container.account->is_scarce() || core.reactor.now() < container.wanted_until;
}

bool is_short_of_space(const Core& core, Container& container) {
  const store::StoreStatus status = core.store.status();
  const double scarce = core.options.scarce_space * static_cast<double>(status.data_blocks_total);
  return is_scarce(core, container) || static_cast<double>(status.data_blocks_free) < scarce;
}

Duration retention_of(const Core& core, Container& container) {
  return is_short_of_space(core, container) ? std::min(core.options.retention, kScarceRetention)
                                            : core.options.retention;
}

Duration polite_pause(const Core& core) {
  const store::StoreStatus status = core.store.status();
  const double free = static_cast<double>(status.data_blocks_free) / static_cast<double>(status.data_blocks_total);
  const double ease = std::clamp((free - kLittleSpace) / (kAmpleSpace - kLittleSpace), 0.0, 1.0);
  return Duration(static_cast<Duration::rep>(ease * static_cast<double>(kPause.count())));
}

/// The latest epoch that no reader within the retention can ask for.
Epoch background_bound(const Core& core, Duration retention) {
  const auto past = (core.wall_now() - retention).time_since_epoch().count();
  return Epoch(past > 0 ? static_cast<std::uint64_t>(past) : 0);
}

/// While there are requests, longer work is followed by a pause of so many times its length.
constexpr int kGiveWay = 9;
constexpr Duration kLongestPause = std::chrono::milliseconds(200);

/// What fails, say for a damaged page, keeps only its own space from returning.
Task<Result<>> run_once(Core& core) {
  Result<> outcome = co_await reclaim_requests(core);
  keep_first(outcome, co_await reclaim_kept(core, true));
  keep_first(outcome, co_await reclaim_destroyed(core, true));
  std::vector<std::pair<Uuid, Epoch>> due;
  for (auto& [id, container] : core.containers) {
    const Duration retention = retention_of(core, container);
    const Epoch bound = background_bound(core, retention);
    // A pass looks at the whole container, so under steady change it waits until there is something to gain.
    const auto patience = static_cast<std::uint64_t>(retention.count()) / 4;
    if (container.unmerged == kEpochZero || container.unmerged.value() + patience > bound.value()) continue;
    // Of one that is at rest only data goes, and only where it is in the way: its end gives back the rest.
    if (core.is_at_rest(container) && (!is_short_of_space(core, container) || container.changed <= container.thinned))
      continue;
    due.emplace_back(id, bound);
  }
  for (const auto& [id, bound] : due) {
    if (core.background.stopping()) break;
    keep_first(outcome, co_await aggregate_container(core, id, bound, true));
  }
  co_return outcome;
}

/// False: a rollback or the end of a link came between.
Task<Result<bool>> merge_container(Core& core, Uuid id, Epoch bound, Merge::What what, bool polite) {
  Merge merge(core, id, bound, what);
  CO_TRY(bool going, co_await core.store.run([&merge](store::View& view) { return merge.start(view); }));
  while (going) {
    CO_TRY(const bool done, co_await core.store.run([&merge](store::View& view) { return merge.slice(view); }));
    if (done) break;
    CO_CHECK_OK(co_await end_slice(core, polite));
  }
  co_return !merge.interrupted();
}

}  // namespace

Task<Result<>> end_slice(Core& core, bool polite) {
  if (core.background.stopping()) co_return fail(Code::kStopped, "the target is closing");
  if (polite && core.foreground > 0) {
    const Duration pause = polite_pause(core);
    if (pause > Duration::zero()) co_return co_await sleep_for(core.reactor, pause, core.background.cancel_source());
  }
  co_await core.reactor.yield();
  co_return Result<>();
}

Task<Result<>> give_way(Core& core, Instant began, std::uint64_t requests_before) {
  CO_CHECK_OK(co_await end_slice(core, true));
  if (core.foreground == 0 && core.counters.requests() == requests_before) co_return Result<>();
  const Duration pause = std::min(kLongestPause, kGiveWay * (core.reactor.now() - began));
  co_return co_await sleep_for(core.reactor, pause, core.background.cancel_source());
}

Task<Result<>> reclaim_requests(Core& core) {
  for (bool done = false; !done;) {
    CO_TRY(done, co_await core.store.run([&core](store::View& view) { return reclaim_requests_slice(core, view); }));
    CO_CHECK_OK(co_await end_slice(core, true));
  }
  co_return Result<>();
}

Task<> run_background(Core& core) {
  while (!core.background.stopping()) {
    {
      const auto slept = co_await sleep_for(core.reactor, kInterval, core.background.cancel_source());
      if (!slept) break;
    }
    // Nothing can be removed or given back any more.
    if (core.store.status().fenced) break;
    const auto result = co_await run_once(core);
    // The next round tries again; what keeps failing shows in the counter and fails requests, too.
    if (!result && !(result.error() == Code::kStopped)) ++core.counters.background_failures;
  }
}

Task<Result<>> aggregate_container(Core& core, Uuid id, Epoch bound, bool polite) {
  for (bool whole = false; !whole;) {
    // Looked at again by every slice.
    const auto found = core.containers.find(id);
    if (found != core.containers.end() && core.is_at_rest(found->second)) {
      CO_CHECK_OK(co_await merge_container(core, id, bound, Merge::What::kHiddenData, polite));
      break;
    }
    CO_CHECK_OK(co_await purge_rolled_back(core, id, polite));
    CO_TRY(whole, co_await merge_container(core, id, bound, Merge::What::kAll, polite));
  }
  co_return Result<>();
}

Task<Result<>> aggregate_now(Core& core, Uuid id) {
  const auto found = core.containers.find(id);
  if (found == core.containers.end()) co_return Result<>();
  const Epoch bound = background_bound(core, retention_of(core, found->second));
  co_return co_await aggregate_container(core, id, bound, true);
}

Task<Result<>> aggregate_all(Core& core, Epoch bound) {
  CO_CHECK_OK(co_await reclaim_requests(core));
  CO_CHECK_OK(co_await reclaim_kept(core, false));
  CO_CHECK_OK(co_await reclaim_destroyed(core, false));
  std::vector<Uuid> ids;
  for (const auto& [id, container] : core.containers) ids.push_back(id);
  for (const Uuid& id : ids) CO_CHECK_OK(co_await aggregate_container(core, id, bound, false));
  co_return Result<>();
}

}  // namespace cenote::object
