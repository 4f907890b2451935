#pragma once

#include <map>
#include <memory>
#include <set>
#include <vector>

#include "container_targets.h"

namespace cenote::engine {

/// The targets of several engines as those of one. Calls go to all engines at the same time and end when all have: with
/// the first failure, if there is one, while at others the call may have taken effect. Making it again completes it.
/// Control reactor only.
///
/// Targets are numbered through the engines in their order, that of their ranks: first those of the first one.
///
/// A container is known to the engines of its pool only (`PoolMembers`); of a container whose pool nobody has told
/// since this object was made all engines are asked. Engines that are excluded from the pool are not asked, as they
/// serve nothing of it; what they miss they have to be told before they do again (EngineBriefing).
///
/// Each engine keeps its containers within its share of each limit (`share`); the shares of one map never add up to
/// more than the limit. An account that a part gets says that engine's share, at this moment, to be copied or sent: it
/// is charged by nobody.
class AllTargets final : public ContainerTargets {
 public:
  /// What each engine, by its place here, brought into a pool, in bytes: its share of limits. 0: it has no part in it.
  using PoolMembers = std::map<Uuid, std::vector<std::uint64_t>>;

  /// One for each engine, by rank, which outlive it. Pools that `members` does not name are those that are made from
  /// now on, of all engines that can be asked, with what they hold now.
  AllTargets(Reactor& reactor, std::vector<ContainerTargets*> engines, PoolMembers members = {});

  /// Only these engines, by their place here, are excluded from the pool from now on.
  void exclude(Uuid pool, std::set<std::size_t> engines) { excluded_[pool] = std::move(engines); }
  /// The same, and what else follows from the newest map of a pool; the place of an engine is its rank.
  void take_map(const cluster::PoolMap& map) override;
  ContainerTargets* engine(cluster::Rank rank) override {
    return rank.value() < engines_.size() ? engines_[rank.value()] : nullptr;
  }
  std::shared_ptr<object::SpaceAccount> share_of(const object::SpaceAccount& account, const cluster::PoolMap& map,
                                                 cluster::Rank rank) const override {
    return share(account, weights_in(map), rank.value());
  }

  void note_pool(Uuid container, Uuid pool) override;
  Task<Result<>> create(Uuid container, object::ContainerProperties properties,
                        std::optional<object::CloneSource> source,
                        std::shared_ptr<object::SpaceAccount> account) override;
  Task<Result<>> charge_to(Uuid container, std::shared_ptr<object::SpaceAccount> account) override;
  Task<Result<>> limits_changed(std::shared_ptr<object::SpaceAccount> account) override;
  Task<Result<>> destroy(Uuid container) override;
  Task<Result<Epoch>> newest_epoch(Uuid container) override;
  Task<Result<>> hold_answers(Uuid container) override;
  Task<Result<>> release_answers(Uuid container) override;
  Task<Result<>> add_snapshot(Uuid container, Epoch epoch) override;
  Task<Result<>> remove_snapshot(Uuid container, Epoch epoch) override;
  Task<Result<>> roll_back(Uuid container, Epoch to, Uuid request) override;
  Task<Result<>> check_rollback(Uuid container, Epoch to) override;
  Task<Result<object::Usage>> measure_flattening(Uuid container) override;
  Task<Result<>> start_flattening(Uuid container) override;
  Task<Result<std::optional<FlattenInfo>>> flattening(Uuid container) override;
  /// At the engines that can be asked.
  Task<Result<object::Usage>> used(Uuid container) override;
  std::size_t target_count() const override;
  std::vector<cluster::EngineSpec> engines() const override;
  Task<std::vector<Result<>>> scrub(ContainerScrub& scrub) override;
  Task<std::vector<ContainerScrub::Progress>> progress_of(ContainerScrub& scrub) override;
  Task<> cancel(ContainerScrub& scrub) override;
  /// Of all engines.
  bool encrypted() const override;
  std::uint64_t capacity_bytes() const override;

 private:
  /// A scrub as it was handed to the engines, one each.
  using Parts = std::vector<std::unique_ptr<ContainerScrub>>;

  Task<> destroy_at_excluded(Uuid container);
  template <typename MakeTask>
  Task<Result<>> on_all(MakeTask make_task);
  /// The same at the engines of the container's pool.
  template <typename MakeTask>
  Task<Result<>> on_members(const Uuid& container, MakeTask make_task);
  void note_account(const Uuid& container, const object::SpaceAccount& account);
  /// An engine of the container's pool that is not excluded.
  bool is_member(const Uuid& container, std::size_t engine) const;
  bool is_excluded(const Uuid& pool, std::size_t engine) const;
  using Weights = std::vector<std::uint64_t>;
  Weights weights_in(const cluster::PoolMap& map) const;
  /// Of the pool that an account is of, or belongs to.
  const Weights& weights_of(const object::SpaceAccount& account) const;
  std::shared_ptr<object::SpaceAccount> share(const object::SpaceAccount& whole, const Weights& weights,
                                              std::size_t engine) const;
  std::shared_ptr<object::SpaceAccount> share(const object::SpaceAccount& whole, std::size_t engine) const {
    return share(whole, weights_of(whole), engine);
  }
  Task<Result<>> tell_limits(std::size_t engine, const object::SpaceAccount& account);
  std::shared_ptr<Parts> split(ContainerScrub& scrub) const;
  Task<Result<>> scrub_part(std::size_t engine, ContainerScrub& part, std::vector<Result<>>& outcomes);
  Task<Result<>> read_progress(std::size_t engine, ContainerScrub& part,
                               std::vector<ContainerScrub::Progress>& progress);

  Reactor& reactor_;
  std::vector<ContainerTargets*> engines_;
  PoolMembers members_;
  std::map<Uuid, std::set<std::size_t>> excluded_;                  // by pool
  std::map<Uuid, cluster::MapVersion> versions_;                    // of the maps that were taken
  std::map<Uuid, Uuid> pools_;                                      // of containers
  Weights weights_;                                                 ///< of pools that are not known
  std::map<const ContainerScrub*, std::shared_ptr<Parts>> scrubs_;  // that run
};

}  // namespace cenote::engine
