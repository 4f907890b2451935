#pragma once

#include <chrono>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "cenote/base/secret_key.h"
#include "cenote/client/array.h"
#include "cenote/client/async.h"
#include "cenote/client/kv.h"
#include "cenote/embedded/reactor_thread.h"

/// The native API in its blocking form: the same classes and names as `cenote::async`, callable from any thread.
/// Everything returns a Result; an update has returned when it is durable. The examples folder has a first program.
namespace cenote {

namespace detail {
class Connection;
}

/// Ends blocking calls early, from another thread. Usable for many calls; once cancelled, every later call that is
/// given it fails with kCancelled.
class Cancellation {
 public:
  Cancellation();
  /// Thread-safe, idempotent.
  void cancel();

 private:
  friend class detail::Connection;
  struct State;
  std::shared_ptr<State> state_;
};

/// Bounds of one blocking call.
struct CallBounds {
  /// Over the whole call, retries included; kDeadlineExceeded afterwards.
  std::chrono::nanoseconds timeout = std::chrono::seconds(30);
  Cancellation* cancellation = nullptr;
};

/// A map of keys to values; see async::Kv.
class Kv {
 public:
  Result<> put(std::string key, ByteView value, Precondition condition = Precondition::kNone, CallBounds bounds = {});
  Result<> put(std::string key, std::string_view value, Precondition condition = Precondition::kNone,
               CallBounds bounds = {}) {
    return put(std::move(key), as_bytes(value), condition, bounds);
  }
  Result<std::optional<Bytes>> get(std::string key, CallBounds bounds = {});
  Result<> remove(std::string key, CallBounds bounds = {});
  using Page = async::Kv::Page;
  Result<Page> list(std::string prefix = {}, std::string after = {}, std::uint32_t limit = kMaxListEntries,
                    CallBounds bounds = {});

 private:
  friend class Container;
  Kv(std::shared_ptr<detail::Connection> connection, async::Kv kv);
  std::shared_ptr<detail::Connection> connection_;
  async::Kv kv_;
};

/// A long array of bytes; see async::Array.
class Array {
 public:
  Result<std::uint64_t> read(std::uint64_t offset, MutableBytes into, CallBounds bounds = {});
  Result<> write(std::uint64_t offset, ByteView from, CallBounds bounds = {});
  Result<std::uint64_t> size(CallBounds bounds = {});
  Result<> set_size(std::uint64_t size, CallBounds bounds = {});
  Result<> punch(std::uint64_t offset, std::uint64_t bytes, CallBounds bounds = {});

 private:
  friend class Container;
  Array(std::shared_ptr<detail::Connection> connection, async::Array array);
  std::shared_ptr<detail::Connection> connection_;
  async::Array array_;
};

/// An open container; see async::Container. Copies share the connection and may be used from several threads at once.
class Container {
 public:
  const ContainerInfo& info() const;
  /// See async::Container.
  std::uint32_t redundancy() const { return container_.redundancy(); }

  Result<UpdateReply> update(UpdateRequest request, std::vector<ByteView> payload, CallBounds bounds = {});
  Result<FetchReply> fetch(FetchRequest request, std::vector<MutableBytes> into, CallBounds bounds = {});
  Result<UpdateReply> punch(PunchRequest request, CallBounds bounds = {});
  Result<ListReply> list(ListRequest request, CallBounds bounds = {});
  Result<QueryReply> query(QueryRequest request, CallBounds bounds = {});
  /// Many at once; each item has its own result.
  void update_many(std::span<async::UpdateItem> items, CallBounds bounds = {});
  void fetch_many(std::span<async::FetchItem> items, CallBounds bounds = {});
  Result<ObjectId> allocate_object(ObjectClass object_class, KeyFlavour dkeys, KeyFlavour akeys,
                                   CallBounds bounds = {});

  /// All of them at one moment, on conditions, or none; see async::Container::apply.
  Result<UpdateReply> apply(async::ChangeSet changes, CallBounds bounds = {});

  /// Runs `body`, in the calling thread, as a transaction; see async::Container::transact. What `body` is given, and
  /// the maps and arrays of that, belong to the transaction; it may call them from several threads, and joins those.
  Result<> transact(const std::function<Result<>(Container&)>& body, CallBounds bounds = {});

  // Snapshots; see async::Container.
  Result<SnapshotInfo> create_snapshot(std::string name, CallBounds bounds = {});
  Result<std::vector<SnapshotInfo>> snapshots(CallBounds bounds = {});
  Result<> destroy_snapshot(std::string name, CallBounds bounds = {});
  Result<SnapshotInfo> roll_back(std::string snapshot, bool force = false, CallBounds bounds = {});
  /// The container as it was: `kv`, `array` and every read show the snapshot, and changes are kReadOnly.
  Result<Container> at_snapshot(std::string name, CallBounds bounds = {});
  const std::optional<SnapshotInfo>& snapshot() const;
  /// The coroutine form of this container or view, for `Client::run`.
  const async::Container& remote() const { return container_; }

  /// The container's default map.
  Kv kv();
  /// The map in `object`.
  Kv kv(ObjectId object);
  Array array(ObjectId object, std::uint32_t chunk_bytes = async::Array::kDefaultChunkBytes);

