#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "cenote/base/log.h"
#include "cenote/etcd/etcd_options.h"
#include "cenote/runtime/cancel.h"
#include "cenote/runtime/reactor.h"
#include "cenote/runtime/task.h"

namespace cenote::etcd {

/// A member of an etcd cluster, as the cluster knows it.
struct ClusterMember {
  std::uint64_t id = 0;
  std::string name;  ///< "" until it was started for the first time
  std::vector<std::string> peer_urls;
  std::vector<std::string> client_urls;  ///< none until it was started
  bool learner = false;                  ///< has no vote yet, and answers nobody
  friend bool operator==(const ClusterMember&, const ClusterMember&) = default;
};

/// Who the members of an etcd cluster are, and changes of that. For whoever runs the cluster; its users need
/// EtcdCoordinator only. Home reactor only.
///
/// A change whose answer was lost may have taken effect: list the members again. etcd itself refuses what would leave
/// the cluster without a majority (kConditionFailed, kUnreachable).
class EtcdCluster {
 public:
  /// Asks nobody yet. `home` outlives it. kInvalidArgument without endpoints; as of HttpClient::start.
  static Result<std::unique_ptr<EtcdCluster>> open(Reactor& home, EtcdOptions options, Logger logger);
  /// After `close`.
  ~EtcdCluster();

  Task<Result<std::vector<ClusterMember>>> members(Until until);
  /// Whether the member at this endpoint answers, whatever the cluster is like.
  Task<bool> answers(std::string endpoint, Until until);
  /// A new member without a vote; kConditionFailed while there is another one, or one with this URL.
  Task<Result<>> add_learner(std::string peer_url, Until until);
  /// Gives a learner its vote; kConditionFailed while it has not caught up.
  Task<Result<>> promote(std::uint64_t id, Until until);
  /// kNotFound: there is none.
  Task<Result<>> remove(std::uint64_t id, Until until);

  Task<> close();

 private:
  struct Impl;
  explicit EtcdCluster(std::unique_ptr<Impl> impl);
  Task<Result<>> change(std::string path, std::string body, Until until);

  std::unique_ptr<Impl> impl_;
};

}  // namespace cenote::etcd
