#include "run.h"

#include <fmt/format.h>

#include <cstdio>

#include "cenote/runtime/random.h"
#include "cenote/store/types.h"

namespace cenote::sim {
namespace {

std::unique_ptr<LogOutput> open_log(SimWorld& world, SimReactor& director, Options options) {
  static_cast<void>(world);
  LogOptions log;
  log.level = options.verbose ? LogLevel::kDebug : LogLevel::kError;
  log.to_stderr = options.verbose;
  log.lines_per_second = 0;
  log.clock = [&director] { return director.wall_now(); };
  auto output = LogOutput::open(std::move(log));
  ASSERT(output.has_value());  // no file is involved
  return *std::move(output);
}

Task<> run_body(Task<> body, bool* done) {
  co_await std::move(body);
  *done = true;
}

}  // namespace

Run::Run(std::uint64_t seed, Options options, engine::SimEngineOptions engine_options, std::uint32_t engines)
    : world_(seed),
      network_(world_),
      director_(world_.add_node("director")),
      options_(options),
      log_(open_log(world_, director_, options)) {
  if (engines > 1) {
    coordinator_ = std::make_unique<engine::SimCoordinator>(world_);
    engine_options.shared = coordinator_->shared();
  }
  const std::string name = engine_options.name;
  for (std::uint32_t index = 0; index < engines; ++index) {
    if (index > 0) engine_options.name = fmt::format("{}-{}", name, index);
    engine_options.logger = Logger(*log_, engine_options.name);
    engines_.push_back(std::make_unique<engine::SimEngine>(world_, network_, engine_options));
  }
}

std::vector<rpc::Address> Run::addresses() const {
  std::vector<rpc::Address> addresses;
  for (const auto& engine : engines_) addresses.push_back(engine->address());
  return addresses;
}

void Run::fail(std::string what) {
  if (failed()) return;
  failure_ = std::move(what);
  note(failure_);
}

void Run::note(std::string_view text) const {
  if (!options_.verbose) return;
  const double seconds = std::chrono::duration<double>(world_.now().time_since_epoch()).count();
  fmt::print(stderr, "{:.6f} {}\n", seconds, text);
}

Outcome Run::drive(Task<> body, Duration limit) {
  bool done = false;
  const Instant begin = world_.now();
  Scope scope(director_);
  scope.spawn(run_body(std::move(body), &done));
  if (!world_.run_until([&done] { return done; }, limit)) {
    fail(fmt::format("no end after {} s of virtual time: something hangs",
                     std::chrono::duration_cast<std::chrono::seconds>(world_.now() - begin).count()));
    // What hangs still refers to the world: nothing of it may be taken down.
    return {.failure = failure_, .digest = 0, .counts = counts_};
  }
  world_.block_on(director_, scope.stop());
  const auto elapsed = static_cast<std::uint64_t>((world_.now() - begin).count());
  count("virtual_ms", elapsed / 1'000'000);
  count("pieces", network_.faults().pieces);
  count("stalls", network_.faults().stalls);
  count("lost_connections", network_.faults().resets);
  return {.failure = failure_, .digest = world_.random() ^ elapsed, .counts = counts_};
}

engine::SimEngineOptions shape_engine(std::uint64_t seed) {
  // A stream of its own: a workload that draws more or less does not get another engine.
  Random random(seed ^ 0x656e67696e65);
  engine::SimEngineOptions options;
  options.targets = static_cast<std::uint32_t>(1 + random.below(3));
  options.reactors = static_cast<std::uint32_t>(random.below(3));
  options.core = {.cache_bytes = store::kMinCacheBytes, .buffer_bytes = 16u << 20, .request_bytes = 16u << 20};
  options.device.prefers_durable_writes = random.chance(1, 2);
  options.device.read_latency = std::chrono::microseconds(10 + random.below(200));
  options.device.write_latency = std::chrono::microseconds(10 + random.below(500));
  options.device.flush_latency = std::chrono::microseconds(10 + random.below(3000));
  options.device.latency_jitter = static_cast<double>(random.below(4));
  options.own_devices = random.chance(1, 3);
  if (random.chance(1, 4)) {
    std::array<std::byte, SecretKey::kBytes> key;
    key.fill(static_cast<std::byte>(random.below(256)));
    options.core.encryption_key = SecretKey(key);
  }
  return options;
}

Task<bool> start_engine(Run& run, std::uint32_t index) {
  engine::SimEngine& engine = run.engine(index);
  const auto started = co_await on_node(run, engine.control(), [&engine] { return engine.start(); });
  if (!started) run.fail(fmt::format("engine {} does not start: {}", index, started.error().to_string()));
  co_return started.has_value();
}

Task<bool> start_engines(Run& run) {
  for (std::uint32_t index = 0; index < run.engine_count(); ++index)
    if (!co_await start_engine(run, index)) co_return false;
  if (run.engine_count() > 1) co_await run.director().sleep_for(std::chrono::seconds(2));
  co_return true;
}

Task<> stop_engine(Run& run, std::uint32_t index) {
  engine::SimEngine& engine = run.engine(index);
  if (!engine.running()) co_return;
  const auto stopped = co_await on_node(run, engine.control(), [&engine] { return engine.stop(); });
  if (!stopped) run.fail(fmt::format("engine {} does not stop cleanly: {}", index, stopped.error().to_string()));
}

Task<> stop_engines(Run& run) {
  for (std::uint32_t index = 0; index < run.engine_count(); ++index) co_await stop_engine(run, index);
}

}  // namespace cenote::sim
