#pragma once

#include "cenote/runtime/sync.h"
#include "sessions.h"

namespace cenote::etcd {

/// Commits, exactly once each: see `Slot`.
///
/// | answer to one of the copies          | what it means                                                       |
/// |--------------------------------------|---------------------------------------------------------------------|
/// | succeeded                            | this copy took effect, no other one will                            |
/// | not, the slot has our number         | an earlier copy took effect, in the revision of the slot            |
/// | not, the slot has our number refused | an earlier copy was refused, no other one will take effect          |
/// | not, the slot is as it was           | a comparison does not hold; no copy will take effect                |
/// | a lease is gone, the session lives   | a lease of the caller's is gone for good; no copy will take effect  |
/// | the session's lease is gone          | what went out before may have taken effect; its mark is gone: unknown;
/// nothing went out before: again, with a new session | | none                                 | nothing went out: no
/// effect; else unknown, until the session ends   |
class Committer {
 public:
  Committer(Reactor& home, Gateway& gateway, Sessions& sessions, const EtcdOptions& options);

  /// As Coordinator::commit, for a transaction that was checked.
  Task<Result<cluster::Revision>> commit(cluster::Transaction transaction, Until until);

 private:
  struct Decision {
    Result<cluster::Revision> outcome;
    bool new_session = false;  ///< nothing happened: again
  };
  Task<Result<cluster::Revision>> commit_admitted(cluster::Transaction transaction, Until until);
  Task<Decision> try_commit(const cluster::Transaction& transaction, std::shared_ptr<Session> session, Until until);
  Task<Decision> without_answer(Gateway::Called called, std::shared_ptr<Session> session, Until until);

  Gateway& gateway_;
  Sessions& sessions_;
  const EtcdOptions& options_;
  Semaphore running_;
};

}  // namespace cenote::etcd
