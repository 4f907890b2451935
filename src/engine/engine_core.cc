#include "cenote/engine/engine_core.h"

#include <algorithm>
#include <atomic>

#include "admin_api.h"
#include "caller.h"
#include "cenote/base/format.h"
#include "cenote/cluster/embedded_coordinator.h"
#include "cenote/runtime/cross_core.h"
#include "control_service.h"
#include "data_reactor.h"
#include "gather.h"
#include "scrub_calls.h"
#include "shared_control.h"
#include "target.h"
#include "target_calls.h"

namespace cenote::engine {
namespace {

constexpr const char* kVersion = CENOTE_VERSION;
/// The coordinator's state is small; the smallest cache a store has is plenty.
constexpr std::uint64_t kCoordinatorCacheBytes = store::kMinCacheBytes;

Error or_failure(Result<>& outcome) { return std::move(outcome).error(); }

}  // namespace

/// Everything of an engine. Members are used on the control reactor, except what is reached through `call_on`; data
/// reactors call back through EngineServices, on the control reactor, too.
///
/// Where the coordinator is shared with other engines nothing is answered without a valid `lease` (I9).
///
/// Invariants: `targets_` and `target_list_` do not change while servers run. Made in the order reactors, targets,
/// coordinator, control, servers; taken down in the opposite order, whatever part of it was made.
struct EngineCore::Impl final : ContainerTargets, SystemView, EngineServices {
  Impl(EngineHost& h, Identity id, EngineCoreOptions o, MetricRegistry& m, Logger l)
      : host(h),
        identity(std::move(id)),
        options(std::move(o)),
        metrics(m),
        logger(std::move(l)),
        is_shared(h.coordinator() != nullptr),
        callers(h.control()) {}
  ~Impl() { ASSERT(reactors.empty() && targets.empty() && coordinator == nullptr); }

  // Start, step by step.
  Task<Result<>> start();
  Task<Result<>> make_reactors();
  Task<Result<>> make_reactor(std::size_t index);
  Task<Result<>> open_targets();
  Task<Result<>> open_target(std::size_t index);
  Task<Result<>> open_coordinator();
  Task<Result<>> open_own_coordinator();
  Task<Result<>> recover();
  Task<Result<>> find_place();
  Task<Result<>> serve();
  Task<Result<>> join();
  /// The first address of the first reactor: which was asked for, and which it got.
  struct SharedPort {
    rpc::Address asked, given;
  };
  Task<Result<>> serve_at(std::size_t index, SharedPort& port, rpc::ServerOptions wanted);
  Task<Result<std::uint64_t>> next_incarnation();
  // Stop, in the opposite order.
  Task<Result<>> stop();
  Task<> stop_servers();
  Task<> cancel_requests_at(Instant deadline, CancelSource* cancel);
  Task<Result<>> stop_server(std::size_t index, Instant deadline);
  Task<Result<>> cancel_requests(std::size_t target);
  Task<Result<>> close_all();
  Task<Result<>> close_target(std::size_t index);
  Task<Result<>> drop_reactor(std::size_t index);

