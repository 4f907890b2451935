#pragma once

#include <map>
#include <memory>
#include <optional>

#include "cenote/client/async.h"
#include "cenote/protocol/opcodes.h"
#include "cenote/rpc/peer.h"
#include "cenote/runtime/scope.h"
#include "leases.h"
#include "routes.h"
#include "whole_object.h"

namespace cenote::async {

struct Client::Impl {
  Impl(Reactor& reactor_in, rpc::Transport& transport, std::vector<rpc::Address> addresses, ConnectOptions options_in);

  class Vigil;

  Reactor& reactor;
  ConnectOptions options;
  Counters counters;
  rpc::Counters rpc_counters;
  rpc::ClientSession session;
  Leases leases;
  Engines engines;
  SystemInfo system;
  /// Of the pools of which containers were opened.
  std::map<Uuid, std::shared_ptr<PoolRoutes>> pools;
  /// Running operations of vectored calls.
  Scope scope;
  /// Those that look after requests whose engine keeps silent. Ends after the connections, which end what it waits for.
  Scope watches;
  /// Set when the client closes: ends the pauses between two attempts of a call.
  Event closing;
  /// Calls that run, pauses included.
  Gate gate;

  /// A call without a bound of its own gets the default one.
  Until bounded(Until until) const;
  /// One request, tried again until its bound while nobody who could answer it can be reached, can serve, or knows the
  /// same map (attempts.cc).
  Task<Result<rpc::Reply>> call(Opcode opcode, ByteView body, rpc::BulkSource send, rpc::BulkSink receive,
                                Destination destination, Until until);
  Task<Result<rpc::Reply>> attempts(Opcode opcode, ByteView body, rpc::BulkSource send, rpc::BulkSink receive,
                                    Destination destination, Until until);
  /// Of what has no effect: from whoever has it.
  Task<Result<rpc::Reply>> read(Opcode opcode, ByteView body, rpc::BulkSink receive, Destination destination,
                                Until until);
  /// Of all else: it keeps its id over all attempts, so it takes effect once.
  Task<Result<rpc::Reply>> change(Opcode opcode, ByteView body, rpc::BulkSource send, rpc::BulkSink receive,
                                  Destination destination, Until until);
  /// Waits before the next attempt, about as long as `pause`. False: there is no time for another one.
  Task<Result<bool>> pause_between_attempts(Duration pause, Until until);
  /// The routes of a pool, asked for if they are not known.
  Task<Result<std::shared_ptr<PoolRoutes>>> find_pool(Uuid pool, Until until);
  /// Asks where the data of a pool is, unless somebody else has done so since `seen`.
  Task<Result<>> refresh(std::shared_ptr<PoolRoutes> routes, std::uint64_t seen, Until until);
  /// One request of the control service (docs/protocols/admin.md); the answer is JSON.
  Task<Result<std::string>> admin(AdminMethod method, std::string path, std::string body, Until until);
};

/// Labels and UUIDs hold no character that a path would have to escape; anything else is no name of ours.
Result<> check_name(std::string_view what, std::string_view name);
std::string container_path(std::string_view pool, std::string_view container);

/// What all copies of an open container share.
struct Container::State {
  Client* client = nullptr;
  Client::Impl* impl = nullptr;
  std::shared_ptr<PoolRoutes> routes;
  ContainerInfo info;
  bool checksums = true;
  /// Of a view: what it shows. Latest and nullopt otherwise.
  Epoch epoch = kEpochLatest;
  std::optional<SnapshotInfo> snapshot;
  /// Of a view that is a transaction's: where its calls go. Null otherwise.
  std::shared_ptr<Transaction> transaction;
  // Object ids leased from the server and not handed out yet. One lease request at a time.
  std::uint64_t next_object = 0;
  std::uint64_t objects_left = 0;
  std::optional<Semaphore> lease;

  bool can_lease() const { return epoch == kEpochLatest && !snapshot && transaction == nullptr; }
  cluster::PlacementSeed seed() const { return cluster::PlacementSeed(info.placement_seed); }
  /// Where a dkey is changed; `object` and `dkey` stay the caller's.
  Destination home(const ObjectId& object, ByteView dkey) const {
    return {.kind = Destination::Kind::kDkey,
            .pool = routes.get(),
            .object = &object,
            .seed = seed(),
            .dkey = dkey,
            .replicated = redundancy_of(object) > 0};
  }
  /// Where it is read.
  Destination reader(const ObjectId& object, ByteView dkey) const {
    Destination place = home(object, dkey);
    place.read = true;
    return place;
  }
  Destination at(cluster::TargetId target) const {
    return {.kind = Destination::Kind::kTarget, .pool = routes.get(), .target = target};
  }
};

}  // namespace cenote::async
