#include "cenote/media/sim_device.h"

#include <algorithm>
#include <optional>
#include <utility>

#include "cenote/base/assert.h"
#include "cenote/base/format.h"
#include "io_check.h"
#include "sim_write_cache.h"

namespace cenote::media {
namespace {

// A dead device answers late enough that a loop of retries lets simulated time pass.
constexpr Duration kDeadLatency = std::chrono::microseconds(10);
constexpr std::uint64_t kMillion = 1'000'000;

SharedBlock share(ByteView block) {
  auto contents = std::make_shared<BlockContents>();
  copy_bytes(block, contents->bytes);
  return contents;
}

}  // namespace

// Invariants (check_invariants, outside the write hook):
//  - Every operation in `pending` has an armed timer.
//  - An operation with an order is a write or discard whose write in the cache is still in flight.
//  - A dead device has an empty cache and touches neither the medium nor a caller's memory.
struct SimDevice::Impl {
  /// A request between submission and completion.
  struct Operation final : Timer, ListNode<> {
    explicit Operation(Impl& owner) : device(owner) {}
    void fire() override { device.finish(*this); }

    Impl& device;
    IoRequest* request = nullptr;
    SimWriteCache::Order order = 0;             // its write in the cache, 0 for none
    std::vector<SimWriteCache::Order> covered;  // by a flush
    std::optional<Error> error;
  };

  Impl(SimReactor& r, std::string device_name, SimMedium& m, SimDeviceOptions o)
      : reactor(r), world(r.world()), name(std::move(device_name)), medium(m), options(o), cache(m), idle(r) {}

  void submit(IoRequest& request);
  void start(Operation& operation);
  void start_write(Operation& operation);
  void start_discard(Operation& operation);
  Instant due_at(const IoRequest& request);
  void finish(Operation& operation);
  void take_effect(Operation& operation);
  void answer(Operation& operation);
  void deliver_read(const IoRequest& request);
  void crash(CrashOptions how);
  bool odds(std::uint32_t ppm) { return ppm > 0 && world.chance(ppm, kMillion); }
  Error error(Code code, const IoRequest& request, std::string_view what) const {
    return Error(code, fmt::format("{}: {}", describe(request, name), what));
  }
  Operation& take_operation();

