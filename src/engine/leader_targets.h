#pragma once

#include <functional>
#include <memory>
#include <set>
#include <string>
#include <vector>

#include "all_targets.h"
#include "cenote/cluster/engine_list.h"
#include "cenote/rpc/link.h"
#include "cenote/rpc/peer.h"
#include "cenote/rpc/session.h"
#include "cenote/runtime/scope.h"
#include "engine_returns.h"
#include "engine_targets.h"

namespace cenote::engine {

/// The targets of all engines of a system, as the leader of the control service reaches them: its own, and others over
/// the network. Made anew when engines come or go. Control reactor only.
class LeaderTargets {
 public:
  struct Options {
    Uuid system;
    Uuid engine;        ///< of the leader, as which it introduces itself
    cluster::Rank own;  ///< its rank
    /// Told of engines that are up and cannot be asked.
    std::function<void(cluster::Rank, const std::string&)> on_suspicion = [](cluster::Rank, const std::string&) {};
  };

  /// `engines` by rank, all that ever had a place; `own` leads to this engine's targets. References outlive it.
  LeaderTargets(Reactor& reactor, rpc::Transport& transport, LeaderTerm& term, EngineLink& own,
                std::vector<cluster::ListedEngine> engines, Options options);
  /// After `stop`.
  ~LeaderTargets();

  /// Asks all engines that are up what their targets are, and the coordinator which engines have a part in which pool.
  /// That an engine cannot be asked is no failure: it has no part in pools that are made. From then on engines that are
  /// excluded from pools are asked for nothing of them; the coordinator outlives that.
  Task<Result<>> open(cluster::Coordinator& coordinator, Until until);
  /// Once it is open.
  ContainerTargets& all() { return *all_; }
  /// Returns when all engines that can be asked have copies of everything that the leader has made or seen.
  Task<> keep_copies();
  /// Whether an engine answers by now that could not be asked when it was opened; those are tried again and again.
  bool reached_more() const { return reached_more_; }
  /// Grows when engines were excluded: what waited for them need not any more.
  std::uint64_t exclusions() const { return exclusions_; }
  /// Engines that pools have lost, as far as has been heard.
  const std::map<Uuid, PoolLosses>& losses() const { return losses_; }
  /// Engines that have left pools (`engines_that_left`), and the versions of the maps that say so.
  struct Left {
    cluster::MapVersion version;
    std::vector<cluster::Rank> engines;
  };
  const std::map<Uuid, Left>& left() const { return left_; }
  /// Ends calls that run.
  Task<> stop();

 private:
  struct Engine {
    cluster::ListedEngine listed;
    std::unique_ptr<rpc::Peer> peer;  ///< null: this engine, or one that is not up
    std::unique_ptr<EngineLink> link;
    std::unique_ptr<EngineTargets> targets;
    bool missed = false;  ///< it is up, and did not say what its targets are
  };
  static Task<> try_missed(LeaderTargets& self);
  Task<Result<>> try_engine(Engine& engine);
  Task<Result<>> describe(Engine& engine);
  static Task<Result<>> keep_copy(Engine& engine);
  static Task<> follow_maps(LeaderTargets& self, cluster::Coordinator& coordinator, cluster::Revision from);
  Task<Result<>> follow_from(cluster::Coordinator& coordinator, cluster::Revision from);
  void take_map(const cluster::StoredMap& stored);

  static constexpr Duration kRetryPause = std::chrono::milliseconds(200);
  static constexpr Duration kMissedPause = std::chrono::seconds(1);

  Reactor& reactor_;
  Options options_;
  Scope background_;
  rpc::ClientSession session_;
  std::vector<Engine> engines_;
  std::unique_ptr<AllTargets> all_;
  bool reached_more_ = false;
  std::map<Uuid, std::set<std::size_t>> excluded_;  // by pool, the places of engines
  std::uint64_t exclusions_ = 0;
  std::map<Uuid, PoolLosses> losses_;  // of pools with any
  std::map<Uuid, Left> left_;          // the same
};

}  // namespace cenote::engine
