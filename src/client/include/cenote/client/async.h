#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "cenote/client/lease.h"
#include "cenote/protocol/control_requests.h"
#include "cenote/protocol/pool_changes.h"
#include "cenote/protocol/scrub_info.h"
#include "cenote/protocol/system_stop.h"
#include "cenote/protocol/transaction_requests.h"
#include "cenote/rpc/address.h"
#include "cenote/rpc/link.h"
#include "cenote/runtime/cancel.h"
#include "cenote/runtime/reactor.h"

/// The coroutine form of the native API. Everything here runs on the reactor the client was connected on; `cenote.hpp`
/// has the same classes with the same names as blocking calls from any thread.
namespace cenote::cluster {
class PoolLayout;
}

namespace cenote::async {

class Client;
class Transaction;

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
/// Updates and punches that take effect at one moment or not at all, each on its own conditions. Conditions are about
/// what was there before all of them, whatever their order; no two touch the same thing, but that an update may be of
/// what is punched as a whole: a punch hides what was there before.
struct ChangeSet {
  struct Update {
    UpdateRequest request;          ///< as of an UpdateItem
    std::vector<ByteView> payload;  ///< gathered in order
  };
  std::vector<Update> updates;
  std::vector<PunchRequest> punches;
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
  /// Engines that may be lost without loss of data: all its objects are of classes that keep so much, which
  /// `with_redundancy` gives.
  std::uint32_t redundancy() const;
  /// What all of an object of class S1 lies on by now: changes of objects with the same one are a set of one message.
  /// nullopt: it is of another class, or nobody can tell.
  std::optional<std::uint32_t> target_of(const ObjectId& object) const;

  /// Returns when the update is durable.
  Task<Result<UpdateReply>> update(UpdateRequest request, std::vector<ByteView> payload, Until until = {});
  /// The payload lies dense in `into` (each akey's value, or its ranges one after another, each akey given exactly the
  /// room of its max_bytes or ranges); zeroes where nothing was written.
  Task<Result<FetchReply>> fetch(FetchRequest request, std::vector<MutableBytes> into, Until until = {});
  /// Listing the dkeys of an object, or its greatest one, asks for all its parts; so does punching it, where it is not
  /// replicated.
  Task<Result<UpdateReply>> punch(PunchRequest request, Until until = {});
  Task<Result<ListReply>> list(ListRequest request, Until until = {});
  Task<Result<QueryReply>> query(QueryRequest request, Until until = {});

  /// The same with a lease of the dkey, or of the object where no dkey is named and one target has all of it. Views
  /// give none.
  Task<Result<Leased<FetchReply>>> fetch_leased(FetchRequest request, std::vector<MutableBytes> into, Until until = {});
  Task<Result<Leased<QueryReply>>> query_leased(QueryRequest request, Until until = {});

  /// Many at once, over any objects, pipelined on the connection; each item has its own result.
  Task<> update_many(std::span<UpdateItem> items, Until until = {});
  Task<> fetch_many(std::span<FetchItem> items, Until until = {});

  /// Makes all changes at one moment, or none of them; durable when it returns. One round trip where they lie on one
  /// target, or are of one redundancy group, and then it costs little more than an update of as much. The caller's
  /// memory stays valid until it returns. In a view of a transaction they become a part of that.
  ///
  /// kConditionFailed: names what is there, or is not there, against a condition. kInvalidArgument: two touch the same
  /// thing, or there is none. kOutOfRange: more than kMaxTransactionEntries, or than kMaxPayloadBytes. kUnsupported: a
  /// pool without a map has them on several targets. kTxRestart: the deadline has come while others changed what
  /// decides, which can only happen where it has to be done by a transaction (docs/protocols/object.md).
  Task<Result<UpdateReply>> apply(ChangeSet changes, Until until = {});

  /// Runs `body` as a transaction: everything it does through the view it is given, and through what is made of that (a
  /// Kv, an Array), happens at one moment or, when `body` or the commit fails, not at all. What it reads is of one
  /// moment and has what it wrote itself. Transactions are serialisable, with everything else that is done to the
  /// container.
  ///
  /// `body` runs again, from the start, when something that it read is changed by others before the commit, until
  /// `until`, after which that is told (kTxRestart). So it has no other effects than through the view; what it returns
  /// goes into variables of its own that each run sets anew. It ends all its calls before it ends itself. Whatever
  /// error it returns ends the transaction; one that tells of what it read, kNotFound for instance, when it says so of
  /// what is newest, too. A transaction that only reads never runs again otherwise, unless it takes too long.
  ///
  /// kUnsupported: it reads and changes what no one target can answer for. kOutOfRange: more than
  /// kMaxTransactionEntries changes, kMaxTransactionReads reads, or kMaxPayloadBytes. kDeadlineExceeded: it may have
  /// happened.
  using Body = std::function<Task<Result<>>(Container&)>;
  Task<Result<>> transact(Body body, Until until = {});

  // The same by hand, for callers that have no function to give.
  /// A view that is a transaction's. Dropped, it has done nothing. Not of a view of a transaction.
  Container begin_transaction() const;
  bool in_transaction() const;
  /// Of such a view, once: whatever is done with it afterwards is kStopped. kTxRestart: begin anew, after a pause.
  Task<Result<>> commit_transaction(Until until = {});
  /// Waits a short drawn time, longer after more attempts. kDeadlineExceeded, at once, if that is not before `until`.
  Task<Result<>> pause_before_retry(std::uint32_t attempts, Until until);

