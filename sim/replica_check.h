#pragma once

#include <map>
#include <memory>
#include <string>

#include "cenote/cluster/pool_layout.h"
#include "cenote/protocol/control_requests.h"
#include "cenote/protocol/object_requests.h"
#include "cenote/protocol/pool_requests.h"
#include "cenote/rpc/peer.h"
#include "run.h"

namespace cenote::sim {

/// Reads a dkey from each target that has to have all of it, past whatever a client library would choose. Members run
/// on its node.
class ReplicaCheck {
 public:
  explicit ReplicaCheck(Run& run);

  SimReactor& node() { return node_; }
  /// Finds out where the data of a container is, once none of it moves any more. kDeadlineExceeded: it still does.
  Task<Result<>> open(ContainerInfo container, Until until);
  /// kCorrupt: the replicas differ, in contents or epochs. Counts the answers that were compared.
  Task<Result<>> compare(FetchRequest request, std::size_t room, Until until);
  Task<> close();

 private:
  Task<Result<PoolView>> view_pool(Until until);
  Result<> take(const PoolView& view);
  Task<Result<Bytes>> read(cluster::TargetPlace place, ByteView request, std::size_t room, Until until);

  Run& run_;
  SimReactor& node_;
  std::unique_ptr<rpc::Transport> transport_;
  rpc::ClientSession session_;
  ContainerInfo container_;
  std::shared_ptr<const cluster::PoolLayout> layout_;
  std::map<cluster::Rank, std::unique_ptr<rpc::Peer>> peers_;
};

}  // namespace cenote::sim
