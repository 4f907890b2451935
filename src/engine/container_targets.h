#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "cenote/base/error.h"
#include "cenote/base/uuid.h"
#include "cenote/cluster/pool_map.h"
#include "cenote/object/object_store.h"
#include "cenote/object/scrub.h"
#include "cenote/object/space_account.h"
#include "cenote/protocol/control_requests.h"
#include "cenote/runtime/task.h"

namespace cenote::engine {

/// Whether an engine could not be asked, or did not answer: what it would have said is not known.
bool is_of_the_way(const Error& error);

/// One container that is being read and proved on all targets.
struct ContainerScrub {
  explicit ContainerScrub(std::size_t targets) : parts(targets) {}

  struct Progress {
    object::ScrubReport report;
    std::vector<object::TargetFinding> findings;  ///< the first ones ...
    std::uint64_t found = 0;                      ///< ... of so many ...
    std::uint64_t damages = 0;                    ///< ... of which so many are not repaired
  };
  /// While the scrub runs it is its target's reactor that uses it.
  struct Part {
    Progress progress;
    CancelSource cancel;
  };
  Uuid container;
  std::uint64_t bytes_per_second = 0;  ///< of each target; 0: what the devices give
  std::vector<Part> parts;
};

/// A container as a target has it. Where targets of an engine differ, each way is told.
struct HeldContainer {
  Uuid id;
  bool kept = false;  ///< destroyed, and there only for its clones; of such a one the source is not told
  std::optional<object::CloneSource> source = std::nullopt;
  Uuid last_rollback = {};  ///< the request that made it; null: there was none
  friend bool operator==(const HeldContainer&, const HeldContainer&) = default;
};
/// How many containers one answer tells of.
inline constexpr std::size_t kMaxHeldContainers = 4096;
/// What targets hold as what their engine holds: each container once for every way in which they have it, by id.
std::vector<HeldContainer> merge_held(const std::vector<std::vector<HeldContainer>>& targets);

/// How far a target is with what it lacks of a pool.
struct TargetMoveStatus {
  std::uint16_t index = 0;               ///< within its engine
  std::uint64_t version = 0;             ///< of the map that wants the data there
  std::uint64_t bytes = 0, objects = 0;  ///< copied for that, since the engine started
  bool done = false;
  std::string obstacle = {};  ///< why it does not go on at the moment; empty: nothing does
  friend bool operator==(const TargetMoveStatus&, const TargetMoveStatus&) = default;
};

/// What the control state needs of the targets, all of them together. Called on the control reactor.
class ContainerTargets {
 public:
  /// Says which pool a container is of, before it is asked for anything else: some of many engines may have no part in
  /// that pool.
  virtual void note_pool(Uuid container, Uuid pool) {
    static_cast<void>(container);
    static_cast<void>(pool);
  }
  /// Makes the container known to every target, durably. A target that has it already is no error.
  /// Its bytes are charged to `account` from the first one on. With a source: as a clone, which keeps what it sees of
  /// the source from then on; until then a snapshot of that epoch has to.
  virtual Task<Result<>> create(Uuid container, object::ContainerProperties properties,
                                std::optional<object::CloneSource> source,
                                std::shared_ptr<object::SpaceAccount> account) = 0;
  /// The same for a container that every target has, with what it holds already.
  virtual Task<Result<>> charge_to(Uuid container, std::shared_ptr<object::SpaceAccount> account) = 0;
  /// Whoever is charged goes by the limits of the account of a container or pool as they are now. Nothing to do for
  /// targets that are charged to the account itself.
  virtual Task<Result<>> limits_changed(std::shared_ptr<object::SpaceAccount> account) {
    static_cast<void>(account);
    co_return Result<>();
  }
  /// Ends the container: no request that arrives after this returned finds it. A target without it is no error. What
  /// its clones see stays with the targets until the last of them is destroyed.
  virtual Task<Result<>> destroy(Uuid container) = 0;
  /// The highest epoch that any target of the container has used or seen, or the time if it is later: no version that
  /// was answered for is newer.
  virtual Task<Result<Epoch>> newest_epoch(Uuid container) = 0;
  /// When this returned no target of the container answers a request before `release_answers`, so nobody can tell in
  /// which order the targets did what they do in between. For kHoldAnswers at most: kBusy from `release_answers` if
  /// that was too short.
  virtual Task<Result<>> hold_answers(Uuid container) = 0;
  virtual Task<Result<>> release_answers(Uuid container) = 0;
  static constexpr Duration kHoldAnswers = std::chrono::seconds(2);
  /// Every target keeps what readers at `epoch` see of the container, durably, and gives no version at or below it any
  /// more. One that does so already is no error.
  virtual Task<Result<>> add_snapshot(Uuid container, Epoch epoch) = 0;
  /// No target keeps it any longer. A target without it, or without the container, is no error.
  virtual Task<Result<>> remove_snapshot(Uuid container, Epoch epoch) = 0;
  /// No target shows a version newer than `to` any more. A target where this request took effect already is no error.
  virtual Task<Result<>> roll_back(Uuid container, Epoch to, Uuid request) = 0;
  /// Whether no target would refuse it, as of object::ObjectStore.
  virtual Task<Result<>> check_rollback(Uuid container, Epoch to) = 0;
  /// What flattening would copy into the container, over all targets, or what of that they find within kMeasure: who
  /// asks for it waits.
  virtual Task<Result<object::Usage>> measure_flattening(Uuid container) = 0;
  static constexpr Duration kMeasure = std::chrono::seconds(5);
  /// Every target copies what the container shows of its source, in the background and until it is no clone any more.
  /// A target that does so or has done so, or that does not have it, is no error. Not kept over a restart.
  virtual Task<Result<>> start_flattening(Uuid container) = 0;
  /// How far that is. nullopt: it is a clone at no target.
  virtual Task<Result<std::optional<FlattenInfo>>> flattening(Uuid container) = 0;
  /// What is stored in the container, over all targets.
  virtual Task<Result<object::Usage>> used(Uuid container) = 0;
  /// The containers of an engine with a higher id than `after`, the first kMaxHeldContainers of them. Empty: no more.
  virtual Task<Result<std::vector<HeldContainer>>> list_containers(Uuid after) {
    static_cast<void>(after);
    co_return fail(Code::kUnsupported, "it is one engine that can be asked what it has");
  }
  /// The epochs that some target of an engine keeps for snapshots of the container. kContainerNotFound.
  virtual Task<Result<std::vector<Epoch>>> list_snapshots(Uuid container) {
    static_cast<void>(container);
    co_return fail(Code::kUnsupported, "it is one engine that can be asked what it has");
  }
  /// How the targets of an engine get what they lack of a pool: those that lack something, or did before this version.
  virtual Task<Result<std::vector<TargetMoveStatus>>> moves(Uuid pool) {
    static_cast<void>(pool);
    co_return std::vector<TargetMoveStatus>();
  }

