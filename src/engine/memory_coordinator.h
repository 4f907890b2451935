#pragma once

#include <functional>
#include <map>

#include "cenote/base/format.h"
#include "cenote/cluster/coordinator.h"

namespace cenote::engine {

/// What a coordinator keeps, apart from any process; for tests.
struct CoordinatorState {
  std::map<std::string, cluster::KeyValue> entries;
  std::uint64_t revision = 0;
};

/// A coordinator over a map, with a plan of failure; for tests. Every access first asks `alive`.
class MemoryCoordinator final : public cluster::Coordinator {
 public:
  explicit MemoryCoordinator(CoordinatorState& state) : state_(state) {}

  /// Called before each commit takes effect; false: the process died, neither this nor anything later happens.
  std::function<bool()> alive = [] { return true; };

  Task<Result<std::optional<cluster::KeyValue>>> get(std::string key, Until = {}) override {
    if (dead_) co_return died();
    const auto found = state_.entries.find(key);
    if (found == state_.entries.end()) co_return std::optional<cluster::KeyValue>();
    co_return std::optional(found->second);
  }

  Task<Result<std::vector<cluster::KeyValue>>> range(std::string prefix, std::string after, std::size_t limit,
                                                     Until = {}) override {
    if (dead_) co_return died();
    std::vector<cluster::KeyValue> found;
    for (auto entry = state_.entries.lower_bound(prefix); entry != state_.entries.end(); ++entry) {
      if (!entry->first.starts_with(prefix) || found.size() == limit) break;
      if (entry->first > after) found.push_back(entry->second);
    }
    co_return found;
  }

  Task<Result<cluster::Revision>> commit(cluster::Transaction transaction, Until = {}) override {
    CO_CHECK_OK(cluster::check_transaction(transaction));
    if (!dead_) dead_ = !alive();
    if (dead_) co_return died();
    for (const auto& comparison : transaction.comparisons()) {
      const auto found = state_.entries.find(comparison.key);
      const auto actual = found == state_.entries.end() ? cluster::Revision(0) : found->second.modified;
      if (actual != comparison.revision) co_return failf(Code::kConditionFailed, "'{}' changed", comparison.key);
    }
    const cluster::Revision revision(++state_.revision);
    for (const auto& change : transaction.changes()) {
      if (change.value) {
        state_.entries.insert_or_assign(change.key,
                                        cluster::KeyValue{change.key, *change.value, revision, change.lease});
      } else {
        state_.entries.erase(change.key);
      }
    }
    co_return revision;
  }

  Task<Result<cluster::Revision>> revision(Until = {}) override { co_return cluster::Revision(state_.revision); }
  // What the control state does not use.
  Result<std::unique_ptr<cluster::Watch>> watch(std::string, cluster::Revision) override {
    return fail(Code::kUnsupported);
  }
  Task<Result<cluster::Lease>> grant_lease(Duration, Until = {}) override { co_return fail(Code::kUnsupported); }
  Task<Result<cluster::Lease>> keep_alive(cluster::LeaseId, Until = {}) override { co_return fail(Code::kUnsupported); }
  Task<Result<>> revoke_lease(cluster::LeaseId, Until = {}) override { co_return fail(Code::kUnsupported); }

  Task<Result<>> close() override { co_return Result<>(); }

 private:
  static std::unexpected<Error> died() { return fail(Code::kDeviceDead, "the process died"); }

  CoordinatorState& state_;
  bool dead_ = false;
};

}  // namespace cenote::engine
