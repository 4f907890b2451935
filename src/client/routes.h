#pragma once

#include <map>
#include <memory>
#include <optional>
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
  /// From now on who belongs to another system is refused, at whatever address: what requests about containers and
  /// whole objects name there is only the number of a target. Null: nobody is.
  void require_system(Uuid system);
  /// Ends all calls and connections.
  Task<> stop();

  // A suspect did not answer a moment ago: who may as well ask another engine does that.
  void suspect(const rpc::Peer& peer);
  void clear(const rpc::Peer& peer);
  bool is_suspect(const rpc::Peer& peer) const;
  bool has_suspects() const { return !suspects_.empty(); }

 private:
  Reactor& reactor_;
  rpc::Transport& transport_;
  rpc::ClientSession& session_;
  rpc::PeerOptions options_;
  std::unique_ptr<rpc::Peer> any_;
  /// By their addresses. One whose engine has moved stays, unused and unconnected, until the client closes.
  std::map<std::vector<std::string>, std::unique_ptr<rpc::Peer>> others_;
  std::map<const rpc::Peer*, Instant> suspects_;  // until when
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
    friend bool operator==(const Place&, const Place&) = default;
  };
  using Places = SmallVector<Place, kMaxReplicas>;
  /// Where a target is reached. kNotReady: its engine is not running.
  Result<Place> place(cluster::TargetId target) const;
  /// Where those of several targets are reached whose engines run, suspects last. kNotReady: none of them does.
  Result<Places> places(std::span<const cluster::TargetId> targets) const;
  /// Who may be asked for a view of the pool: the system, and engines of the pool in case that nobody answers there.
  Places engines_to_ask() const;

  /// Goes by `view` from now on. kMalformed, and kNewerFormat of a map that this client cannot read.
  Result<> take(PoolView view);

  /// Held by who asks the system for a newer view.
  Semaphore refreshing;

 private:
  void put_suspects_last(Places& places) const;

  Engines& engines_;
  Uuid pool_;
  std::uint64_t generation_ = 0;
  std::shared_ptr<const cluster::PoolLayout> layout_;
  bool has_several_engines_ = false;
  std::map<cluster::Rank, std::vector<std::string>> addresses_;  // of those that run
};

/// Where a request goes, to be found out anew for every attempt. Names memory of the caller of the request.
struct Destination {
  enum class Kind : std::uint8_t {
    kAnyEngine,  ///< whoever answers for the system
    kView,       ///< whoever can tell where the data of the pool is
    kDkey,       ///< of an object: its home, or of a read whoever has it
    kGroup,      ///< of an object: whoever has all of the group; reads only
    kTarget,
  };

  Kind kind = Kind::kAnyEngine;
  PoolRoutes* pool = nullptr;  ///< none for any engine
  const ObjectId* object = nullptr;
  cluster::PlacementSeed seed{};
  ByteView dkey{};
  std::uint32_t group = 0;
  cluster::TargetId target{};
  /// The layout that counts, where that is only one: of a read of several targets that were chosen by it, of the commit
  /// of a transaction that has read by it. When another one is known it fails (kStaleMap).
  std::shared_ptr<const cluster::PoolLayout> plan{};
  /// A request without effect: any complete member of a group of replicas may answer it.
  bool read = false;
  /// Of a read: who has answered.
  PoolRoutes::Place* answered = nullptr;
  /// What it is about is kept by more than one target. So an engine that keeps silent is not waited for to the end.
  bool replicated = false;

  bool is_outdated() const { return plan != nullptr && plan != pool->share_layout(); }
  /// Of a pool: where the request may be sent, the best first; one place unless it is a read. kNotReady: nowhere now.
  Result<PoolRoutes::Places> resolve() const;
  /// How many have what is read, those that do not run at the moment included.
  std::size_t copies() const;
};

}  // namespace cenote::async
