#pragma once

#include <memory>
#include <string>
#include <vector>

#include "cenote/cluster/coordinator.h"
#include "cenote/runtime/scope.h"
#include "gateway.h"

namespace cenote::etcd {

/// A key below `<root>s/` in which commits leave their mark, one at a time.
///
/// The transaction of a commit requires that the slot is as the last commit left it, and writes the commit's number
/// into it; where the caller's comparisons do not hold it writes the number as refused, and where the slot is not as it
/// was it only reads it. So whichever copy of the transaction arrives first moves the slot on, all others have no
/// effect, and the answer to any of them tells what the first one did.
struct Slot {
  std::string key;
  cluster::Revision last;     ///< of its last write as we know it; 0: never written
  std::uint64_t commits = 0;  ///< numbers them
};

/// What the slots of one process belong to: a lease of etcd's, with which they vanish. A copy of a transaction that is
/// still on its way then has no effect any more, either, because it names the lease.
struct Session {
  cluster::LeaseId lease;
  std::string slots_root;
  std::vector<Slot> free = {};
  std::size_t made = 0;
  bool ended = false;
};

/// Grants, renews and ends leases of etcd; keeps the session of the commits.
class Sessions {
 public:
  Sessions(Reactor& home, Gateway& gateway, const EtcdOptions& options, Logger logger);

  Task<Result<cluster::Lease>> grant(Duration ttl, Until until);
  Task<Result<cluster::Lease>> keep_alive(cluster::LeaseId lease, Until until);
  Task<Result<>> revoke(cluster::LeaseId lease, Until until);

  /// The present session, made if there is none. Kept alive until `close`, or until etcd has ended it.
  Task<Result<std::shared_ptr<Session>>> session(Until until);
  /// For a session that is gone, or has to go because the last write of a slot is unknown: it is not renewed any more.
  /// Commits that use it go on.
  void forget(const std::shared_ptr<Session>& session);
  /// A free slot, or a new one. One whose last write is unknown is never given back.
  static Slot take_slot(Session& session);

  /// Ends the session, as far as etcd answers.
  Task<> close(Until until);

 private:
  static Task<> renew(Sessions& self, std::shared_ptr<Session> session, Duration ttl);

  Reactor& home_;
  Gateway& gateway_;
  const EtcdOptions& options_;
  Logger logger_;
  std::shared_ptr<Session> session_;
  Semaphore making_;
  Scope renewals_;
};

}  // namespace cenote::etcd