  // ContainerTargets
  Task<Result<>> create(Uuid container, object::ContainerProperties properties,
                        std::optional<object::CloneSource> source,
                        std::shared_ptr<object::SpaceAccount> account) override;
  Task<Result<>> charge_to(Uuid container, std::shared_ptr<object::SpaceAccount> account) override;
  Task<Result<>> destroy(Uuid container) override;
  Task<Result<Epoch>> newest_epoch() override;
  Task<Result<>> add_snapshot(Uuid container, Epoch epoch) override;
  Task<Result<>> remove_snapshot(Uuid container, Epoch epoch) override;
  Task<Result<>> hold_answers() override;
  Task<Result<>> release_answers() override;
  Task<Result<>> roll_back(Uuid container, Epoch to, Uuid request) override;
  Task<Result<>> check_rollback(Uuid container, Epoch to) override;
  Task<Result<object::Usage>> measure_flattening(Uuid container) override;
  Task<Result<>> start_flattening(Uuid container) override;
  Task<Result<std::optional<FlattenInfo>>> flattening(Uuid container) override;
  std::size_t target_count() const override { return targets.size(); }
  Task<std::vector<Result<>>> scrub(ContainerScrub& scrub) override;
  Task<std::vector<ContainerScrub::Progress>> progress_of(ContainerScrub& scrub) override;
  Task<> cancel(ContainerScrub& scrub) override;
  bool encrypted() const override { return stores_encrypted; }
  Task<Result<object::Usage>> used(Uuid container) override;
  std::uint64_t capacity_bytes() const override { return capacity; }
  // SystemView
  Task<SystemInfo> describe() override;
  Task<SystemScrub> describe_scrub() override;
  Task<Result<>> control_scrub(ControlScrub request) override;
  Task<Result<>> grow(GrowTargets request) override;
  Task<Result<>> grow_targets(GrowTargets request);
  Task<Result<>> grow_target(std::size_t index, std::uint64_t size_bytes);
  // EngineServices
  Reactor& control_reactor() override { return host.control(); }
  Task<Result<>> check_container(Uuid container) override;
  Task<Result<std::string>> admin(AdminRequest request, Until until) override;
  Task<Result<OidLease>> lease_oids(Uuid container, Until until) override;
  const ServingLease* serving_lease() const override { return is_shared ? &lease : nullptr; }

  /// What the control service of the whole system works on, at the engine that leads it. So far the targets of that
  /// engine only: this is the place for those of all engines.
  ContainerTargets& system_targets() { return *this; }
  /// This engine, of a system that has no other.
  EngineInfo describe_alone() const;

  Task<> refresh_metrics();

  /// kNotFound: there is none of this number.
  Result<> check_target(std::optional<std::uint32_t> target) const {
    if (target.value_or(0) < targets.size()) return {};
    return failf(Code::kNotFound, "there is no target {}: they are 0 to {}", *target, targets.size() - 1);
  }
  Reactor& reactor_of(std::size_t target) { return *host.data()[target % host.data().size()]; }
  /// Calls `make_task(index)` for the index of each target, on its reactor, all at the same time.
  template <typename MakeTask>
  Task<std::vector<Result<>>> on_target_reactors(MakeTask make_task) {
    co_return co_await gather(host.control(), targets.size(), [&](std::size_t index) {
      return call_on(host.control(), reactor_of(index), [&make_task, index] { return make_task(index); });
    });
  }
  /// The same with the targets themselves, which are all there.
  template <typename MakeTask>
  Task<Result<>> on_all_targets(MakeTask make_task) {
    co_return first_failure(co_await on_target_reactors([&](std::size_t index) { return make_task(*targets[index]); }));
  }
  /// Calls `make_task(index)` for each data reactor, on it, all at the same time.
  template <typename MakeTask>
  Task<Result<>> on_all_reactors(MakeTask make_task) {
    co_return first_failure(co_await gather(host.control(), reactors.size(), [&](std::size_t index) {
      return call_on(host.control(), *host.data()[index], [&make_task, index] { return make_task(index); });
    }));
  }

  EngineHost& host;
  Identity identity;
  EngineCoreOptions options;
  MetricRegistry& metrics;
  Logger logger;

