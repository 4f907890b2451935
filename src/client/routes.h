#pragma once

#include <map>
#include <memory>
#include <vector>

#include "cenote/cluster/pool_layout.h"
#include "cenote/protocol/pool_requests.h"
#include "cenote/rpc/peer.h"
#include "cenote/runtime/sync.h"

namespace cenote::async {

/// The connections of a client: one to each engine that it has asked for something. The first is to the system, at the
/// addresses that the client was given; whichever engine answers there serves everything that any engine can.
class Engines {
 public:
  /// All of them outlive it.
  Engines(Reactor& reactor, rpc::Transport& transport, rpc::ClientSession& session, rpc::PeerOptions options);
  /// After `stop`.
  ~Engines();

  rpc::Peer& any() { return *any_; }
  /// The connection to an engine with these addresses, made when it is first used. Without addresses: to the system.
  /// kInvalidArgument: an address that is none. kStopped.
  Result<rpc::Peer*> at(const std::vector<std::string>& addresses);
  /// Ends all calls and connections.
  Task<> stop();

 private:
  Reactor& reactor_;
  rpc::Transport& transport_;
  rpc::ClientSession& session_;
  rpc::PeerOptions options_;
  std::unique_ptr<rpc::Peer> any_;
  /// By their addresses. One whose engine has moved stays, unused and unconnected, until the client closes.
  std::map<std::vector<std::string>, std::unique_ptr<rpc::Peer>> others_;
  bool stopped_ = false;
};

/// Where the requests for one pool go: its layout and its engines, as the client last heard of them. Shared by all open
/// containers of the pool.
class PoolRoutes {
 public:
  /// `engines` outlives it.
  PoolRoutes(Reactor& reactor, Engines& engines, Uuid pool) : refreshing(reactor, 1), engines_(engines), pool_(pool) {}

  const Uuid& pool() const { return pool_; }
  /// As of the last answer that was taken, of which there was one.
  const cluster::PoolLayout& layout() const { return *layout_; }
  std::shared_ptr<const cluster::PoolLayout> share_layout() const { return layout_; }
  /// How many were taken.
  std::uint64_t generation() const { return generation_; }
  /// Whether another engine than the one that answers for the system may have a part of the pool.
  bool has_several_engines() const { return has_several_engines_; }

  struct Place {
    rpc::Peer* peer = nullptr;
    std::uint16_t target = 0;  ///< index inside that engine
    std::uint32_t map_version = 0;
  };
  /// Where a target is reached. kNotReady: its engine is not running.
  Result<Place> place(cluster::TargetId target);

  /// Goes by `view` from now on. kMalformed, and kNewerFormat of a map that this client cannot read.
  Result<> take(PoolView view);

  /// Held by who asks the system for a newer view.
  Semaphore refreshing;

 private:
  Engines& engines_;
  Uuid pool_;
  std::uint64_t generation_ = 0;
  std::shared_ptr<const cluster::PoolLayout> layout_;
  bool has_several_engines_ = false;
  std::map<cluster::Rank, std::vector<std::string>> addresses_;  // of those that run
};

/// Where a request goes, to be found out anew for every attempt. Names memory of the caller of the request.
struct Destination {
  PoolRoutes* pool = nullptr;  ///< nullptr: any engine
  /// The home of a dkey of this object, or else the target below.
  const ObjectId* object = nullptr;
  cluster::PlacementSeed seed;
  ByteView dkey;
  cluster::TargetId target;

  /// Of a pool.
  Result<PoolRoutes::Place> resolve() const;
};

}  // namespace cenote::async
