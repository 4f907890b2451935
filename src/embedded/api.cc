#include "cenote/cenote.hpp"
#include "connection.h"

namespace cenote {

using detail::Connection;

Result<Client> Client::connect(std::string_view addresses, async::ConnectOptions options) {
  TRY(auto parsed, rpc::parse_addresses(addresses));
  TRY(auto connection, Connection::to_addresses(std::move(parsed), std::move(options)));
  return Client(std::move(connection));
}

Result<Client> Client::open(std::string directory, OpenOptions options) {
  TRY(auto connection, Connection::to_directory(std::move(directory), std::move(options)));
  return Client(std::move(connection));
}

Client::Client(std::shared_ptr<Connection> connection) : connection_(std::move(connection)) {}
ReactorThread& Client::thread() { return connection_->thread(); }
async::Client& Client::remote() { return connection_->client(); }

Result<SystemInfo> Client::system(CallBounds bounds) {
  return connection_->call(bounds, [&](async::Client& client, Until until) { return client.system(until); });
}

Result<CoordinatorInfo> Client::coordinator(CallBounds bounds) {
  return connection_->call(bounds, [&](async::Client& client, Until until) { return client.coordinator(until); });
}

Result<CoordinatorInfo> Client::share_coordinator(CallBounds bounds) {
  return connection_->call(bounds, [&](async::Client& client, Until until) { return client.share_coordinator(until); });
}

Result<SystemInfo> Client::grow_targets(GrowTargets request, CallBounds bounds) {
  return connection_->call(bounds,
                           [&](async::Client& client, Until until) { return client.grow_targets(request, until); });
}

Result<SystemScrub> Client::scrub(CallBounds bounds) {
  return connection_->call(bounds, [&](async::Client& client, Until until) { return client.scrub(until); });
}

Result<SystemScrub> Client::control_scrub(ControlScrub request, CallBounds bounds) {
  return connection_->call(bounds,
                           [&](async::Client& client, Until until) { return client.control_scrub(request, until); });
}

Result<ContainerCheck> Client::begin_check(std::string pool, std::string container, BeginCheck request,
                                           CallBounds bounds) {
  return connection_->call(bounds, [&](async::Client& client, Until until) {
    return client.begin_check(std::move(pool), std::move(container), request, until);
  });
}

Result<ContainerCheck> Client::query_check(std::string pool, std::string container, CallBounds bounds) {
  return connection_->call(bounds, [&](async::Client& client, Until until) {
    return client.query_check(std::move(pool), std::move(container), until);
  });
}

Result<ContainerCheck> Client::cancel_check(std::string pool, std::string container, CallBounds bounds) {
  return connection_->call(bounds, [&](async::Client& client, Until until) {
    return client.cancel_check(std::move(pool), std::move(container), until);
  });
}

Result<PoolInfo> Client::create_pool(CreatePool request, CallBounds bounds) {
  return connection_->call(bounds,
                           [&](async::Client& client, Until until) { return client.create_pool(request, until); });
}

Result<std::vector<PoolInfo>> Client::list_pools(CallBounds bounds) {
  return connection_->call(bounds, [&](async::Client& client, Until until) { return client.list_pools(until); });
}

Result<PoolInfo> Client::query_pool(std::string pool, CallBounds bounds) {
  return connection_->call(bounds, [&](async::Client& client, Until until) { return client.query_pool(pool, until); });
}

Result<> Client::set_pool_property(std::string pool, std::string key, std::string value, CallBounds bounds) {
  return connection_->call(
      bounds, [&](async::Client& client, Until until) { return client.set_pool_property(pool, key, value, until); });
}

Result<> Client::destroy_pool(std::string pool, bool force, CallBounds bounds) {
  return connection_->call(bounds,
                           [&](async::Client& client, Until until) { return client.destroy_pool(pool, force, until); });
}

Result<SystemStopInfo> Client::stop_system(CallBounds bounds) {
  return connection_->call(bounds, [](async::Client& client, Until until) { return client.stop_system(until); });
}

Result<SystemStopInfo> Client::query_stop(CallBounds bounds) {
  return connection_->call(bounds, [](async::Client& client, Until until) { return client.query_stop(until); });
}

Result<SystemStopInfo> Client::start_system(StartSystem request, CallBounds bounds) {
  return connection_->call(bounds,
                           [=](async::Client& client, Until until) { return client.start_system(request, until); });
}

Result<PoolChanged> Client::change_engines(std::string pool, ChangeEngines request, CallBounds bounds) {
  return connection_->call(
      bounds, [&](async::Client& client, Until until) { return client.change_engines(pool, request, until); });
}

Result<PoolMoves> Client::query_moves(std::string pool, CallBounds bounds) {
  return connection_->call(bounds, [&](async::Client& client, Until until) { return client.query_moves(pool, until); });
}

Result<PoolMoves> Client::pause_moves(std::string pool, bool paused, CallBounds bounds) {
  return connection_->call(bounds,
                           [&](async::Client& client, Until until) { return client.pause_moves(pool, paused, until); });
}

Result<ContainerInfo> Client::create_container(CreateContainer request, CallBounds bounds) {
  return connection_->call(bounds,
                           [&](async::Client& client, Until until) { return client.create_container(request, until); });
}

Result<ContainerInfo> Client::clone_container(CloneContainer request, CallBounds bounds) {
  return connection_->call(bounds,
                           [&](async::Client& client, Until until) { return client.clone_container(request, until); });
}

Result<ContainerInfo> Client::flatten_container(std::string pool, std::string container, CallBounds bounds) {
  return connection_->call(
      bounds, [&](async::Client& client, Until until) { return client.flatten_container(pool, container, until); });
}

Result<std::vector<ContainerInfo>> Client::list_containers(std::string pool, CallBounds bounds) {
  return connection_->call(bounds,
                           [&](async::Client& client, Until until) { return client.list_containers(pool, until); });
}

Result<ContainerInfo> Client::query_container(std::string pool, std::string container, CallBounds bounds) {
  return connection_->call(
      bounds, [&](async::Client& client, Until until) { return client.query_container(pool, container, until); });
}

Result<> Client::destroy_container(std::string pool, std::string container, CallBounds bounds) {
  return connection_->call(
      bounds, [&](async::Client& client, Until until) { return client.destroy_container(pool, container, until); });
}

Result<> Client::set_property(std::string pool, std::string container, std::string key, std::string value,
                              CallBounds bounds) {
  return connection_->call(bounds, [&](async::Client& client, Until until) {
    return client.set_property(pool, container, key, value, until);
  });
}

Result<Container> Client::open_container(std::string pool, std::string container, CallBounds bounds) {
  TRY(async::Container opened, connection_->call(bounds, [&](async::Client& client, Until until) {
    return client.open_container(pool, container, until);
  }));
  return Container(connection_, std::move(opened));
}

Container::Container(std::shared_ptr<Connection> connection, async::Container container)
    : connection_(std::move(connection)), container_(std::move(container)) {}

const ContainerInfo& Container::info() const { return container_.info(); }

Result<UpdateReply> Container::update(UpdateRequest request, std::vector<ByteView> payload, CallBounds bounds) {
  return connection_->call(bounds, [&](async::Client&, Until until) {
    return container_.update(std::move(request), std::move(payload), until);
  });
}

Result<FetchReply> Container::fetch(FetchRequest request, std::vector<MutableBytes> into, CallBounds bounds) {
  return connection_->call(bounds, [&](async::Client&, Until until) {
    return container_.fetch(std::move(request), std::move(into), until);
  });
}

Result<UpdateReply> Container::punch(PunchRequest request, CallBounds bounds) {
  return connection_->call(bounds,
                           [&](async::Client&, Until until) { return container_.punch(std::move(request), until); });
}

Result<ListReply> Container::list(ListRequest request, CallBounds bounds) {
  return connection_->call(bounds,
                           [&](async::Client&, Until until) { return container_.list(std::move(request), until); });
}

Result<QueryReply> Container::query(QueryRequest request, CallBounds bounds) {
  return connection_->call(bounds,
                           [&](async::Client&, Until until) { return container_.query(std::move(request), until); });
}

void Container::update_many(std::span<async::UpdateItem> items, CallBounds bounds) {
  connection_->call(bounds, [&](async::Client&, Until until) { return container_.update_many(items, until); });
}

void Container::fetch_many(std::span<async::FetchItem> items, CallBounds bounds) {
  connection_->call(bounds, [&](async::Client&, Until until) { return container_.fetch_many(items, until); });
}

Result<UpdateReply> Container::apply(async::ChangeSet changes, CallBounds bounds) {
  return connection_->call(bounds,
                           [&](async::Client&, Until until) { return container_.apply(std::move(changes), until); });
}

Result<ObjectId> Container::allocate_object(ObjectClass object_class, KeyFlavour dkeys, KeyFlavour akeys,
                                            CallBounds bounds) {
  return connection_->call(bounds, [&](async::Client&, Until until) {
    return container_.allocate_object(object_class, dkeys, akeys, until);
  });
}

namespace {

Task<Until> as_it_is(Until until) { co_return until; }

}  // namespace

Result<> Container::transact(const std::function<Result<>(Container&)>& body, CallBounds bounds) {
  if (container_.in_transaction()) return fail(Code::kInvalidArgument, "a transaction cannot be a part of another one");
  // Over all attempts.
  const Until whole = connection_->call(bounds, [](async::Client&, Until until) { return as_it_is(until); });
  for (std::uint32_t attempts = 1;; ++attempts) {
    Container view(connection_, container_.begin_transaction());
    Result<> outcome = body(view);
    if (outcome) {
      outcome = connection_->call(bounds, [&](async::Client&, Until until) {
        return view.container_.commit_transaction(until.no_later_than(whole.deadline));
      });
    }
    if (outcome || outcome.error() != Code::kTxRestart) return outcome;
    const Result<> paused = connection_->call(bounds, [&](async::Client&, Until until) {
      return container_.pause_before_retry(attempts, until.no_later_than(whole.deadline));
    });
    if (!paused) return paused.error() == Code::kDeadlineExceeded ? outcome : paused;
  }
}

Result<SnapshotInfo> Container::create_snapshot(std::string name, CallBounds bounds) {
  return connection_->call(bounds,
                           [&](async::Client&, Until until) { return container_.create_snapshot(name, until); });
}

Result<std::vector<SnapshotInfo>> Container::snapshots(CallBounds bounds) {
  return connection_->call(bounds, [&](async::Client&, Until until) { return container_.snapshots(until); });
}

Result<> Container::destroy_snapshot(std::string name, CallBounds bounds) {
  return connection_->call(bounds,
                           [&](async::Client&, Until until) { return container_.destroy_snapshot(name, until); });
}

Result<SnapshotInfo> Container::roll_back(std::string snapshot, bool force, CallBounds bounds) {
  return connection_->call(bounds,
                           [&](async::Client&, Until until) { return container_.roll_back(snapshot, force, until); });
}

Result<Container> Container::at_snapshot(std::string name, CallBounds bounds) {
  TRY(async::Container view,
      connection_->call(bounds, [&](async::Client&, Until until) { return container_.at_snapshot(name, until); }));
  return Container(connection_, std::move(view));
}

const std::optional<SnapshotInfo>& Container::snapshot() const { return container_.snapshot(); }

Kv Container::kv() { return kv(async::Kv::default_object(redundancy())); }
Kv Container::kv(ObjectId object) { return Kv(connection_, async::Kv(container_, object)); }

Array Container::array(ObjectId object, std::uint32_t chunk_bytes) {
  return Array(connection_, async::Array(container_, object, chunk_bytes));
}

Kv::Kv(std::shared_ptr<Connection> connection, async::Kv kv) : connection_(std::move(connection)), kv_(std::move(kv)) {}

Result<> Kv::put(std::string key, ByteView value, Precondition condition, CallBounds bounds) {
  return connection_->call(
      bounds, [&](async::Client&, Until until) { return kv_.put(std::move(key), value, condition, until); });
}

Result<std::optional<Bytes>> Kv::get(std::string key, CallBounds bounds) {
  return connection_->call(bounds, [&](async::Client&, Until until) { return kv_.get(std::move(key), until); });
}

Result<> Kv::remove(std::string key, CallBounds bounds) {
  return connection_->call(bounds, [&](async::Client&, Until until) { return kv_.remove(std::move(key), until); });
}

Result<Kv::Page> Kv::list(std::string prefix, std::string after, std::uint32_t limit, CallBounds bounds) {
  return connection_->call(
      bounds, [&](async::Client&, Until until) { return kv_.list(std::move(prefix), std::move(after), limit, until); });
}

Array::Array(std::shared_ptr<Connection> connection, async::Array array)
    : connection_(std::move(connection)), array_(std::move(array)) {}

Result<std::uint64_t> Array::read(std::uint64_t offset, MutableBytes into, CallBounds bounds) {
  return connection_->call(bounds, [&](async::Client&, Until until) { return array_.read(offset, into, until); });
}

Result<> Array::write(std::uint64_t offset, ByteView from, CallBounds bounds) {
  return connection_->call(bounds, [&](async::Client&, Until until) { return array_.write(offset, from, until); });
}

Result<std::uint64_t> Array::size(CallBounds bounds) {
  return connection_->call(bounds, [&](async::Client&, Until until) { return array_.size(until); });
}

Result<> Array::set_size(std::uint64_t size, CallBounds bounds) {
  return connection_->call(bounds, [&](async::Client&, Until until) { return array_.set_size(size, until); });
}

Result<> Array::punch(std::uint64_t offset, std::uint64_t bytes, CallBounds bounds) {
  return connection_->call(bounds, [&](async::Client&, Until until) { return array_.punch(offset, bytes, until); });
}

}  // namespace cenote
