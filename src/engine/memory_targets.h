#pragma once

#include <algorithm>
#include <functional>
#include <map>
#include <set>
#include <string>
#include <vector>

#include "cenote/runtime/sync.h"
#include "container_targets.h"

namespace cenote::engine {

/// Containers of several targets in memory; for tests. Outlives the process that it is used by.
class MemoryTargets final : public ContainerTargets {
 public:
  explicit MemoryTargets(std::size_t count) : containers(count), snapshots(count), rollbacks(count), clones(count) {}

  /// Called before each target is told; an error is the answer of that target, and the rest hears nothing.
  std::function<Result<>()> before = [] { return Result<>(); };
  std::uint64_t capacity = 1000;
  std::uint32_t nodes = 1;  ///< with an engine each
  std::vector<cluster::EngineSpec> engines() const override {
    std::vector<cluster::EngineSpec> specs;
    for (std::uint32_t rank = 0; rank < nodes; ++rank) {
      specs.push_back({.path = "node" + std::to_string(rank),
                       .rank = cluster::Rank(rank),
                       .id = Uuid::from_random(1, 1 + rank),
                       .target_bytes = std::vector<std::uint64_t>(containers.size(), 1u << 30)});
    }
    return specs;
  }
  object::Usage holds;
  bool are_encrypted = false;
  std::vector<std::map<Uuid, object::ContainerProperties>> containers;
  std::vector<std::map<Uuid, std::set<Epoch>>> snapshots;
  /// Of each target, the requests that rolled a container back, in their order.
  std::vector<std::map<Uuid, std::vector<std::pair<Uuid, Epoch>>>> rollbacks;
  Epoch clock{1000};
  bool told_late = false;  ///< may be told of snapshots after everybody else
  /// What was before this time is merged.
  std::map<Uuid, Epoch> merged;

  std::map<Uuid, std::shared_ptr<object::SpaceAccount>> accounts;

  /// Of each target, what its clones are clones of.
  std::vector<std::map<Uuid, object::CloneSource>> clones;

