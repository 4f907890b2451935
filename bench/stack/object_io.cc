#include "stack/object_io.h"

#include <algorithm>
#include <utility>

#include "cenote/base/codec.h"
#include "cenote/runtime/scope.h"
#include "device/raw_device.h"
#include "harness/machine.h"
#include "stack/cenote_stack.h"

namespace cenote::bench {
namespace {

constexpr std::uint64_t kChunkBytes = 1u << 20;
constexpr ObjectId kObject = ObjectId::make(ObjectClass::kS1, KeyFlavour::kUint64, KeyFlavour::kHashed, 0, 4242);

std::uint64_t pieces_of(const ObjectPattern& pattern) { return pattern.working_set / pattern.bytes; }

KeyBytes dkey_of(std::uint64_t chunk) {
  KeyBytes key;
  key.resize(8);
  store_le(key.data(), chunk);
  return key;
}

KeyBytes akey() {
  KeyBytes key;
  key.push_back(std::byte{'0'});
  return key;
}

struct Place {
  std::uint64_t chunk;
  RecordRange range;
};

Place place_of(const ObjectPattern& pattern, std::uint64_t index) {
  const std::uint64_t offset = index * pattern.bytes;
  return {.chunk = offset / kChunkBytes, .range = {.first = offset % kChunkBytes, .count = pattern.bytes}};
}

/// The state that the concurrent operations of one run share.
struct Run {
  async::Container container;
  ObjectPattern pattern;
  std::uint64_t random;
  std::uint64_t operations_left;  // when the run is bounded by their number
  Instant end;
  LatencyHistogram latencies;
  Result<> outcome;

  bool goes_on(Instant at) const { return outcome.has_value() && operations_left > 0 && at < end; }
  std::uint64_t next_index() {
    random ^= random >> 12;
    random ^= random << 25;
    random ^= random >> 27;
    return random % pieces_of(pattern);
  }
};

Task<Result<>> one_operation(Run& run, std::uint64_t index, Bytes& buffer) {
  if (run.pattern.kind == ObjectPattern::Kind::kUpdate) {
    store_le(buffer.data(), index);
    std::vector<ByteView> payload{ByteView(buffer)};
    CO_TRY(const auto reply, co_await run.container.update(update_request(run.pattern, index), std::move(payload)));
    (void)reply;
    co_return Result<>{};
  }
  std::vector<MutableBytes> into{MutableBytes(buffer)};
  CO_TRY(const auto reply, co_await run.container.fetch(fetch_request(run.pattern, index), std::move(into)));
  const bool whole = reply.akeys.size() == 1 && reply.akeys[0].bytes == run.pattern.bytes;
  if (!whole) co_return fail(Code::kCorrupt, "a fetch brought less than was written");
  co_return Result<>{};
}

Task<> operate(Run& run) {
  Bytes buffer(run.pattern.bytes, std::byte{0x5a});
  for (Instant before = now(); run.goes_on(before);) {
    --run.operations_left;
    if (auto done = co_await one_operation(run, run.next_index(), buffer); !done) run.outcome = std::move(done);
    const Instant after = now();
    run.latencies.record(after - before);
    before = after;
  }
}

Task<> operate_concurrently(Run& run, UringReactor& reactor) {
  Scope scope(reactor);
  for (unsigned i = 0; i < run.pattern.depth; ++i) scope.spawn(operate(run));
  co_await scope.drain();
}

// Writes the working set once, in large pieces, in order.
Task<Result<>> write_all(async::Container container, std::uint64_t bytes) {
  const ObjectPattern large{.bytes = kChunkBytes, .depth = 1, .working_set = bytes};
  const Bytes buffer(kChunkBytes, std::byte{0x5a});
  for (std::uint64_t i = 0; i < pieces_of(large); ++i) {
    std::vector<ByteView> payload{ByteView(buffer)};
    CO_TRY(const auto reply, co_await container.update(update_request(large, i), std::move(payload)));
    (void)reply;
  }
  co_return Result<>{};
}

class CenoteObjects final : public Side {
 public:
  CenoteObjects(std::unique_ptr<CenoteStack> stack, ObjectPattern pattern, Figure figure)
      : stack_(std::move(stack)), pattern_(pattern), figure_(figure) {}

  Result<> prepare() { return stack_->reactor().block_on(write_all(stack_->container(), pattern_.working_set)); }