  SimReactor& reactor;
  SimWorld& world;
  std::string name;
  SimMedium& medium;
  SimDeviceOptions options;
  SimWriteCache cache;
  Condition idle;
  DeviceCounters counters;
  DeviceHealth health;
  IntrusiveList<Operation> pending;
  IntrusiveList<Operation> unused;
  std::vector<std::unique_ptr<Operation>> operations;
  std::function<void(std::uint64_t, const IoRequest&)> hook;
  std::uint64_t effects = 0;
  Instant busy_until{};
  double slowdown = 1.0;
  bool full = false;
  bool dead = false;
  bool closed = false;
};

SimDevice::Impl::Operation& SimDevice::Impl::take_operation() {
  if (Operation* operation = unused.pop_front()) return *operation;
  operations.push_back(std::make_unique<Operation>(*this));
  return *operations.back();
}

void SimDevice::Impl::submit(IoRequest& request) {
  Operation& operation = take_operation();
  operation.request = &request;
  request.begun = world.now();
  health.begun(request.begun);
  pending.push_back(operation);
  if (dead || closed) {
    operation.error = error(Code::kDeviceDead, request, dead ? "the device is dead" : "the device is closed");
    reactor.arm(operation, world.now() + kDeadLatency);
    return;
  }
  if (Result<> checked = check_request(request, name, medium.block_count()); !checked) {
    operation.error = std::move(checked).error();
    reactor.arm(operation, world.now());
    return;
  }
  start(operation);
  reactor.arm(operation, due_at(request));
}

void SimDevice::Impl::start(Operation& operation) {
  const IoRequest& request = *operation.request;
  switch (request.kind) {
    case IoKind::kRead:
      ++counters.reads;
      counters.read_bytes += request.bytes;
      if (odds(options.read_error_ppm)) operation.error = error(Code::kIoError, request, "simulated read error");
      break;
    case IoKind::kWrite:
      ++counters.writes;
      counters.written_bytes += request.bytes;
      start_write(operation);
      break;
    case IoKind::kFlush:
      ++counters.flushes;
      if (odds(options.flush_error_ppm)) operation.error = error(Code::kIoError, request, "simulated flush error");
      operation.covered = cache.completed();
      break;
    case IoKind::kDiscard:
      ++counters.discards;
      start_discard(operation);
      break;
  }
}

void SimDevice::Impl::start_write(Operation& operation) {
  const IoRequest& request = *operation.request;
  if (full) {
    operation.error = error(Code::kDeviceFull, request, "no space left on the simulated device");
    return;
  }
  if (odds(options.write_error_ppm)) {
    operation.error = error(Code::kIoError, request, "simulated write error");
    if (world.chance(1, 2)) return;
  }
  if (odds(options.lost_write_ppm)) return;

  const std::uint64_t blocks = blocks_of(request);
  std::uint64_t first = request.first.value();
  if (odds(options.misdirected_write_ppm)) first = world.random_below(medium.block_count() - blocks + 1);
  std::vector<SimWriteCache::Piece> pieces;
  pieces.reserve(blocks);
  for (std::uint64_t i = 0; i < blocks; ++i) {
    pieces.push_back({BlockNo(first + i), share({request.data + i * kBlockBytes, kBlockBytes})});
  }
  if (odds(options.corrupt_write_ppm)) {
    SharedBlock& victim = pieces[world.random_below(blocks)].contents;
    auto damaged = std::make_shared<BlockContents>(*victim);
    damaged->bytes[world.random_below(kBlockBytes)] ^= std::byte{1} << world.random_below(8);
    victim = std::move(damaged);
  }
  operation.order = cache.begin(std::move(pieces));
}

void SimDevice::Impl::start_discard(Operation& operation) {
  if (world.chance(1, 2)) return;
  const BlockNo first = operation.request->first;
  const BlockNo end(first.value() + blocks_of(*operation.request));
  std::vector<SimWriteCache::Piece> pieces;
  for (BlockNo block : cache.blocks_with_contents(first, end)) pieces.push_back({block, nullptr});
  if (!pieces.empty()) operation.order = cache.begin(std::move(pieces));
}

Instant SimDevice::Impl::due_at(const IoRequest& request) {
  Duration latency{};
  Duration transfer{};
  switch (request.kind) {
    case IoKind::kRead:
      latency = options.read_latency;
      break;
    case IoKind::kWrite:
      latency = options.write_latency;
      break;
    case IoKind::kFlush:
      latency = options.flush_latency;
      break;
    case IoKind::kDiscard:
      latency = options.write_latency;
      break;
  }
  const bool moves_data = request.kind == IoKind::kRead || request.kind == IoKind::kWrite;
  if (moves_data && options.bytes_per_second > 0) {
    const double seconds = static_cast<double>(request.bytes) / static_cast<double>(options.bytes_per_second);
    transfer = Duration(static_cast<Duration::rep>(seconds * 1e9 * slowdown));
  }
  const double jitter = options.latency_jitter * static_cast<double>(world.random_below(kMillion)) / kMillion;
  latency = Duration(static_cast<Duration::rep>(static_cast<double>(latency.count()) * (1.0 + jitter) * slowdown));
  // Transfers share the device's bandwidth one after the other; latencies overlap.
  busy_until = std::max(busy_until, world.now()) + transfer;
  return busy_until + latency;
}

void SimDevice::Impl::finish(Operation& operation) {
  const IoKind kind = operation.request->kind;
  if (hook && !operation.error && (kind == IoKind::kWrite || kind == IoKind::kFlush)) {
    hook(++effects, *operation.request);
    // A crash in the hook has given this operation, like all others, a new end.
    if (operation.armed()) return;
  }
  if (!dead) take_effect(operation);
  answer(operation);
}

void SimDevice::Impl::take_effect(Operation& operation) {
  const IoRequest& request = *operation.request;
  if (operation.order != 0) {
    cache.complete(operation.order);
    const bool durable = request.kind == IoKind::kWrite && request.durability == Durability::kDurable;
    if (durable && !operation.error) cache.make_durable(operation.order);
  }
  if (operation.error) return;
  for (SimWriteCache::Order order : operation.covered) cache.make_durable(order);
  if (request.kind == IoKind::kRead) deliver_read(request);
}

void SimDevice::Impl::deliver_read(const IoRequest& request) {
  for (std::uint64_t i = 0; i < blocks_of(request); ++i) {
    cache.read(BlockNo(request.first.value() + i), {request.data + i * kBlockBytes, kBlockBytes}, world);
  }
}

// The last thing that may touch the device: whoever is answered may destroy it.
void SimDevice::Impl::answer(Operation& operation) {
  Result<> result;
  if (operation.error) {
    ++counters.errors;
    result = fail(*std::move(operation.error));
  }
  IoRequest& request = *operation.request;
  health.ended(request.kind, world.now() - request.begun, !result, world.now());
  operation.unlink();
  operation.request = nullptr;
  operation.order = 0;
  operation.covered.clear();
  operation.error.reset();
  unused.push_back(operation);
  if (pending.empty()) idle.notify_all();
  request.complete(std::move(result));
}

void SimDevice::Impl::crash(CrashOptions how) {
  if (dead) return;
  dead = true;
  cache.resolve(medium, how, world);
  cache.clear();
  for (Operation* operation = pending.front(); operation != nullptr; operation = pending.next(*operation)) {
    operation->order = 0;
    operation->covered.clear();
    operation->error = error(Code::kDeviceDead, *operation->request, "the device died");
    reactor.disarm(*operation);
    reactor.arm(*operation, world.now() + kDeadLatency);
  }
}

SimDevice::SimDevice(SimReactor& reactor, std::string name, SimMedium& medium, SimDeviceOptions options)
    : impl_(std::make_unique<Impl>(reactor, std::move(name), medium, options)) {}

SimDevice::~SimDevice() {
  ASSERT(impl_->pending.empty());
  if (!impl_->dead) impl_->cache.drain();
}

std::uint64_t SimDevice::block_count() const { return impl_->medium.block_count(); }
const std::string& SimDevice::name() const { return impl_->name; }
bool SimDevice::prefers_durable_writes() const { return impl_->options.prefers_durable_writes; }
void SimDevice::submit(IoRequest& request) { impl_->submit(request); }
DeviceCounters SimDevice::counters() const { return impl_->counters; }
DeviceHealth& SimDevice::health() { return impl_->health; }

Task<> SimDevice::close() {
  impl_->closed = true;
  while (!impl_->pending.empty()) (void)co_await impl_->idle.wait(Until::forever());
  if (!impl_->dead) impl_->cache.drain();
}

void SimDevice::crash(CrashOptions options) { impl_->crash(options); }
bool SimDevice::dead() const { return impl_->dead; }

std::unique_ptr<SimMedium> SimDevice::crash_image(CrashOptions options) const {
  std::unique_ptr<SimMedium> image = impl_->medium.clone();
  impl_->cache.resolve(*image, options, impl_->world);
  return image;
}

void SimDevice::set_write_hook(std::function<void(std::uint64_t, const IoRequest&)> hook) {
  impl_->hook = std::move(hook);
}
void SimDevice::set_full(bool full) { impl_->full = full; }
void SimDevice::set_slowdown(double factor) { impl_->slowdown = factor; }
SimDeviceOptions& SimDevice::options() { return impl_->options; }

void SimDevice::check_invariants() const {
  impl_->cache.check_invariants();
  if (impl_->dead) ASSERT(impl_->cache.completed().empty());
  for (auto* operation = impl_->pending.front(); operation != nullptr; operation = impl_->pending.next(*operation)) {
    ASSERT(operation->request != nullptr && operation->armed());
    ASSERT(!impl_->dead || operation->order == 0);
  }
}

}  // namespace cenote::media