  bool is_retained(std::size_t target, const object::CloneSource& source) {
    const auto same = [&](const auto& clone) { return clone.second == source; };
    return snapshots[target][source.container].contains(source.epoch) || std::ranges::any_of(clones[target], same);
  }
  Task<Result<>> create(Uuid container, object::ContainerProperties properties,
                        std::optional<object::CloneSource> source,
                        std::shared_ptr<object::SpaceAccount> account) override {
    for (std::size_t target = 0; target < containers.size(); ++target) {
      CO_CHECK_OK(before());
      const bool known = containers[target].contains(container);
      const auto clone = clones[target].find(container);
      const bool same = clone == clones[target].end() ? !source : source && clone->second == *source;
      if (known && !same) co_return fail(Code::kExists, "another container");
      if (source && !known) {
        if (!containers[target].contains(source->container)) co_return fail(Code::kContainerNotFound, "no source");
        if (!is_retained(target, *source)) co_return fail(Code::kConditionFailed, "no such snapshot");
        clones[target].emplace(container, *source);
      }
      containers[target].try_emplace(container, properties);
    }
    accounts[container] = std::move(account);
    co_return Result<>();
  }
  Task<Result<>> charge_to(Uuid container, std::shared_ptr<object::SpaceAccount> account) override {
    accounts[container] = std::move(account);
    co_return Result<>();
  }
  /// A destruction waits for it.
  Event* may_destroy = nullptr;
  Task<Result<>> destroy(Uuid container) override {
    if (may_destroy != nullptr) CO_CHECK_OK(co_await may_destroy->wait(Until::forever()));
    for (auto& target : containers) {
      CO_CHECK_OK(before());
      target.erase(container);
      forget_clones(static_cast<std::size_t>(&target - containers.data()));
      snapshots[static_cast<std::size_t>(&target - containers.data())].erase(container);
    }
    merged.erase(container);
    accounts.erase(container);
    co_return Result<>();
  }
  /// A clone that is gone stays a clone as long as it has clones of its own.
  void forget_clones(std::size_t target) {
    auto& links = clones[target];
    const auto has_clones = [&](const Uuid& container) {
      return std::ranges::any_of(links, [&](const auto& link) { return link.second.container == container; });
    };
    for (bool changed = true; changed;)
      changed = std::erase_if(links, [&](const auto& link) {
                  return !containers[target].contains(link.first) && !has_clones(link.first);
                }) > 0;
  }
  bool held = false;
  Task<Result<>> hold_answers(Uuid) override {
    held = true;
    co_return Result<>();
  }
  Task<Result<>> release_answers(Uuid) override {
    held = false;
    co_return Result<>();
  }
  Task<Result<Epoch>> newest_epoch(Uuid) override { co_return clock; }
  Task<Result<>> add_snapshot(Uuid container, Epoch epoch) override {
    ASSERT(held || told_late);
    clock = std::max(clock, epoch);
    for (auto& target : snapshots) {
      CO_CHECK_OK(before());
      if (!containers.front().contains(container)) co_return fail(Code::kContainerNotFound, "no container");
      if (epoch < merged[container] && !target[container].contains(epoch)) co_return fail(Code::kEpochTooOld, "merged");
      target[container].insert(epoch);
    }
    co_return Result<>();
  }
  Task<Result<>> remove_snapshot(Uuid container, Epoch epoch) override {
    for (auto& target : snapshots) {
      CO_CHECK_OK(before());
      target[container].erase(epoch);
    }
    co_return Result<>();
  }
  Task<Result<>> roll_back(Uuid container, Epoch to, Uuid request) override {
    ASSERT(held);
    for (auto& target : rollbacks) {
      CO_CHECK_OK(before());
      const auto& kept = snapshots[static_cast<std::size_t>(&target - rollbacks.data())][container];
      if (!kept.empty() && *kept.rbegin() > to) co_return fail(Code::kConditionFailed, "a later snapshot");
      for (const auto& [clone, source] : clones[static_cast<std::size_t>(&target - rollbacks.data())])
        if (source.container == container && source.epoch > to) co_return fail(Code::kConditionFailed, "a later clone");
      auto& done = target[container];
      if (done.empty() || done.back().first != request) done.emplace_back(request, to);
    }
    co_return Result<>();
  }
  Task<Result<>> check_rollback(Uuid container, Epoch to) override {
    CO_CHECK_OK(before());
    for (const auto& target : clones)
      for (const auto& [clone, source] : target)
        if (source.container == container && source.epoch > to) co_return fail(Code::kConditionFailed, "a later clone");
    co_return Result<>();
  }
  /// What flattening would copy, and what it comes to: a target that was told is done unless it `is_slow`.
  object::Usage flattening_adds;
  bool is_slow = false;
  Task<Result<object::Usage>> measure_flattening(Uuid) override { co_return flattening_adds; }
  Task<Result<>> start_flattening(Uuid container) override {
    for (std::size_t target = 0; target < clones.size(); ++target) {
      CO_CHECK_OK(before());
      if (is_slow) continue;
      clones[target].erase(container);
      forget_clones(target);
    }
    co_return Result<>();
  }
  Task<Result<std::optional<FlattenInfo>>> flattening(Uuid container) override {
    CO_CHECK_OK(before());
    for (const auto& target : clones)
      if (target.contains(container)) co_return FlattenInfo{.left_bytes = flattening_adds.bytes, .obstacle = {}};
    co_return std::nullopt;
  }
  Task<Result<object::Usage>> used(Uuid container) override {
    co_return containers.front().contains(container) ? holds : object::Usage();
  }
  Task<Result<std::vector<HeldContainer>>> list_containers(Uuid after) override {
    std::vector<std::vector<HeldContainer>> found(containers.size());
    for (std::size_t target = 0; target < containers.size(); ++target) {
      for (const auto& [id, properties] : containers[target]) {
        const auto source = clones[target].find(id);
        if (id <= after) continue;
        found[target].push_back({.id = id});
        if (source != clones[target].end()) found[target].back().source = source->second;
      }
    }
    co_return merge_held(found);
  }
  Task<Result<std::vector<Epoch>>> list_snapshots(Uuid container) override {
    std::set<Epoch> epochs;
    for (auto& target : snapshots) epochs.insert(target[container].begin(), target[container].end());
    co_return std::vector(epochs.begin(), epochs.end());
  }
  std::vector<TargetMoveStatus> moving;
  Task<Result<std::vector<TargetMoveStatus>>> moves(Uuid) override { co_return moving; }
  /// What a scrub of each target came to; it ends when `scrubbed` says so, or when it is cancelled.
  std::vector<ContainerScrub::Progress> scrub_finds;
  Event* scrubbed = nullptr;
  std::size_t scrubs = 0;
  std::size_t target_count() const override { return containers.size(); }
  Task<std::vector<Result<>>> scrub(ContainerScrub& scrub) override {
    ++scrubs;
    Result<> outcome;
    if (scrubbed != nullptr) outcome = co_await scrubbed->wait({kNoDeadline, &scrub.parts.front().cancel});
    for (std::size_t i = 0; i < scrub_finds.size(); ++i) scrub.parts[i].progress = scrub_finds[i];
    co_return std::vector<Result<>>(containers.size(), outcome);
  }
  Task<std::vector<ContainerScrub::Progress>> progress_of(ContainerScrub& scrub) override {
    std::vector<ContainerScrub::Progress> progress;
    for (const ContainerScrub::Part& part : scrub.parts) progress.push_back(part.progress);
    co_return progress;
  }
  Task<> cancel(ContainerScrub& scrub) override {
    for (ContainerScrub::Part& part : scrub.parts) part.cancel.cancel();
    co_return;
  }
  bool encrypted() const override { return are_encrypted; }
  std::uint64_t capacity_bytes() const override { return capacity; }
};

}  // namespace cenote::engine
