#include "object/rows.h"

#include <fmt/format.h>

#include <optional>
#include <utility>

#include "cenote/media/uring_device.h"
#include "cenote/object/scrub.h"
#include "cenote/runtime/scope.h"
#include "device/raw_device.h"
#include "harness/machine.h"
#include "object/memory_device.h"
#include "object/object_load.h"

namespace cenote::bench {
namespace {

// Room for what the runs write: old versions stay for the retention.
constexpr std::uint64_t kDeviceBytes = 4ull << 30;
// Small enough for several checkpoints in every run of updates.
constexpr std::uint64_t kLogBytes = 8ull << 20;

/// A scrub that goes through the container again and again beside the load, for as long as one run.
struct Scrubbing {
  ObjectLoad& load;
  std::uint64_t bytes_per_second;
  CancelSource cancel = {};
  std::uint64_t read_bytes = 0;
  Result<> outcome = {};
};

Task<> scrub_on(Scrubbing& scrubbing) {
  while (!scrubbing.cancel.cancelled() && scrubbing.outcome) {
    std::uint64_t read = 0;
    object::ScrubOptions options;
    options.bytes_per_second = scrubbing.bytes_per_second;
    options.requests = [&scrubbing] { return scrubbing.load.objects.counters().requests(); };
    options.progress = [&read](const object::ScrubReport& report, ByteView) { read = report.read_bytes; };
    options.cancel = &scrubbing.cancel;
    const auto done =
        co_await object::scrub_container(scrubbing.load.store, scrubbing.load.container, std::move(options));
    scrubbing.read_bytes += read;
    if (!done && !(done.error() == Code::kCancelled)) scrubbing.outcome = fail(done.error());
    if (done && done->damages > 0) scrubbing.outcome = fail(Code::kCorrupt, "the scrub found damage");
  }
}

struct Timed {
  ObjectLoad& load;
  Workload workload;
  Instant end;
  std::uint64_t issued = 0;
  LatencyHistogram latencies;
  Result<> outcome;
};

Task<> until_end(Timed& run) {
  for (Instant before = now(); before < run.end && run.outcome;) {
    if (auto done = co_await run.load.one(run.workload, run.issued++); !done) run.outcome = std::move(done);
    const Instant after = now();
    run.latencies.record(after - before);
    before = after;
  }
}

Task<> run_at_depth(Timed& run, Scrubbing* beside) {
  Scope scope(run.load.store.reactor()), scrub(run.load.store.reactor());
  if (beside != nullptr) scrub.spawn(scrub_on(*beside));
  for (std::uint32_t i = 0; i < kObjectDepth; ++i) scope.spawn(until_end(run));
  co_await scope.drain();
  if (beside != nullptr) beside->cancel.cancel();
  co_await scrub.drain();
}

Task<Result<>> write_once(ObjectLoad& load) {
  const Workload large{.name = "fill", .what = What::kLargeUpdate, .bytes = 1u << 20};
  for (std::uint64_t i = 0; i < kObjectDkeys; ++i) CO_CHECK_OK(co_await load.one(large, i));
  co_return Result<>();
}

class ObjectSide final : public Side {
 public:
  ObjectSide(std::unique_ptr<UringReactor> reactor, std::unique_ptr<media::BlockDevice> device, What what,
             object::ObjectStoreOptions options, std::optional<std::uint64_t> scrub_rate)
      : reactor_(std::move(reactor)),
        device_(std::move(device)),
        what_(what),
        options_(options),
        scrub_rate_(scrub_rate) {}

  Result<> prepare() { return reactor_->block_on(open()); }

  Result<Measured> measure(Duration window) override {
    const std::uint64_t checkpoints = store_->status().checkpoints;
    const std::uint64_t merged = objects_->counters().merged_entries;
    const Instant begin = now();
    TRY(const LatencyHistogram latencies, run(window));
    const double seconds = std::chrono::duration<double>(now() - begin).count();
    Measured measured{.value = double(latencies.count()) / seconds, .details = {}};
    measured.add_latencies(latencies);
    measured.details.emplace_back("checkpoints", double(store_->status().checkpoints - checkpoints));
    if (scrub_rate_) measured.details.emplace_back("scrubbed_MiB/s", double(scrubbed_bytes_) / seconds / (1u << 20));
    const auto merged_now = double(objects_->counters().merged_entries - merged);
    if (options_.aggregation) measured.details.emplace_back("merged/op", merged_now / double(latencies.count()));
    // Space for the next run.
    CHECK_OK(reactor_->block_on(objects_->aggregate(objects_->now())));
    return measured;
  }
  Result<double> account(Duration window) override {
    TRY(const LatencyHistogram latencies, run(window));
    return double(latencies.count());
  }
  Result<> close() override { return reactor_->block_on(close_all()); }