  Result<Measured> measure(Duration window) override {
    TRY(const double checkpoints_before, stack_->checkpoints());
    const Instant begin = now();
    TRY(const LatencyHistogram latencies, run(window));
    const double seconds = std::chrono::duration<double>(now() - begin).count();
    TRY(const double checkpoints_after, stack_->checkpoints());
    Measured measured{.value = figure_of(figure_, double(latencies.count()) / seconds, pattern_.bytes), .details = {}};
    measured.add_latencies(latencies);
    measured.details.emplace_back("checkpoints", checkpoints_after - checkpoints_before);
    return measured;
  }

  Result<double> account(Duration window) override {
    TRY(const LatencyHistogram latencies, run(window));
    return double(latencies.count());
  }

  Result<> close() override { return stack_->close(); }

 private:
  Result<LatencyHistogram> run(Duration window) {
    const PinnedThread pinned(kClientCpu);
    Run run{.container = stack_->container(),
            .pattern = pattern_,
            .random = ++seed_ * 0x9e3779b97f4a7c15,
            .operations_left = UINT64_MAX,
            .end = now() + window,
            .latencies = {},
            .outcome = {}};
    stack_->reactor().block_on(operate_concurrently(run, stack_->reactor()));
    CHECK_OK(std::move(run.outcome));
    return run.latencies;
  }

  std::unique_ptr<CenoteStack> stack_;
  ObjectPattern pattern_;
  Figure figure_;
  std::uint64_t seed_ = 0;
};

/// The raw device gives operations per second; this turns them into the figure of the comparison.
class Converted final : public Side {
 public:
  Converted(std::unique_ptr<Side> side, Figure figure, std::uint32_t bytes)
      : side_(std::move(side)), figure_(figure), bytes_(bytes) {}
  Result<Measured> measure(Duration window) override {
    TRY(Measured measured, side_->measure(window));
    measured.value = figure_of(figure_, measured.value, bytes_);
    return measured;
  }

 private:
  std::unique_ptr<Side> side_;
  Figure figure_;
  std::uint32_t bytes_;
};

}  // namespace

double figure_of(Figure figure, double operations_per_second, std::uint32_t bytes) {
  switch (figure) {
    case Figure::kRate:
      return operations_per_second;
    case Figure::kLatency:
      return operations_per_second == 0 ? 0 : 1e6 / operations_per_second;
    case Figure::kBytes:
      return operations_per_second * double(bytes) / double(1u << 20);
  }
  return 0;
}

UpdateRequest update_request(const ObjectPattern& pattern, std::uint64_t index) {
  const Place place = place_of(pattern, index);
  UpdateRequest request;
  request.object = kObject;
  request.dkey = dkey_of(place.chunk);
  AkeyUpdate& update = request.akeys.emplace_back();
  update.akey = akey();
  update.kind = ValueKind::kArray;
  update.ranges.push_back(place.range);
  update.bytes = pattern.bytes;
  return request;
}

FetchRequest fetch_request(const ObjectPattern& pattern, std::uint64_t index) {
  const Place place = place_of(pattern, index);
  FetchRequest request;
  request.object = kObject;
  request.dkey = dkey_of(place.chunk);
  AkeyFetch& fetch = request.akeys.emplace_back();
  fetch.akey = akey();
  fetch.kind = ValueKind::kArray;
  fetch.ranges.push_back(place.range);
  fetch.max_bytes = pattern.bytes;
  return request;
}

Result<std::unique_ptr<Side>> make_cenote_objects(const Setting& setting, ObjectPattern pattern, Figure figure) {
  if (setting.quick) pattern.working_set /= 4;
  TRY(auto stack, CenoteStack::start(setting, {}));
  auto side = std::make_unique<CenoteObjects>(std::move(stack), pattern, figure);
  CHECK_OK(side->prepare());
  return side;
}

Result<std::unique_ptr<Side>> make_device(const Setting& setting, ObjectPattern pattern, Figure figure) {
  const bool update = pattern.kind == ObjectPattern::Kind::kUpdate;
  const RawPattern raw{.kind = update ? RawPattern::Kind::kWrite : RawPattern::Kind::kRead,
                       .sync = update ? RawPattern::Sync::kBest : RawPattern::Sync::kNone,
                       .depth = pattern.depth,
                       .bytes = pattern.bytes,
                       .sequential = update,
                       .file_bytes = update ? kDeviceBytes : pattern.working_set};
  TRY(auto device, make_raw_device(setting, raw));
  return std::make_unique<Converted>(std::move(device), figure, pattern.bytes);
}

}  // namespace cenote::bench