  // Of several engines.
  /// The targets of one of them, which is asked for this pool or not: nullptr if there is none of this rank.
  virtual ContainerTargets* engine(cluster::Rank rank) {
    static_cast<void>(rank);
    return nullptr;
  }
  /// What that engine is to keep of the limits of an account, in a pool with this map.
  virtual std::shared_ptr<object::SpaceAccount> share_of(const object::SpaceAccount& account,
                                                         const cluster::PoolMap& map, cluster::Rank rank) const {
    static_cast<void>(account);
    static_cast<void>(map);
    static_cast<void>(rank);
    return nullptr;
  }
  /// Who is asked for a pool, and which shares of its limits engines have, is as this map says, unless a later one was
  /// taken.
  virtual void take_map(const cluster::PoolMap& map) { static_cast<void>(map); }

  virtual std::size_t target_count() const = 0;
  /// The engines that a new pool is made of, with their targets.
  virtual std::vector<cluster::EngineSpec> engines() const = 0;
  /// Proves all that is stored of the container, and returns what came of it on each target when all have ended.
  /// kCancelled; otherwise as of object::scrub_container. `scrub` stays where it is until then.
  virtual Task<std::vector<Result<>>> scrub(ContainerScrub& scrub) = 0;
  /// How far each target has come.
  virtual Task<std::vector<ContainerScrub::Progress>> progress_of(ContainerScrub& scrub) = 0;
  /// The scrub ends soon, on all targets.
  virtual Task<> cancel(ContainerScrub& scrub) = 0;
  /// Whether the stores are encrypted, so that containers can be.
  virtual bool encrypted() const = 0;
  /// What pools may promise in all.
  virtual std::uint64_t capacity_bytes() const = 0;

 protected:
  ~ContainerTargets() = default;
};

}  // namespace cenote::engine