 private:
  friend class Client;
  Container(std::shared_ptr<detail::Connection> connection, async::Container container);
  std::shared_ptr<detail::Connection> connection_;
  async::Container container_;
};

struct OpenOptions {
  /// Makes a store when the directory is empty or missing; otherwise that is kNotFound.
  bool create = true;
  /// Size of the storage file of a store that is made.
  std::uint64_t size_bytes = 4ull << 30;
  std::uint64_t cache_bytes = 64ull << 20;
  /// 256 bits of key, of which nobody else knows anything: what the store writes is encrypted. One that was made with a
  /// key opens with that key only (kKeyNeeded, kWrongKey).
  std::optional<SecretKey> encryption_key = std::nullopt;
};

/// A connection to a system, or a system inside this process. Thread-safe; the last copy of it and of what was opened
/// through it closes it.
class Client {
 public:
  /// "host", "host:port" or several, comma-separated. kUnreachable names the address and what to check.
  static Result<Client> connect(std::string_view addresses, async::ConnectOptions options = {});
  /// Opens the store in `directory` in this process, without a server: its own, or the data directory of a server that
  /// does not run. kLocked while another process (or another Client of this one) has it open, kNotFound, kCorrupt,
  /// kNewerFormat, kDeviceFull, kPermissionDenied; each names the path and what to do.
  static Result<Client> open(std::string directory, OpenOptions options = {});

  Result<SystemInfo> system(CallBounds bounds = {});
  /// Where the coordinator of the system is; the same for an engine that wants to share it, as of
  /// `async::Client::share_coordinator`.
  Result<CoordinatorInfo> coordinator(CallBounds bounds = {});
  Result<CoordinatorInfo> share_coordinator(CallBounds bounds = {});
  /// Takes into use what devices of targets have become larger by.
  Result<SystemInfo> grow_targets(GrowTargets request, CallBounds bounds = {});
  /// Stops the system as a whole for maintenance, and lets it go on as it was: see async::Client.
  Result<SystemStopInfo> stop_system(CallBounds bounds = {});
  Result<SystemStopInfo> query_stop(CallBounds bounds = {});
  Result<SystemStopInfo> start_system(StartSystem request = {}, CallBounds bounds = {});
  /// What the scrub of each target does, and all damage that it knows; starts a pass, pauses or resumes.
  Result<SystemScrub> scrub(CallBounds bounds = {});
  Result<SystemScrub> control_scrub(ControlScrub request, CallBounds bounds = {});
  /// Begins to read and prove all that the system stores of a container; `query_check` tells how it goes until it has
  /// ended, `cancel_check` ends it earlier.
  Result<ContainerCheck> begin_check(std::string pool, std::string container, BeginCheck request = {},
                                     CallBounds bounds = {});
  Result<ContainerCheck> query_check(std::string pool, std::string container, CallBounds bounds = {});
  Result<ContainerCheck> cancel_check(std::string pool, std::string container, CallBounds bounds = {});
  Result<PoolInfo> create_pool(CreatePool request, CallBounds bounds = {});
  Result<std::vector<PoolInfo>> list_pools(CallBounds bounds = {});
  Result<PoolInfo> query_pool(std::string pool, CallBounds bounds = {});
  Result<> set_pool_property(std::string pool, std::string key, std::string value, CallBounds bounds = {});
  Result<> destroy_pool(std::string pool, bool force, CallBounds bounds = {});
  /// Excludes engines from a pool, drains them, gives them their part again, or extends the pool by them. The data
  /// moves afterwards: `query_moves` tells how.
  Result<PoolChanged> change_engines(std::string pool, ChangeEngines request, CallBounds bounds = {});
  Result<PoolMoves> query_moves(std::string pool, CallBounds bounds = {});
  Result<PoolMoves> pause_moves(std::string pool, bool paused, CallBounds bounds = {});
  Result<ContainerInfo> create_container(CreateContainer request, CallBounds bounds = {});
  /// A new container that shows what another one of the pool shows now, or in a snapshot, and can be changed. Costs the
  /// same whatever the size. The source may be destroyed: what its clones need stays.
  Result<ContainerInfo> clone_container(CloneContainer request, CallBounds bounds = {});
  /// Begins to copy what a clone shows of its source, in the background; when that is done the container is no clone
  /// any more (`clone_of` of query_container), and nothing is kept for it. kQuotaExceeded: all of it does not fit its
  /// quotas.
  Result<ContainerInfo> flatten_container(std::string pool, std::string container, CallBounds bounds = {});
  Result<std::vector<ContainerInfo>> list_containers(std::string pool, CallBounds bounds = {});
  Result<ContainerInfo> query_container(std::string pool, std::string container, CallBounds bounds = {});
  Result<> destroy_container(std::string pool, std::string container, CallBounds bounds = {});
  Result<> set_property(std::string pool, std::string container, std::string key, std::string value,
                        CallBounds bounds = {});
  Result<Container> open_container(std::string pool, std::string container, CallBounds bounds = {});

  /// Runs `make_task(client)`, which returns a Task<T>, on the client's reactor and blocks for its value: the way to
  /// use the coroutine form (many calls in flight) from an ordinary thread.
  template <typename MakeTask>
  auto run(MakeTask make_task) {
    return thread().run([&] { return make_task(remote()); });
  }

 private:
  explicit Client(std::shared_ptr<detail::Connection> connection);
  ReactorThread& thread();
  async::Client& remote();
  std::shared_ptr<detail::Connection> connection_;
};

inline Result<Client> connect(std::string_view addresses, async::ConnectOptions options = {}) {
  return Client::connect(addresses, std::move(options));
}
inline Result<Client> open(std::string directory, OpenOptions options = {}) {
  return Client::open(std::move(directory), std::move(options));
}

}  // namespace cenote