 private:
  Task<Result<>> open() {
    const Uuid id = Uuid::from_random(1, 2);
    const auto devices = store::Devices::one(*device_);
    CO_CHECK_OK(
        co_await store::Store::format(*reactor_, devices, {.system = id, .target = id, .log_bytes = kLogBytes}));
    CO_TRY(store_,
           co_await store::Store::open(*reactor_, devices, {.system = id, .target = id, .cache_bytes = 256u << 20}));
    buffers_ = std::make_unique<media::BufferPool>(*reactor_, media::BufferPoolOptions{.budget_bytes = 128u << 20});
    CO_TRY(objects_, co_await object::ObjectStore::open(*store_, *buffers_, options_));
    CO_CHECK_OK(co_await objects_->create_container(id, {}));
    load_.emplace(ObjectLoad{.store = *store_, .objects = *objects_, .buffers = *buffers_, .container = id});
    co_return co_await write_once(*load_);
  }
  Task<Result<>> close_all() {
    CO_CHECK_OK(co_await objects_->close());
    CO_CHECK_OK(co_await store_->close());
    co_await device_->close();
    co_return Result<>();
  }
  Result<LatencyHistogram> run(Duration window) {
    Timed run{
        .load = *load_, .workload = {.name = "", .what = what_}, .end = now() + window, .latencies = {}, .outcome = {}};
    Scrubbing beside{.load = *load_, .bytes_per_second = scrub_rate_.value_or(0)};
    reactor_->block_on(run_at_depth(run, scrub_rate_ ? &beside : nullptr));
    CHECK_OK(std::move(run.outcome));
    CHECK_OK(std::move(beside.outcome));
    scrubbed_bytes_ = beside.read_bytes;
    return run.latencies;
  }

