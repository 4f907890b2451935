#pragma once

#include <map>
#include <optional>
#include <set>
#include <string>

#include "cenote/base/error.h"
#include "cenote/cluster/coordinator.h"

namespace cenote::cluster {

/// The leases of an embedded coordinator and the keys they hold, in memory. A lease is *alive* until its time is over
/// or it is revoked; then it is *ending*: nobody can use it, and it stays until its keys are erased.
///
/// Invariants: `holders_` and the keys of the leases say the same.
class LeaseTable {
 public:
  /// Most leases at a time, ending ones included.
  static constexpr std::size_t kMaxLeases = 4096;

  /// kExists, kResourceExhausted.
  Result<> grant(LeaseId lease, Duration ttl, Instant now);
  /// The time to live that it was granted; kLeaseExpired.
  Result<Duration> renew(LeaseId lease, Instant now);
  /// kLeaseExpired unless it is alive.
  Result<> check(LeaseId lease, Instant now) const;
  /// Nobody can use it from now on. False: there is none.
  bool end(LeaseId lease);

  /// The key belongs to `lease` from now on, which is alive; kNoLease: to none.
  void attach(const std::string& key, LeaseId lease);
  LeaseId holder(const std::string& key) const;
  /// Up to `limit` of its keys.
  std::vector<std::string> keys(LeaseId lease, std::size_t limit) const;
  /// Forgets one that has no keys.
  void drop(LeaseId lease);

  /// When the next living lease ends; kNoDeadline: none does.
  Instant next_end() const;
  /// One whose time is over, or that was ended; kNoLease: there is none.
  LeaseId ending(Instant now) const;
  void check_invariants() const;

 private:
  struct State {
    Duration ttl;
    Instant ends;
    bool ended = false;
    std::set<std::string> keys = {};
  };

  std::map<LeaseId, State> leases_;
  std::map<std::string, LeaseId> holders_;
};

}  // namespace cenote::cluster
