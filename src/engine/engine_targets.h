#pragma once

#include <string>

#include "container_targets.h"
#include "engine_link.h"
#include "leader_term.h"

namespace cenote::engine {

/// The targets of one engine, another one or this, as the leader of the control state reaches them. Control reactor
/// only.
///
/// Every call is bounded: it ends with what the engine answers, or within its patience, or with the leader's term.
/// Errors name the engine. A call that failed may have taken effect, and can be made again (docs/protocols/targets.md);
/// kLeaseExpired: somebody else leads. What cannot be undone is asked when the engine's copy of the control state knows
/// of it. Accounts are not held, but told: what the engine is to keep, its share already.
class EngineTargets final : public ContainerTargets {
 public:
  /// For most calls; for what others wait for while they hold their answers; for a scrub to go on; for a copy.
  static constexpr Duration kPatience = std::chrono::seconds(10);
  static constexpr Duration kHoldPatience = std::chrono::seconds(1);
  static constexpr Duration kCopyPatience = std::chrono::seconds(3);

  /// `spec` as far as it is known: how many targets there are, and what they hold, if the engine cannot be asked yet.
  /// Term and link outlive it.
  EngineTargets(Reactor& reactor, LeaderTerm& term, EngineLink& link, std::string name, cluster::EngineSpec spec);

  /// Asks what the engine's targets are; then it has heard of this leader, too.
  Task<Result<>> describe();
  /// Whether it answers that; nothing is learned from it.
  Task<bool> answers();
  const std::string& name() const { return name_; }
  /// Returns when the engine's copy of the control state has all that the leader has made or seen, or the engine cannot
  /// be asked, or knows no copies.
  Task<> keep_copy();

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
  Task<Result<object::Usage>> used(Uuid container) override;
  Task<Result<std::vector<HeldContainer>>> list_containers(Uuid after) override;
  Task<Result<std::vector<Epoch>>> list_snapshots(Uuid container) override;
  Task<Result<std::vector<TargetMoveStatus>>> moves(Uuid pool) override;
  std::size_t target_count() const override { return spec_.target_bytes.size(); }
  /// None while it is not known what it holds.
  std::vector<cluster::EngineSpec> engines() const override {
    if (capacity_bytes_ == 0) return {};
    return {spec_};
  }
  /// Asks how it goes until it has ended; an engine that cannot be asked any more has failed.
  Task<std::vector<Result<>>> scrub(ContainerScrub& scrub) override;
  /// As of when the engine was last asked, which is a second ago at most.
  Task<std::vector<ContainerScrub::Progress>> progress_of(ContainerScrub& scrub) override;
  Task<> cancel(ContainerScrub& scrub) override;
  bool encrypted() const override { return encrypted_; }
  std::uint64_t capacity_bytes() const override { return capacity_bytes_; }

 private:
  Task<Result<TargetsReply>> call(TargetsRequest request, Duration patience = kPatience);
  Task<Result<>> tell(TargetsRequest request, Duration patience = kPatience);
  Task<Result<>> tell_for_good(TargetsRequest request);
  Task<Result<>> follow(ContainerScrub& scrub, Uuid id, std::vector<Result<>>& outcomes);

  Reactor& reactor_;
  LeaderTerm& term_;
  EngineLink& link_;
  std::string name_;
  cluster::EngineSpec spec_;
  bool encrypted_ = false;
  std::uint64_t capacity_bytes_ = 0;
  std::uint64_t hold_number_ = 0;  // of the last hold
  cluster::Revision copied_;       // the engine's copy has everything up to this
  bool knows_copies_ = true;
};

}  // namespace cenote::engine
