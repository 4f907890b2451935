#pragma once

#include <map>
#include <string>
#include <utility>
#include <vector>

#include "cenote/base/error.h"
#include "cenote/base/time.h"
#include "cenote/base/uuid.h"
#include "cenote/cluster/engine_list.h"
#include "cenote/cluster/pool_map_store.h"

namespace cenote::engine {

/// What a pool's stored map says of engines that the supervisor has excluded from it.
struct PoolLosses {
  std::vector<cluster::Loss> awaited;   ///< they have no part in the pool
  std::vector<cluster::Loss> returned;  ///< they have it again
  bool paused = false;

  static PoolLosses of(const cluster::StoredMap& stored);
};

/// When engines that pools have lost get their part again, by themselves: the leader of the control service looks at
/// who is there about once a second, and does what is due. It decides only, and keeps nothing that the coordinator does
/// not hold but since when something has been so; who leads next counts that anew, so it is later, never earlier.
///
/// An engine that comes and goes must not have the data of a pool move for ever. So it is taken back only when it has
/// been registered without interruption for a while, which doubles with each loss; a loss counts until the engine has
/// stayed for long, or an operator has decided about it.
class EngineReturns {
 public:
  struct Options {
    bool enabled = true;
    /// How long an engine is there before it is taken back, after the first loss and at most.
    Duration first_wait = std::chrono::seconds(10);
    Duration longest_wait = std::chrono::minutes(20);
    /// How long it has to be there, with its part in the pool, until its losses are forgotten.
    Duration forget_after = std::chrono::hours(1);
    /// What passes before what was refused, or has been done, is looked at again.
    Duration retry_pause = std::chrono::seconds(10);
  };
  /// What is due of a pool.
  struct Due {
    Uuid pool;
    std::vector<cluster::Rank> back;    ///< get their part again
    std::vector<cluster::Rank> stayed;  ///< their losses are forgotten
  };

  explicit EngineReturns(Options options) : options_(options) {}

  /// How engines and pools are now.
  void look(const std::vector<cluster::ListedEngine>& engines, const std::map<Uuid, PoolLosses>& pools, Instant now);
  /// By what the last look has seen.
  std::vector<Due> due(Instant now) const;
  /// Something was tried for the engine, and is not for a while. Of a refusal: whether it is news.
  void note_tried(const Uuid& pool, cluster::Rank rank, Instant now);
  bool note_refused(const Uuid& pool, cluster::Rank rank, const Error& error, Instant now);
  Duration wait_after(std::uint32_t losses) const;

 private:
  /// An engine that is there.
  struct Seen {
    cluster::Revision registered;
    bool awaited = false;
    Instant since{};  ///< both have been so since then
    std::uint32_t losses = 0;
    bool paused = false;
    Instant not_before{};  ///< the next attempt
    std::string refusal = {};
  };
  using Key = std::pair<Uuid, cluster::Rank>;

  void see(std::map<Key, Seen>& now_seen, const Uuid& pool, const cluster::ListedEngine& engine,
           const cluster::Loss& loss, bool awaited, bool paused, Instant now) const;

  Options options_;
  std::map<Key, Seen> seen_;
};

}  // namespace cenote::engine
