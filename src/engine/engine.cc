#include "cenote/engine/engine.h"

#include <sys/random.h>

#include <optional>
#include <thread>
#include <utility>

#include "cenote/base/format.h"
#include "cenote/engine/data_directory.h"
#include "cenote/engine/engine_core.h"
#include "control_move.h"
#include "control_side.h"
#include "http_port.h"
#include "uring_host.h"

namespace cenote::engine {
namespace {

constexpr Duration kAdminTimeout = std::chrono::seconds(60);

std::uint64_t system_random() {
  std::uint64_t value = 0;
  ASSERT(::getrandom(&value, sizeof value, 0) == sizeof value);
  return value;
}

/// The clock of the reactors, for threads that are none.
Instant monotonic_now() { return Instant(std::chrono::steady_clock::now().time_since_epoch()); }

}  // namespace

/// Members in the order in which they are made; each may use those above it.
struct Engine::Impl final : HttpBackend {
  Impl(EngineOptions o, std::unique_ptr<ControlSide> c, DataDirectory d, MetricRegistry& m, Logger l)
      : options(std::move(o)),
        control(std::move(c)),
        directory(std::move(d)),
        metrics_registry(m),
        logger(std::move(l)) {}

  Result<> start();
  Result<> move_control_state(const std::optional<SecretKey>& key);
  Result<> stop();

  Result<std::string> admin(AdminMethod method, std::string path, std::string body) override;
  std::string metrics() override;
  bool ready() override { return started() && monotonic_now() < core->serves_until() && !core->system_stopped(); }
  bool system_stopped() override { return started() && core->system_stopped(); }
  bool started() const { return is_started.load(std::memory_order_acquire); }

  EngineOptions options;
  std::unique_ptr<ControlSide> control;
  DataDirectory directory;
  MetricRegistry& metrics_registry;
  Logger logger;
  std::unique_ptr<UringHost> host;
  std::unique_ptr<EngineCore> core;
  std::string control_address;
  std::unique_ptr<HttpPort> http;  // after the core, since its threads use it
  std::atomic<bool> is_started = false;
  bool running = false;
};

Result<> Engine::Impl::start() {
  // Nobody keeps it longer than the stores take to open.
  const std::optional<SecretKey> key = std::exchange(options.encryption_key, std::nullopt);
  TRY(host, UringHost::start(options, *control, directory, logger));
  if (options.move_control_state && directory.identity().coordinator) CHECK_OK(move_control_state(key));
  if (options.cache_bytes == 0) {
    options.cache_bytes = default_cache_bytes(usable_memory(), directory.identity().targets.size());
  }
  const EngineCoreOptions wanted{.cache_bytes = options.cache_bytes,
                                 .buffer_bytes = options.buffer_bytes,
                                 .request_bytes = options.request_bytes,
                                 .discard = options.discard,
                                 .stop_grace = options.stop_grace,
                                 .scrub_bytes_per_second = options.scrub_bytes_per_second,
                                 .scrub_period = options.scrub_period,
                                 .advertise_address = options.advertise_address,
                                 .fault_domain = options.fault_domain,
                                 .process = options.process,
                                 .sharing = options.sharing,
                                 .auto_reintegrate = options.auto_reintegrate,
                                 .encryption_key = key};
  core = std::make_unique<EngineCore>(*host, directory.identity(), wanted, metrics_registry, logger);
  // The control port comes first: who watches the start sees that it goes on.
  if (!options.control_address.empty()) {
    TRY(const auto address, rpc::Address::parse(options.control_address));
    TRY(http, HttpPort::start(address, *this));
    control_address = http->address().to_string();
    core->set_control_address(control_address);
  }
  auto outcome = host->control_thread().run([this] { return core->start(); });
  running = outcome.has_value();
  is_started.store(running, std::memory_order_release);
  return outcome;
}

Result<> Engine::Impl::move_control_state(const std::optional<SecretKey>& key) {
  const Identity& identity = directory.identity();
  const std::string place = control->system_source()->place();
  logger.info("moving the control state, so that other engines can share it", {{"to", place}});
  if (key) logger.warn("it is not encrypted there: names and properties of pools and containers can be read");
  auto moved = host->control_thread().run(
      [&] { return engine::move_control_state(*host, identity, key, *control->coordinator(), place); });
  if (!moved) return fail(moved.error().with_context("moving the control state to " + place));
  return directory.drop_coordinator();
}

Result<> Engine::Impl::stop() {
  is_started.store(false, std::memory_order_release);
  Result<> outcome;
  if (running) outcome = host->control_thread().run([this] { return core->stop(); });
  running = false;
  http.reset();
  core.reset();
  host.reset();
  control.reset();
  return outcome;
}

Result<std::string> Engine::Impl::admin(AdminMethod method, std::string path, std::string body) {
  if (!started()) return fail(Code::kNotReady, "the engine is starting or stopping: try again");
  const std::uint64_t high = system_random();
  const Uuid new_id = Uuid::from_random(high, system_random());
  return host->control_thread().run([&] {
    const Until until = Until::at(host->control().now() + kAdminTimeout);
    return core->admin(method, std::move(path), std::move(body), new_id, until);
  });
}

std::string Engine::Impl::metrics() {
  if (started()) host->control_thread().run([this] { return core->refresh_metrics(); });
  return metrics_registry.prometheus_text();
}

Engine::Engine(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}

Engine::~Engine() {
  // Nobody is left to hear of a failure; the core has logged it.
  if (impl_->host != nullptr) static_cast<void>(stop());
}

Result<std::unique_ptr<Engine>> Engine::start(EngineOptions options, MetricRegistry& metrics, Logger logger) {
  const unsigned cores = std::thread::hardware_concurrency();
  TRY(options, with_defaults(std::move(options), cores));
  TRY(auto control, ControlSide::start(options.coordinator, logger));
  TRY(auto directory, DataDirectory::open(options, cores, system_random, control->system_source()));
  const bool creating = directory.creating();
  auto impl =
      std::make_unique<Impl>(std::move(options), std::move(control), std::move(directory), metrics, std::move(logger));
  auto started = impl->start();
  if (!started) {
    static_cast<void>(impl->stop());
    if (creating && impl->directory.creating()) impl->directory.abandon();
    return fail(std::move(started).error());
  }
  return std::unique_ptr<Engine>(new Engine(std::move(impl)));
}

Result<> Engine::stop() {
  if (impl_->host == nullptr) return {};
  return impl_->stop();
}

bool Engine::ready() const { return impl_->ready(); }
const Identity& Engine::identity() const { return impl_->directory.identity(); }
const std::vector<rpc::Address>& Engine::addresses() const { return impl_->core->addresses(); }
const std::string& Engine::control_address() const { return impl_->control_address; }

}  // namespace cenote::engine