  /// An object id nobody else has in this container; taken from a range the client leased. kInvalidArgument: objects of
  /// the class keep less than the container asks for.
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
  friend class Transaction;
  struct State;
  explicit Container(std::shared_ptr<State> state);
  Task<Result<>> lease_objects(Until until);
  Result<> check_writable() const;
  // Parts of a transaction.
  Result<> check_no_transaction(std::string_view what) const;
  Task<Result<Epoch>> begin(const ObjectId& object, ByteView dkey, Until until);
  /// `plan`: the layout that it has read by; nullptr: any.
  Task<Result<UpdateReply>> commit(CommitRequest& request, std::span<const ByteView> payload,
                                   std::shared_ptr<const cluster::PoolLayout> plan, Until until);
  /// Changes in a transaction of their own.
  Task<Result<UpdateReply>> transact(const CommitRequest& changes, std::span<const ByteView> payload, Until until);
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
  /// Where the coordinator of the system is.
  Task<Result<CoordinatorInfo>> coordinator(Until until = {});
  /// The same, for an engine that wants to share it: one that a single engine has in itself is moved to where others
  /// reach it first. kNotReady while that happens: ask again. kUnsupported, kNotFound: why it cannot be.
  Task<Result<CoordinatorInfo>> share_coordinator(Until until = {});
  /// Takes into use what devices of targets have become larger by; durable when it returns. kOutOfRange: nothing is
  /// made smaller. kNotFound: no such target.
  Task<Result<SystemInfo>> grow_targets(GrowTargets request, Until until = {});

  /// Stops the system as a whole: nothing is begun any more that clients ask for. `query_stop` tells when what had been
  /// begun has ended. Durable when it returns; of a system that is stopped it changes nothing.
  Task<Result<SystemStopInfo>> stop_system(Until until = {});
  Task<Result<SystemStopInfo>> query_stop(Until until = {});
  /// Lets it go on as it was. kConditionFailed: engines that have a part in a pool are not up, unless it is to start
  /// without them.
  Task<Result<SystemStopInfo>> start_system(StartSystem request, Until until = {});

  /// What the scrub of each target does, and all damage that it knows.
  Task<Result<SystemScrub>> scrub(Until until = {});
  /// Starts a pass, pauses or resumes; what it does then. kNotFound: no such target. kUnsupported: scrubbing is off.
  Task<Result<SystemScrub>> control_scrub(ControlScrub request, Until until = {});

  // Pools and containers are named by label or by UUID in text form.
  Task<Result<PoolInfo>> create_pool(CreatePool request, Until until = {});
  Task<Result<std::vector<PoolInfo>>> list_pools(Until until = {});
  Task<Result<PoolInfo>> query_pool(std::string pool, Until until = {});
  /// A limit: "quota-soft", "quota-objects" or "quota-objects-soft", a number or "none".
  Task<Result<>> set_pool_property(std::string pool, std::string key, std::string value, Until until = {});
  /// kNotEmpty while containers are left, unless `force`.
  Task<Result<>> destroy_pool(std::string pool, bool force, Until until = {});
  /// Excludes engines from a pool, drains them, gives them their part again, or extends the pool by them; durable when
  /// it returns, while the data moves afterwards (`query_moves`). What had begun before or is done is no error.
  /// kInvalidArgument: it is not possible as the pool is, an engine does not run, or too few would be left for its
  /// redundancy.
  Task<Result<PoolChanged>> change_engines(std::string pool, ChangeEngines request, Until until = {});
  /// How the data of a pool moves to where it should be.
  Task<Result<PoolMoves>> query_moves(std::string pool, Until until = {});
  /// No data of the pool moves until it is called with false.
  Task<Result<PoolMoves>> pause_moves(std::string pool, bool paused, Until until = {});
  Task<Result<ContainerInfo>> create_container(CreateContainer request, Until until = {});
  /// Costs the same whatever the size of the source; both can be changed from then on, each for itself.
  Task<Result<ContainerInfo>> clone_container(CloneContainer request, Until until = {});
  /// Begins to copy what a clone shows of its source, so that it needs it no more: then `clone_of` is gone. Until then
  /// `flattening` of the container tells how that goes. A container that is no clone is no error. kQuotaExceeded: what
  /// it shows does not fit its quotas.
  Task<Result<ContainerInfo>> flatten_container(std::string pool, std::string container, Until until = {});
  Task<Result<std::vector<ContainerInfo>>> list_containers(std::string pool, Until until = {});
  Task<Result<ContainerInfo>> query_container(std::string pool, std::string container, Until until = {});
  Task<Result<>> destroy_container(std::string pool, std::string container, Until until = {});
  Task<Result<>> set_property(std::string pool, std::string container, std::string key, std::string value,
                              Until until = {});

  /// Begins to read and prove all that the system stores of a container; `query_check` tells how it goes. kExists
  /// while one runs.
  Task<Result<ContainerCheck>> begin_check(std::string pool, std::string container, BeginCheck request,
                                           Until until = {});
  /// The check that runs, or the last one. kNotFound: none since the engine started.
  Task<Result<ContainerCheck>> query_check(std::string pool, std::string container, Until until = {});
  /// Ends it where it is and tells what it came to.
  Task<Result<ContainerCheck>> cancel_check(std::string pool, std::string container, Until until = {});

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
