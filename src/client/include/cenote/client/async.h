#pragma once

#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "cenote/protocol/control_requests.h"
#include "cenote/protocol/object_requests.h"
#include "cenote/rpc/address.h"
#include "cenote/rpc/link.h"
#include "cenote/runtime/cancel.h"
#include "cenote/runtime/reactor.h"

/// The coroutine form of the native API. Everything here runs on the reactor the client was connected on; `cenote.hpp`
/// has the same classes with the same names as blocking calls from any thread.
namespace cenote::async {

class Client;

struct ConnectOptions {
  /// How long to try to reach the system at all; later losses of the connection are retried within each call's
  /// deadline.
  Duration timeout = std::chrono::seconds(5);
  /// For calls that bring no deadline of their own.
  Duration call_timeout = std::chrono::seconds(30);
  /// Shown in the server's logs and tools.
  std::string name = "cenote-client";
};

/// One request of a vectored call: `request` with the caller's memory, which must stay valid until the call returns.
struct UpdateItem {
  UpdateRequest request;          ///< `id`, `container` and checksums are filled in by the client
  std::vector<ByteView> payload;  ///< gathered in order
  Result<UpdateReply> result = fail(Code::kInternal);
};
struct FetchItem {
  FetchRequest request;
  std::vector<MutableBytes> into;  ///< scattered in order, dense: holes are filled with zeroes
  Result<FetchReply> result = fail(Code::kInternal);
};

/// An open container. Cheap to copy; shares the client's connection. All calls verify checksums end to end, route each
/// dkey to its target, and retry lost connections within their deadline; a retried update takes effect once.
class Container {
 public:
  const ContainerInfo& info() const;

  /// Returns when the update is durable.
  Task<Result<UpdateReply>> update(UpdateRequest request, std::vector<ByteView> payload, Until until = {});
  /// The payload lies dense in `into` (each akey's value, or its ranges one after another, each akey given exactly the
  /// room of its max_bytes or ranges); zeroes where nothing was written.
  Task<Result<FetchReply>> fetch(FetchRequest request, std::vector<MutableBytes> into, Until until = {});
  /// Punching an object or listing its dkeys goes to every target that can hold a part of it.
  Task<Result<UpdateReply>> punch(PunchRequest request, Until until = {});
  Task<Result<ListReply>> list(ListRequest request, Until until = {});
  Task<Result<QueryReply>> query(QueryRequest request, Until until = {});

  /// Many at once, over any objects, pipelined on the connection; each item has its own result.
  Task<> update_many(std::span<UpdateItem> items, Until until = {});
  Task<> fetch_many(std::span<FetchItem> items, Until until = {});

  /// An object id nobody else has in this container; taken from a range the client leased.
  Task<Result<ObjectId>> allocate_object(ObjectClass object_class, KeyFlavour dkeys, KeyFlavour akeys,
                                         Until until = {});
  Client& client() const;

  // Snapshots: named states of the container that stay as they are. What was answered for when a creation began is in
  // it, what is written after it returned is not; an update that runs meanwhile is in it in full or not at all, and
  // none is in it without those that were answered before it was sent.
  /// kExists for a name that is taken, kQuotaExceeded when there are too many. Names follow the rules of labels.
  Task<Result<SnapshotInfo>> create_snapshot(std::string name, Until until = {});
  /// By name.
  Task<Result<std::vector<SnapshotInfo>>> snapshots(Until until = {});
  /// kNotFound. What only it kept is given back some time later; until then views of it may still work.
  Task<Result<>> destroy_snapshot(std::string name, Until until = {});
  /// Takes the container back to the snapshot: whatever was updated, punched or created since is gone for all readers,
  /// at once on each target, and its space returns soon after. What others change while this runs may go or stay.
  /// Newer snapshots are in the way (kConditionFailed), or go, too, with `force`. kNotFound, kReadOnly.
  Task<Result<SnapshotInfo>> roll_back(std::string snapshot, bool force = false, Until until = {});
  /// The container as it was: all reads are of the snapshot's epoch, or of an earlier one if they name it, and whatever
  /// would change something is kReadOnly. kNotFound.
  Task<Result<Container>> at_snapshot(std::string name, Until until = {});
  /// Of what snapshot this is a view; nullopt: of none.
  const std::optional<SnapshotInfo>& snapshot() const;

 private:
  friend class Client;
  struct State;
  explicit Container(std::shared_ptr<State> state);
  Task<Result<>> lease_objects(Until until);
  Result<> check_writable() const;
  std::string snapshots_path() const;
  std::shared_ptr<State> state_;
};

/// A connection to a system. One per process is enough.
class Client {
 public:
  /// Connects over `transport` (tcp, or inproc to an embedded engine), which must outlive the client.
  static Task<Result<std::unique_ptr<Client>>> connect(Reactor& reactor, rpc::Transport& transport,
                                                       std::vector<rpc::Address> addresses, ConnectOptions options);
  ~Client();
  /// Must be awaited before destruction. Calls that run fail with kStopped.
  Task<> close();

  Task<Result<SystemInfo>> system(Until until = {});
  /// Takes into use what devices of targets have become larger by; durable when it returns. kOutOfRange: nothing is
  /// made smaller. kNotFound: no such target.
  Task<Result<SystemInfo>> grow_targets(GrowTargets request, Until until = {});

  // Pools and containers are named by label or by UUID in text form.
  Task<Result<PoolInfo>> create_pool(CreatePool request, Until until = {});
  Task<Result<std::vector<PoolInfo>>> list_pools(Until until = {});
  Task<Result<PoolInfo>> query_pool(std::string pool, Until until = {});
  /// kNotEmpty while containers are left, unless `force`.
  Task<Result<>> destroy_pool(std::string pool, bool force, Until until = {});
  Task<Result<ContainerInfo>> create_container(CreateContainer request, Until until = {});
  /// Costs the same whatever the size of the source; both can be changed from then on, each for itself.
  Task<Result<ContainerInfo>> clone_container(CloneContainer request, Until until = {});
  Task<Result<std::vector<ContainerInfo>>> list_containers(std::string pool, Until until = {});
  Task<Result<ContainerInfo>> query_container(std::string pool, std::string container, Until until = {});
  Task<Result<>> destroy_container(std::string pool, std::string container, Until until = {});
  Task<Result<>> set_property(std::string pool, std::string container, std::string key, std::string value,
                              Until until = {});

  Task<Result<Container>> open_container(std::string pool, std::string container, Until until = {});

  /// Free-standing helpers of the benchmarks: bytes and calls so far.
  struct Counters {
    std::uint64_t calls = 0, retries = 0, sent_bytes = 0, received_bytes = 0;
  };
  Counters counters() const;
  Reactor& reactor() const;

 private:
  friend class Container;
  struct Impl;
  explicit Client(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

}  // namespace cenote::async
