#pragma once

#include <memory>

#include "cenote/base/log.h"
#include "cenote/cluster/coordinator.h"
#include "cenote/etcd/etcd_options.h"
#include "cenote/runtime/reactor.h"

namespace cenote::etcd {

/// The coordinator of a system with several engines: an etcd cluster (version 3.4 or later), reached through its JSON
/// gateway. As durable and linearizable as etcd: a majority of its members has what is answered, on disk.
///
/// Revisions are etcd's, of all systems in the cluster, so they have gaps. How far a watch can look back is up to the
/// cluster's compaction. Times to live are whole seconds, and at least what etcd makes of its election timeout (two
/// seconds by default).
///
/// A commit is sent again until it is answered, to all endpoints, and takes effect once
/// (docs/operations/coordinator.md). kOutcomeUnknown when nobody answered it for good in time: it may then take effect
/// until `session_ttl` after the last renewal of the session that the cluster heard, at the latest.
class EtcdCoordinator final : public cluster::Coordinator {
 public:
  /// Asks the cluster for its name, so that settings that lead nowhere are found at once. kInvalidArgument for options
  /// that make no sense, kUnreachable when no endpoint answers, kProtocolError for what is no etcd. `home` outlives it.
  static Task<Result<std::unique_ptr<EtcdCoordinator>>> open(Reactor& home, EtcdOptions options, Logger logger,
                                                             Until until = {});
  ~EtcdCoordinator() override;

  Task<Result<std::optional<cluster::KeyValue>>> get(std::string key, Until until = {}) override;
  Task<Result<std::vector<cluster::KeyValue>>> range(std::string prefix, std::string after, std::size_t limit,
                                                     Until until = {}) override;
  Task<Result<cluster::Revision>> commit(cluster::Transaction transaction, Until until = {}) override;
  Task<Result<cluster::Revision>> revision(Until until = {}) override;
  Result<std::unique_ptr<cluster::Watch>> watch(std::string prefix, cluster::Revision after) override;
  Task<Result<cluster::Lease>> grant_lease(Duration ttl, Until until = {}) override;
  Task<Result<cluster::Lease>> keep_alive(cluster::LeaseId lease, Until until = {}) override;
  Task<Result<>> revoke_lease(cluster::LeaseId lease, Until until = {}) override;
  Task<Result<>> close() override;

 private:
  struct Impl;
  explicit EtcdCoordinator(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

}  // namespace cenote::etcd
