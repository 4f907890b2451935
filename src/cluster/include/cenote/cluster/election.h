#pragma once

#include <optional>
#include <string>

#include "cenote/cluster/coordinator.h"

namespace cenote::cluster {

/// Who leads, as everybody sees it.
struct Leader {
  std::string value;  ///< what the leader said of itself: its name, its address
  /// Since when; a later leader has a higher one. The leader's fencing token: `require(election.key(), revision)` in a
  /// transaction lets it take effect only while this leader leads.
  Revision revision;
  LeaseId lease = kNoLease;
};

/// An election for one post: whoever writes its key under a lease leads, until the lease ends or it resigns. At most
/// one leads as the coordinator sees it; a leader cut off from it relies on its lease's `valid_until`, and guards what
/// it changes in the coordinator by its fencing token. Who comes next when a post becomes free is not decided by the
/// order of waiting. Keeps no state: the coordinator has it all.
class Election {
 public:
  /// `key` is the post's, of all candidates. The coordinator outlives it.
  Election(Coordinator& coordinator, std::string key) : coordinator_(coordinator), key_(std::move(key)) {}

  const std::string& key() const { return key_; }

  /// Waits until the candidate leads. The caller keeps the lease alive meanwhile, and after. One that leads already
  /// under this lease, with the same value, is told so. kLeaseExpired when the post is free and the lease has ended.
  Task<Result<Leader>> campaign(std::string value, LeaseId lease, Until until);
  /// Makes the post free, durably; no error when `leader` does not lead any more. Repeatable.
  Task<Result<>> resign(Leader leader, Until until);
  Task<Result<std::optional<Leader>>> current(Until until);
  /// Waits until the leader is another than `seen`, the revision of the one that the caller knows (Revision(0): none).
  /// Of several changes since then it shows the last one.
  Task<Result<std::optional<Leader>>> changed(Revision seen, Until until);

 private:
  Coordinator& coordinator_;
  std::string key_;
};

}  // namespace cenote::cluster