  std::vector<std::unique_ptr<DataReactor>> reactors;
  std::vector<std::unique_ptr<Target>> targets;
  std::vector<Target*> target_list;  // what the services of all reactors look targets up in
  std::uint64_t capacity = 0;
  bool growing = false;
  const bool is_shared;  // the coordinator, with other engines
  StoreDevices coordinator_devices;
  std::unique_ptr<cluster::EmbeddedCoordinator> own_coordinator;
  cluster::Coordinator* coordinator = nullptr;
  // Where the coordinator is shared: answers what the data path asks, and changes nothing but object numbers.
  std::unique_ptr<ControlService> control;
  std::unique_ptr<AdminApi> api;
  ServingLease lease;
  std::unique_ptr<SharedControl> shared;
  Instant answers_held{};  // since when, for the present or the last time
  Gate callers;            // of control and api
  std::vector<rpc::Address> addresses;
  std::string control_address;
  bool control_encrypted = false;
  bool stores_encrypted = false;
  std::atomic<bool> ready = false;
};

Task<Result<>> EngineCore::Impl::start() {
  auto started = co_await make_reactors();
  if (started) started = co_await open_targets();
  if (started) started = co_await open_coordinator();
  if (started) started = co_await recover();
  if (started) started = co_await serve();
  if (started) started = co_await join();
  if (!started) {
    // What the clean-up meets is a consequence of the failure that is reported.
    co_await stop_servers();
    static_cast<void>(co_await close_all());
    co_return started;
  }
  ready.store(true, std::memory_order_release);
  logger.info("engine is ready",
              {{"system", identity.system}, {"engine", identity.engine}, {"targets", targets.size()}});
  co_return Result<>();
}

Task<Result<>> EngineCore::Impl::make_reactors() {
  const std::size_t count = host.data().size();
  ASSERT(count > 0);
  reactors.resize(count);
  co_return co_await on_all_reactors([this](std::size_t index) { return make_reactor(index); });
}

// On the reactor; each call touches its own element only.
Task<Result<>> EngineCore::Impl::make_reactor(std::size_t index) {
  const std::size_t count = host.data().size();
  const std::size_t own_targets = (identity.targets.size() + count - 1 - index) / count;
  const DataReactorOptions wanted{.index = index,
                                  .pool_bytes = options.request_bytes + own_targets * options.buffer_bytes,
                                  .request_bytes = options.request_bytes};
  reactors[index] = std::make_unique<DataReactor>(*host.data()[index], wanted, metrics, logger);
  co_return Result<>();
}

Task<Result<>> EngineCore::Impl::open_targets() {
  targets.resize(identity.targets.size());
  auto outcomes = co_await on_target_reactors([this](std::size_t index) { return open_target(index); });
  for (const auto& outcome : outcomes) {
    if (!outcome) logger.error("target does not open", {{"error", outcome.error()}});
  }
  CO_CHECK_OK(first_failure(std::move(outcomes)));
  for (const auto& target : targets) {
    target_list.push_back(target.get());
    capacity += target->capacity_bytes();
  }
  co_return Result<>();
}

// On the target's reactor; each call touches its own element only.
Task<Result<>> EngineCore::Impl::open_target(std::size_t index) {
  Reactor& reactor = reactor_of(index);
  const StoreIdentity& store = identity.targets[index];
  auto devices = co_await StoreDevices::open(host, reactor, store);
  if (!devices) co_return fail(devices.error().with_context(fmt::format("target {}", index)));
  media::BufferPool& pool = reactors[index % reactors.size()]->pool();
  devices->for_each([&](const char*, media::BlockDevice& device) { host.register_buffers(reactor, device, pool); });
  TargetOptions wanted{.index = static_cast<std::uint32_t>(index),
                       .system = identity.system,
                       .identity = store,
                       .cache_bytes = options.cache_bytes,
                       .discard = options.discard,
                       .creating = identity.state == Identity::State::kCreating,
                       .key = options.encryption_key,
                       .scrub_bytes_per_second = options.scrub_bytes_per_second,
                       .scrub_period = options.scrub_period};
  CO_TRY(targets[index], co_await Target::open(reactor, *std::move(devices), pool, std::move(wanted), metrics, logger));
  co_return Result<>();
}

Task<Result<>> EngineCore::Impl::open_coordinator() {
  ASSERT(identity.coordinator.has_value() != is_shared);
  if (is_shared) {
    coordinator = host.coordinator();
    stores_encrypted = options.encryption_key.has_value();
  } else {
    CO_CHECK_OK(co_await open_own_coordinator());
  }
  options.encryption_key.reset();
  if (identity.state == Identity::State::kCreating) {
    CO_CHECK_OK(host.commit_creation());
    identity.state = Identity::State::kReady;
  }
  co_return Result<>();
}

Task<Result<>> EngineCore::Impl::open_own_coordinator() {
  Reactor& reactor = host.control();
  const StoreIdentity& own = *identity.coordinator;
  CO_TRY(coordinator_devices, co_await StoreDevices::open(host, reactor, own));
  const store::Devices devices = coordinator_devices.roles();
  const auto failed_here = [&](const Error& error) {
    return fail(error.with_context(fmt::format("coordinator ({})", coordinator_devices.name())));
  };
  if (identity.state == Identity::State::kCreating) {
    const store::FormatOptions format{
        .system = identity.system, .target = own.id, .log_bytes = own.log_bytes, .key = options.encryption_key};
    auto formatted = co_await store::Store::format(reactor, devices, format);
    if (!formatted && !(formatted.error() == Code::kExists)) co_return failed_here(or_failure(formatted));
  }
  const store::OpenOptions open{
      .system = identity.system,
      .target = own.id,
      .cache_bytes = kCoordinatorCacheBytes,
      .fenced = [this](const Error& reason) { logger.error("control state is read-only", {{"reason", reason}}); },
      .key = std::exchange(options.encryption_key, std::nullopt)};
  auto opened = co_await store::Store::open(reactor, devices, open);
  if (!opened) co_return failed_here(lost_store(std::move(opened).error()));
  control_encrypted = stores_encrypted = (*opened)->sealed();
  auto made = co_await cluster::EmbeddedCoordinator::open(*std::move(opened));
  if (!made) co_return failed_here(std::move(made).error());
  own_coordinator = *std::move(made);
  coordinator = own_coordinator.get();
  co_return Result<>();
}

Task<Result<>> EngineCore::Impl::recover() {
  control = std::make_unique<ControlService>(host.control(), *coordinator, *this);
  if (is_shared) {
    CO_CHECK_OK(co_await find_place());
  } else {
    auto resumed = co_await control->resume();
    if (!resumed) co_return fail(resumed.error().with_context("recovering the control state"));
  }
  api = std::make_unique<AdminApi>(*control, *this);
  co_return Result<>();
}

Task<Result<>> EngineCore::Impl::find_place() {
  shared = std::make_unique<SharedControl>(
      host, *coordinator, lease, *this, [this]() -> ContainerTargets& { return system_targets(); },
      SharedControl::Options{.identity = identity,
                             .advertise_address = options.advertise_address,
                             .fault_domain = options.fault_domain,
                             .lease_ttl = options.lease_ttl,
                             .drift_margin = options.drift_margin},
      logger);
  co_return co_await shared->claim_place();
}

Task<Result<>> EngineCore::Impl::join() {
  if (shared == nullptr) co_return Result<>();
  co_return co_await shared->join(addresses, control_address);
}

Task<Result<std::uint64_t>> EngineCore::Impl::next_incarnation() {
  ControlStore state(*coordinator);
  const std::string key = engine_key(identity.engine);
  CO_TRY(const auto last, co_await state.number(key));
  cluster::Transaction change;
  change.require(key, last.revision).put(key, std::to_string(last.record + 1));
  CO_CHECK_OK(co_await coordinator->commit(std::move(change)));
  co_return last.record + 1;
}

// One reactor after the other, since the first one's port is everybody's.
Task<Result<>> EngineCore::Impl::serve() {
  rpc::ServerOptions wanted;
  wanted.system = identity.system;
  CO_TRY(wanted.incarnation, co_await next_incarnation());
  SharedPort port;
  for (std::size_t index = 0; index < reactors.size(); ++index) {
    CO_CHECK_OK(co_await call_on(host.control(), *host.data()[index], [&] { return serve_at(index, port, wanted); }));
  }
  co_return Result<>();
}

// On the reactor, while nobody else does anything with `port` or `addresses`.
Task<Result<>> EngineCore::Impl::serve_at(std::size_t index, SharedPort& port, rpc::ServerOptions wanted) {
  CO_TRY(auto endpoints, host.endpoints(index, reactors[index]->counters()));
  for (Endpoint& endpoint : endpoints) {
    if (index > 0 && endpoint.address == port.asked) endpoint.address = port.given;
  }
  if (index == 0 && !endpoints.empty()) port.asked = endpoints.front().address;
  CO_TRY(const auto listening,
         reactors[index]->serve(std::move(endpoints), *this, std::span<Target* const>(target_list), wanted));
  if (index == 0 && !listening.empty()) port.given = listening.front();
  for (const rpc::Address& address : listening) {
    if (std::ranges::find(addresses, address) == addresses.end()) addresses.push_back(address);
  }
  co_return Result<>();
}

Task<Result<>> EngineCore::Impl::stop() {
  ready.store(false, std::memory_order_release);
  co_await stop_servers();
  auto outcome = co_await close_all();
  if (outcome) {
    logger.info("engine has stopped");
  } else {
    logger.error("engine has stopped with a failure", {{"error", outcome.error()}});
  }
  co_return outcome;
}

Task<> EngineCore::Impl::stop_servers() {
  const Instant deadline = host.control().now() + options.stop_grace;
  Scope watch(host.control());
  watch.spawn(cancel_requests_at(deadline, &watch.cancel_source()));
  static_cast<void>(co_await on_all_reactors([&](std::size_t index) { return stop_server(index, deadline); }));
  co_await watch.stop();
}

Task<Result<>> EngineCore::Impl::stop_server(std::size_t index, Instant deadline) {
  if (reactors[index] != nullptr) co_await reactors[index]->stop(Until::at(deadline));
  co_return Result<>();
}

// Requests wait at targets of other reactors, too, where the cancellation by their connection's reactor cannot reach
// them.
Task<> EngineCore::Impl::cancel_requests_at(Instant deadline, CancelSource* cancel) {
  if (!co_await sleep_until(host.control(), deadline, *cancel)) co_return;
  co_await on_target_reactors([this](std::size_t index) { return cancel_requests(index); });
}

Task<Result<>> EngineCore::Impl::cancel_requests(std::size_t target) {
  if (targets[target] != nullptr) targets[target]->cancel_source().cancel();
  co_return Result<>();
}

Task<Result<>> EngineCore::Impl::close_all() {
  if (shared != nullptr) co_await shared->stop();
  co_await callers.close();
  // What runs at the targets ends before they do.
  if (control != nullptr) co_await control->stop();
  api.reset();
  control.reset();
  shared.reset();
  auto outcomes = co_await on_target_reactors([this](std::size_t index) { return close_target(index); });
  target_list.clear();
  targets.clear();
  static_cast<void>(co_await on_all_reactors([this](std::size_t index) { return drop_reactor(index); }));
  reactors.clear();
  coordinator = nullptr;
  if (own_coordinator != nullptr) outcomes.push_back(co_await own_coordinator->close());
  own_coordinator.reset();
  co_await coordinator_devices.close();
  co_return first_failure(std::move(outcomes));
}

Task<Result<>> EngineCore::Impl::close_target(std::size_t index) {
  Result<> closed;
  if (targets[index] != nullptr) closed = co_await targets[index]->close();
  targets[index].reset();
  co_return closed;
}

Task<Result<>> EngineCore::Impl::drop_reactor(std::size_t index) {
  reactors[index].reset();
  co_return Result<>();
}

Task<Result<>> EngineCore::Impl::create(Uuid container, object::ContainerProperties properties,
                                        std::optional<object::CloneSource> source,
                                        std::shared_ptr<object::SpaceAccount> account) {
  co_return co_await on_all_targets(
      [&](Target& target) { return create_at(target, container, properties, source, account); });
}

Task<Result<>> EngineCore::Impl::charge_to(Uuid container, std::shared_ptr<object::SpaceAccount> account) {
  co_return co_await on_all_targets([&](Target& target) { return charge_at(target, container, account); });
}

Task<Result<>> EngineCore::Impl::destroy(Uuid container) {
  // First everybody stops taking it for granted, then it goes: a request in between is refused by its target.
  static_cast<void>(
      co_await on_all_reactors([&](std::size_t index) { return forget_at(*reactors[index], container); }));
  co_return co_await on_all_targets([=](Target& target) { return destroy_at(target, container); });
}

Task<Result<Epoch>> EngineCore::Impl::newest_epoch() {
  std::vector<Epoch> seen(targets.size());
  CO_CHECK_OK(co_await on_all_targets([&](Target& target) { return read_clock_at(target, seen[target.index()]); }));
  Epoch newest(static_cast<std::uint64_t>(host.control().wall_now().time_since_epoch().count()));
  for (const Epoch epoch : seen) newest = std::max(newest, epoch);
  co_return newest;
}

Task<Result<>> EngineCore::Impl::hold_answers() {
  answers_held = host.control().now();
  const auto held = co_await on_all_targets([](Target& target) { return hold_answers_at(target); });
  // The others must not wait for somebody who gives up.
  if (!held) static_cast<void>(co_await on_all_targets([](Target& target) { return release_answers_at(target); }));
  co_return held;
}

Task<Result<>> EngineCore::Impl::release_answers() {
  CO_CHECK_OK(co_await on_all_targets([](Target& target) { return release_answers_at(target); }));
  if (host.control().now() - answers_held < kHoldAnswers) co_return Result<>();
  co_return fail(Code::kBusy, "the targets took too long to agree on a moment: try again");
}

Task<Result<>> EngineCore::Impl::add_snapshot(Uuid container, Epoch epoch) {
  co_return co_await on_all_targets([=](Target& target) { return target.objects().add_snapshot(container, epoch); });
}

Task<Result<>> EngineCore::Impl::remove_snapshot(Uuid container, Epoch epoch) {
  co_return co_await on_all_targets([=](Target& target) { return remove_snapshot_at(target, container, epoch); });
}

Task<Result<>> EngineCore::Impl::roll_back(Uuid container, Epoch to, Uuid request) {
  co_return co_await on_all_targets([=](Target& target) { return target.objects().roll_back(container, to, request); });
}

Task<Result<>> EngineCore::Impl::check_rollback(Uuid container, Epoch to) {
  co_return co_await on_all_targets([=](Target& target) { return target.objects().check_rollback(container, to); });
}

Task<Result<object::Usage>> EngineCore::Impl::measure_flattening(Uuid container) {
  std::vector<object::Usage> added(targets.size());
  CO_CHECK_OK(co_await on_all_targets(
      [&](Target& target) { return measure_flattening_at(target, container, added[target.index()]); }));
  object::Usage sum;
  for (const object::Usage& part : added) sum = sum + part;
  co_return sum;
}

Task<Result<>> EngineCore::Impl::start_flattening(Uuid container) {
  co_return co_await on_all_targets([=](Target& target) { return start_flattening_at(target, container); });
}

Task<Result<std::optional<FlattenInfo>>> EngineCore::Impl::flattening(Uuid container) {
  std::vector<std::optional<object::FlattenStatus>> parts(targets.size());
  CO_CHECK_OK(co_await on_all_targets(
      [&](Target& target) { return describe_flattening_at(target, container, parts[target.index()]); }));
  std::optional<FlattenInfo> sum;
  for (std::size_t index = 0; index < parts.size(); ++index) {
    if (!parts[index]) continue;
    if (!sum) sum.emplace();
    sum->copied_bytes += parts[index]->copied.bytes;
    sum->copied_objects += parts[index]->copied.objects;
    sum->left_bytes += parts[index]->left.bytes;
    sum->left_objects += parts[index]->left.objects;
    sum->damaged += parts[index]->damaged;
    if (sum->obstacle.empty() && !parts[index]->obstacle.empty())
      sum->obstacle = fmt::format("target {}: {}", index, parts[index]->obstacle);
  }
  co_return sum;
}

Task<Result<object::Usage>> EngineCore::Impl::used(Uuid container) {
  std::vector<object::Usage> used(targets.size());
  CO_CHECK_OK(
      co_await on_all_targets([&](Target& target) { return measure_at(target, container, used[target.index()]); }));
  object::Usage sum;
  for (const object::Usage& part : used) sum = sum + part;
  co_return sum;
}

Task<std::vector<Result<>>> EngineCore::Impl::scrub(ContainerScrub& scrub) {
  co_return co_await on_target_reactors(
      [&](std::size_t index) { return scrub_at(*targets[index], scrub, scrub.parts[index]); });
}

Task<std::vector<ContainerScrub::Progress>> EngineCore::Impl::progress_of(ContainerScrub& scrub) {
  std::vector<ContainerScrub::Progress> progress(targets.size());
  static_cast<void>(co_await on_target_reactors(
      [&](std::size_t index) { return read_progress_at(scrub.parts[index], progress[index]); }));
  co_return progress;
}

Task<> EngineCore::Impl::cancel(ContainerScrub& scrub) {
  static_cast<void>(co_await on_target_reactors([&](std::size_t index) { return cancel_at(scrub.parts[index]); }));
}

Task<SystemInfo> EngineCore::Impl::describe() {
  SystemInfo info;
  info.system = identity.system;
  info.name = identity.name;
  info.version = kVersion;
  info.map_version = kMapVersion;
  if (!addresses.empty()) info.data_address = addresses.front().to_string();
  info.control_address = control_address;
  info.encrypted = control_encrypted;
  const std::string trouble = own_coordinator == nullptr ? "" : own_coordinator->trouble();
  if (!trouble.empty()) info.control_state = "read-only: " + trouble;
  info.targets.resize(targets.size());
  static_cast<void>(
      co_await on_all_targets([&](Target& target) { return describe_at(target, info.targets[target.index()]); }));
  if (shared == nullptr) {
    info.engines = {describe_alone()};
  } else {
    info.engines = co_await shared->engines();
  }
  co_return info;
}

EngineInfo EngineCore::Impl::describe_alone() const {
  EngineInfo engine{.rank = 0,
                    .id = identity.engine,
                    .control_address = control_address,
                    .fault_domain = options.fault_domain,
                    .state = kEngineUp,
                    .first_target = 0,
                    .targets = static_cast<std::uint32_t>(targets.size()),
                    .leader = true};
  for (const rpc::Address& address : addresses) engine.addresses.push_back(address.to_string());
  return engine;
}

Task<SystemScrub> EngineCore::Impl::describe_scrub() {
  SystemScrub scrub;
  scrub.targets.resize(targets.size());
  std::vector<std::vector<object::KeptFinding>> findings(targets.size());
  static_cast<void>(co_await on_all_targets([&](Target& target) {
    return describe_scrub_at(target, scrub.targets[target.index()], findings[target.index()]);
  }));
  for (std::uint32_t index = 0; index < targets.size(); ++index) {
    scrub.findings_omitted += scrub.targets[index].damages - findings[index].size();
    scrub.findings_omitted += append_damages(scrub.findings, damages_of(index, findings[index]));
  }
  co_return scrub;
}

Task<Result<>> EngineCore::Impl::control_scrub(ControlScrub request) {
  CO_CHECK_OK(check_target(request.target));
  co_return co_await on_all_targets([=](Target& target) {
    return control_scrub_at(target, request.target.value_or(target.index()) == target.index(), request.action);
  });
}

// One at a time: of two that make one file larger, the second would cut what the store has taken into use since.
Task<Result<>> EngineCore::Impl::grow(GrowTargets request) {
  if (growing) co_return fail(Code::kBusy, "the targets are growing already: try again when that has ended");
  growing = true;
  auto outcome = co_await grow_targets(request);
  growing = false;
  co_return outcome;
}

Task<Result<>> EngineCore::Impl::grow_targets(GrowTargets request) {
  CO_CHECK_OK(check_target(request.target));
  Result<> outcome;
  for (std::size_t index = 0; index < targets.size() && outcome; ++index) {
    if (!request.target || *request.target == index) outcome = co_await grow_target(index, request.size_bytes);
  }
  const SystemInfo info = co_await describe();
  capacity = 0;
  for (const TargetInfo& target : info.targets) capacity += target.total_bytes;
  co_return outcome;
}

Task<Result<>> EngineCore::Impl::grow_target(std::size_t index, std::uint64_t size_bytes) {
  const StoreIdentity& store = identity.targets[index];
  if (size_bytes != 0) {
    auto enlarged = co_await host.enlarge(store.data ? store.data->path : store.path, size_bytes);
    if (!enlarged) co_return fail(enlarged.error().with_context(fmt::format("target {}", index)));
  }
  co_return co_await call_on(host.control(), reactor_of(index), [&] { return targets[index]->grow(); });
}

Task<Result<>> EngineCore::Impl::check_container(Uuid container) {
  const Caller caller(callers);
  CO_CHECK_OK(caller.check(control != nullptr));
  CO_CHECK_OK(co_await control->open_container(container));
  co_return Result<>();
}

Task<Result<OidLease>> EngineCore::Impl::lease_oids(Uuid container, Until until) {
  const Caller caller(callers);
  CO_CHECK_OK(caller.check(control != nullptr));
  co_return co_await control->lease_oids(container, until);
}

Task<Result<std::string>> EngineCore::Impl::admin(AdminRequest request, Until until) {
  const Caller caller(callers);
  CO_CHECK_OK(caller.check(api != nullptr));
  if (shared == nullptr) co_return co_await api->handle(std::move(request), until);
  CO_CHECK_OK(lease.check(host.control().now()));
  Result<std::string> answer = fail(Code::kInternal);
  if (is_about_engine(request.path)) {
    answer = co_await api->handle(std::move(request), until);
  } else {
    answer = co_await shared->admin(std::move(request), until);
  }
  CO_CHECK_OK(lease.check(host.control().now()));
  co_return answer;
}

Task<> EngineCore::Impl::refresh_metrics() {
  const Caller caller(callers);
  if (!caller.check(ready.load(std::memory_order_acquire))) co_return;
  static_cast<void>(co_await on_all_reactors([&](std::size_t index) { return refresh_metrics_at(*reactors[index]); }));
  static_cast<void>(co_await on_all_targets([](Target& target) { return refresh_metrics_at(target); }));
}

EngineCore::EngineCore(EngineHost& host, Identity identity, EngineCoreOptions options, MetricRegistry& metrics,
                       Logger logger)
    : impl_(std::make_unique<Impl>(host, std::move(identity), std::move(options), metrics, std::move(logger))) {}
EngineCore::~EngineCore() = default;

void EngineCore::set_control_address(std::string address) { impl_->control_address = std::move(address); }
Task<Result<>> EngineCore::start() { return impl_->start(); }
Task<Result<>> EngineCore::stop() { return impl_->stop(); }
bool EngineCore::ready() const { return impl_->ready.load(std::memory_order_acquire); }
Instant EngineCore::serves_until() const { return impl_->is_shared ? impl_->lease.until() : kNoDeadline; }
const std::vector<rpc::Address>& EngineCore::addresses() const { return impl_->addresses; }
const Identity& EngineCore::identity() const { return impl_->identity; }
Task<Result<std::string>> EngineCore::admin(AdminMethod method, std::string path, std::string body, Uuid new_id,
                                            Until until) {
  return impl_->admin({method, std::move(path), std::move(body), new_id}, until);
}
Task<> EngineCore::refresh_metrics() { return impl_->refresh_metrics(); }

}  // namespace cenote::engine
