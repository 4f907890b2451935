#pragma once

#include <deque>
#include <optional>
#include <string>
#include <vector>

#include "cenote/base/error.h"
#include "cenote/cluster/watch.h"
#include "cenote/runtime/sync.h"
#include "cenote/store/types.h"

namespace cenote::cluster {

/// The last changes of an embedded coordinator, for its watches: in memory, bounded, forgotten from the front. A
/// transaction is noted when it is applied and shown when it is durable.
///
/// Invariants: revisions ascend; every transaction after `floor` that is durable is here; what is not durable lies
/// behind what is.
class EventHistory {
 public:
  struct Limits {
    std::size_t events = 8192;
    std::size_t bytes = 8u << 20;  ///< of keys and values
  };

  EventHistory(Reactor& reactor, Revision floor, Limits limits)
      : changed_(reactor), floor_(floor), shown_(floor), limits_(limits) {}

  /// A transaction that was just applied; its Lsn is above those of all before it.
  void note(Revision revision, store::Lsn lsn, std::vector<WatchEvent> events);
  /// Everything up to `lsn` is durable.
  void show(store::Lsn lsn);
  /// No event will ever follow; `reason` for all who wait.
  void end(Error reason);

  /// Up to about `limit` events of whole transactions after `after` below `prefix`; `after` moves on over what was
  /// looked at. Waits for the first. kCompacted when some are forgotten.
  Task<Result<std::vector<WatchEvent>>> next(std::string_view prefix, Revision& after, std::size_t limit, Until until);

  Revision floor() const { return floor_; }
  void check_invariants() const;

 private:
  struct Change {
    Revision revision;
    store::Lsn lsn;
    std::vector<WatchEvent> events;
    std::size_t bytes;
  };

  std::vector<WatchEvent> collect(std::string_view prefix, Revision& after, std::size_t limit) const;
  void forget();

  Condition changed_;
  std::deque<Change> changes_;
  Revision floor_;  // nothing up to here is remembered
  Revision shown_;  // everything up to here is durable
  Limits limits_;
  std::size_t events_ = 0, bytes_ = 0;
  std::optional<Error> ended_;
};

}  // namespace cenote::cluster