  std::unique_ptr<UringReactor> reactor_;
  std::unique_ptr<media::BlockDevice> device_;
  std::unique_ptr<store::Store> store_;
  std::unique_ptr<media::BufferPool> buffers_;
  std::unique_ptr<object::ObjectStore> objects_;
  std::optional<ObjectLoad> load_;
  What what_;
  object::ObjectStoreOptions options_;
  std::optional<std::uint64_t> scrub_rate_;
  std::uint64_t scrubbed_bytes_ = 0;  // by the last run
};

Result<std::unique_ptr<Side>> make_side(std::unique_ptr<UringReactor> reactor,
                                        std::unique_ptr<media::BlockDevice> device, What what,
                                        object::ObjectStoreOptions options,
                                        std::optional<std::uint64_t> scrub_rate = std::nullopt) {
  auto side = std::make_unique<ObjectSide>(std::move(reactor), std::move(device), what, options, scrub_rate);
  CHECK_OK(side->prepare());
  return side;
}

constexpr object::ObjectStoreOptions kQuiet{.aggregation = false};

struct OnFile {
  What what = What::kUpdate;
  object::ObjectStoreOptions options = kQuiet;
  std::uint64_t device_bytes = kDeviceBytes;
  std::optional<std::uint64_t> scrub_rate = std::nullopt;
};

Result<std::unique_ptr<Side>> make_on_file(const Setting& setting, OnFile wanted) {
  TRY(auto reactor, UringReactor::create());
  TRY(auto device,
      media::UringDevice::open(*reactor, setting.directory / "target", {.create_bytes = wanted.device_bytes}));
  return make_side(std::move(reactor), std::move(device), wanted.what, wanted.options, wanted.scrub_rate);
}

/// C: the same on a device that copies and does nothing else.
Result<std::unique_ptr<Side>> make_on_memory(What what) {
  TRY(auto reactor, UringReactor::create());
  auto device = std::make_unique<MemoryDevice>(*reactor, kDeviceBytes / media::kBlockBytes);
  return make_side(std::move(reactor), std::move(device), what, kQuiet);
}

Result<std::unique_ptr<Side>> make_device(const Setting& setting, What what) {
  const bool update = what == What::kUpdate;
  return make_raw_device(setting, {.kind = update ? RawPattern::Kind::kWrite : RawPattern::Kind::kRead,
                                   .sync = update ? RawPattern::Sync::kBest : RawPattern::Sync::kNone,
                                   .depth = kObjectDepth,
                                   .bytes = 4096,
                                   .sequential = update,
                                   .file_bytes = update ? 2ull << 30 : kObjectDkeys << 20});
}

double in_turn(const Round& round) { return 1 / (1 / round.at("null").value + 1 / round.at("device").value); }

void add(Suite& suite, std::string_view kind, What what) {
  const std::string name = fmt::format("object/{}-4k-depth-32", kind);
  Comparison comparison{.name = name, .unit = "op/s", .sides = {}, .rows = {}};
  comparison.one_core = true;
  comparison.window = std::chrono::milliseconds(700);
  if (what == What::kUpdate) comparison.warm_bytes = kDeviceBytes + (2ull << 30);
  comparison.sides = {{"cenote", [=](const Setting& s) { return make_on_file(s, {.what = what}); }},
                      {"null", [=](const Setting&) { return make_on_memory(what); }},
                      {"device", [=](const Setting& s) { return make_device(s, what); }}};
  comparison.rows = {{.name = name, .reference = "1/(1/C+1/D)", .formula = in_turn, .goal = Goal::at_least(0.7)},
                     {.name = name + "/null", .reference = "null"}};
  suite.push_back(std::move(comparison));
}

/// Updates while the versions that they replace are merged away beside them, as fast as they come.
void add_aggregation(Suite& suite) {
  constexpr const char* kName = "object/update-while-aggregating";
  Comparison comparison{.name = kName, .unit = "op/s", .sides = {}, .rows = {}};
  comparison.one_core = true;
  comparison.window = std::chrono::seconds(3);
  comparison.warm_bytes = 2 * kDeviceBytes;
  const object::ObjectStoreOptions busy{.retention = std::chrono::milliseconds(200)};
  comparison.sides = {{"cenote", [=](const Setting& s) { return make_on_file(s, {.options = busy}); }},
                      {"quiet", [=](const Setting& s) { return make_on_file(s, {}); }}};
  comparison.rows = {{.name = kName, .reference = "quiet", .goal = Goal::at_least(0.8)}};
  suite.push_back(std::move(comparison));
}

/// The load while all that is stored is read and proved beside it: at the rate that servers have unless they are told
/// otherwise, and as fast as the device gives.
void add_scrub(Suite& suite, std::string_view kind, What what) {
  const std::string name = fmt::format("object/{}-4k-while-scrubbing", kind);
  Comparison comparison{.name = name, .unit = "op/s", .sides = {}, .rows = {}};
  comparison.one_core = true;
  comparison.window = std::chrono::milliseconds(700);
  // There are three of them at the same time, so no larger than one run needs.
  const std::uint64_t bytes = what == What::kUpdate ? kDeviceBytes / 2 : kDeviceBytes / 4;
  comparison.warm_bytes = 3 * bytes;
  const auto with = [what, bytes](std::optional<std::uint64_t> rate) {
    return [=](const Setting& s) { return make_on_file(s, {.what = what, .device_bytes = bytes, .scrub_rate = rate}); };
  };
  comparison.sides = {
      {"cenote", with(object::ScrubOptions().bytes_per_second)}, {"full", with(0)}, {"quiet", with({})}};
  comparison.rows = {{.name = name, .reference = "quiet", .goal = Goal::at_least(0.8)},
                     {.name = name + "/full-rate", .subject = "full", .reference = "quiet"}};
  suite.push_back(std::move(comparison));
}

}  // namespace

void add_object_rows(Suite& suite) {
  add(suite, "update", What::kUpdate);
  add(suite, "fetch", What::kFetch);
  add_aggregation(suite);
  add_scrub(suite, "update", What::kUpdate);
  add_scrub(suite, "fetch", What::kFetch);
}

}  // namespace cenote::bench
