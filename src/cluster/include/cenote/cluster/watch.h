#pragma once

#include <optional>
#include <string>
#include <vector>

#include "cenote/base/error.h"
#include "cenote/base/strong.h"
#include "cenote/runtime/cancel.h"
#include "cenote/runtime/task.h"

namespace cenote::cluster {

/// Number of a change to the coordinator's state; every committed transaction has a higher one than all before it, and
/// so has the end of a lease that had keys.
using Revision = Strong<struct RevisionTag>;

/// Number of a lease; never used again for another one.
using LeaseId = Strong<struct LeaseIdTag>;
inline constexpr LeaseId kNoLease{0};

/// Watches that one coordinator allows at a time.
inline constexpr std::size_t kMaxWatches = 256;
/// How many events one call of `Watch::next` gives, unless a single transaction has more.
inline constexpr std::size_t kMaxWatchBatch = 1024;

/// One key was written or erased, by a transaction or by the end of its lease.
struct WatchEvent {
  std::string key;
  std::optional<std::string> value;  ///< nullopt: it was erased
  Revision revision;
  LeaseId lease = kNoLease;  ///< to which a key that was written belongs

  friend bool operator==(const WatchEvent&, const WatchEvent&) = default;
};

/// Follows the changes below a prefix: every one, once, in the order of revisions, and those of one transaction
/// together. Nothing is shown before it is durable. A lost connection is no failure: the watch goes on where it was.
///
/// The events of a slow reader wait at the coordinator, whose memory is bounded: when it has forgotten some that were
/// not read yet, `next` says so (kCompacted), and what follows is missing nothing after a new start: take the revision,
/// read everything, and watch from there.
class Watch {
 public:
  virtual ~Watch() = default;

  /// The next events, at least one. kCompacted as above; the watch has then ended and says the same again. kStopped
  /// when the coordinator is being closed. After kDeadlineExceeded and kCancelled nothing is lost. At most one call at
  /// a time; it has returned before the watch is destroyed.
  virtual Task<Result<std::vector<WatchEvent>>> next(Until until) = 0;
};

}  // namespace cenote::cluster
