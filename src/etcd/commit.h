#pragma once

#include "cenote/runtime/sync.h"
#include "sessions.h"

namespace cenote::etcd {

/// Commits, exactly once each: see `Slot`. The copies of a transaction are what we and libcurl send of it; "uncertain"
/// are those whose answer did not come.
///
/// | answer to one of the copies             | what it means                                               |
/// |-----------------------------------------|-------------------------------------------------------------|
/// | succeeded                               | this copy took effect, no other one will                    |
/// | not; the slot has our number            | an earlier copy took effect, in the revision of the slot    |
/// | not; the slot has our number as refused | an earlier copy was refused; none will take effect          |
/// | not; the slot is as it was              | a comparison does not hold; none will take effect           |
/// | not; the slot is gone                   | the session is gone, as below                               |
/// | a lease is gone                         | which one? The slot is moved on by a transaction of its own |
/// | ... it moves                            | one of the caller's, for good; none will take effect        |
/// | ... it had moved                        | as above, by what the slot says                             |
/// | ... the session is gone                 | uncertain ones may have taken effect: unknown; else again   |
/// | none                                    | uncertain ones: unknown, until the session ends             |
class Committer {
 public:
  Committer(Reactor& home, Gateway& gateway, Sessions& sessions, const EtcdOptions& options);

  /// As Coordinator::commit, for a transaction that was checked.
  Task<Result<cluster::Revision>> commit(cluster::Transaction transaction, Until until);

 private:
  struct Decision {
    Result<cluster::Revision> outcome;
    bool new_session = false;  ///< nothing happened: again
    bool slot_known = true;    ///< the slot can be used again
  };
  Task<Result<cluster::Revision>> commit_admitted(cluster::Transaction transaction, Until until);
  Task<Decision> try_commit(const cluster::Transaction& transaction, std::shared_ptr<Session> session, Slot& slot,
                            Until until);
  static Decision decide(Result<cluster::Revision> outcome, bool uncertain);
  Task<Decision> settle(std::shared_ptr<Session> session, Slot& slot, bool uncertain, Until until);

  Gateway& gateway_;
  Sessions& sessions_;
  const EtcdOptions& options_;
  Semaphore running_;
};

}  // namespace cenote::etcd
