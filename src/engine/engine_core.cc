#include "cenote/engine/engine_core.h"

#include <algorithm>

#include "cenote/base/format.h"
#include "cenote/cluster/pool_map_store.h"
#include "cenote/engine/control_recovery.h"
#include "cenote/engine/coordinator_source.h"
#include "engine_core_impl.h"
#include "scrub_calls.h"
#include "target_calls.h"

namespace cenote::engine {
namespace {

constexpr const char* kVersion = CENOTE_VERSION;
/// The coordinator's state is small; the smallest cache a store has is plenty.
constexpr std::uint64_t kCoordinatorCacheBytes = store::kMinCacheBytes;

/// How long one request for the view of a pool waits for a map that engines switch to, and how often it looks.
constexpr Duration kActivationPatience = std::chrono::seconds(1);
constexpr Duration kReportPatience = std::chrono::seconds(2);
constexpr Duration kActivationPause = std::chrono::milliseconds(20);

Error or_failure(Result<>& outcome) { return std::move(outcome).error(); }

}  // namespace

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
    target_bytes.push_back(target->capacity_bytes());
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
                       .scrub_period = options.scrub_period,
                       .retention = options.retention,
                       .scarce_space = options.scarce_space,
                       .clock = &clock};
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
  layouts = std::make_unique<PoolLayouts>(*coordinator, static_cast<std::uint32_t>(targets.size()));
  if (is_shared) {
    // Before the copy follows that coordinator. One that cannot be read stops nothing, as ever.
    const auto last = co_await host.read_control_copy();
    const Until until = Until::at(host.control().now() + kReportPatience);
    if (last && *last) CO_CHECK_OK(co_await check_not_newer(*coordinator, identity.system, **last, until));
    control_copy = std::make_unique<ControlCopy>(
        host, *coordinator, ControlCopy::Options{.system = identity.system, .engine = identity.engine}, metrics,
        logger);
    control_copy->start();
  }
  targets_service = std::make_unique<TargetsService>(host.control(), *this, control_copy.get());
  control = std::make_unique<ControlService>(host.control(), *coordinator, *this);
  if (is_shared) CO_CHECK_OK(co_await find_place());
  stopped_gauge =
      &metrics.gauge("cenote_engine_system_stopped", "1 while the system is stopped ('cenote system stop')");
  clock_gauge = &metrics.gauge("cenote_engine_clock_off",
                               "1 while the clock of the machine is too far from those of the other engines");
  CO_CHECK_OK(co_await follow_stop());
  // What was interrupted may have to wait for entries to be settled.
  CO_CHECK_OK(co_await make_groups());
  if (!is_shared) {
    CO_CHECK_OK(co_await follow_all_alone());
    control->hold();
  }
  api = std::make_unique<AdminApi>(*control, *this);
  co_return Result<>();
}

Task<Result<>> EngineCore::Impl::find_place() {
  shared =
      std::make_unique<SharedControl>(host, *coordinator, *control_copy, lease, clock, *this, *targets_service, *this,
                                      SharedControl::Options{.identity = identity,
                                                             .advertise_address = options.advertise_address,
                                                             .fault_domain = options.fault_domain,
                                                             .process = options.process,
                                                             .lease_ttl = options.lease_ttl,
                                                             .drift_margin = options.drift_margin,
                                                             .returns = {.enabled = options.auto_reintegrate}},
                                      logger);
  co_return co_await shared->claim_place();
}

Task<Result<>> EngineCore::Impl::join() {
  if (shared != nullptr) co_return co_await shared->join(addresses, control_address);
  // Entries that have to be settled before may be about several targets, which ask each other.
  auto resumed = co_await control->resume();
  if (!resumed) co_return fail(resumed.error().with_context("recovering the control state"));
  co_return Result<>();
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

Task<Result<>> EngineCore::Impl::make_groups() {
  groups.resize(targets.size());
  CO_CHECK_OK(co_await on_all_reactors([this](std::size_t index) { return make_groups_at(index); }));
  for (const auto& made : groups) group_list.push_back(made.get());
  co_return Result<>();
}

// On the reactor; each call touches its own elements only.
Task<Result<>> EngineCore::Impl::make_groups_at(std::size_t index) {
  reactors[index]->make_links(*this, host.outgoing_at(index), identity.system);
  for (std::size_t target = index; target < targets.size(); target += reactors.size())
    groups[target] = reactors[index]->make_groups(*targets[target], rank());
  co_return Result<>();
}

// On the reactor.
Task<Result<>> EngineCore::Impl::follow_at(std::size_t index, LayoutSwitch change, Epoch& used) {
  reactors[index]->forget_pool(change.pool);
  for (std::size_t target = index; target < groups.size(); target += reactors.size()) {
    if (groups[target] == nullptr) continue;
    CO_CHECK_OK(co_await groups[target]->follow(change));
    used = std::max(used, targets[target]->objects().now());
  }
  co_return Result<>();
}

/// An engine without others is told by nobody which version of a pool's map is valid: its targets begin to work on it
/// before the first request of that version. Twice at a time does no harm.
Task<Result<>> EngineCore::Impl::follow_alone(Uuid pool, std::shared_ptr<const cluster::PoolLayout> layout) {
  if (layout->map() == nullptr || followed[pool] >= layout->version()) co_return Result<>();
  CO_CHECK_OK(co_await on_all_reactors([&](std::size_t index) { return follow_alone_at(index, pool, *layout); }));
  if (followed.size() > PoolLayouts::kMaxPools) followed.clear();
  followed[pool] = std::max(followed[pool], layout->version());
  co_return Result<>();
}

// On the reactor.
Task<Result<>> EngineCore::Impl::follow_alone_at(std::size_t index, Uuid pool, const cluster::PoolLayout& layout) {
  for (std::size_t target = index; target < groups.size(); target += reactors.size())
    CO_CHECK_OK(co_await groups[target]->member.follow(pool, layout));
  co_return Result<>();
}

/// Of all pools at the start: what was interrupted is settled whether clients come or not.
Task<Result<>> EngineCore::Impl::follow_all_alone() {
  ControlStore state(*coordinator);
  CO_TRY(const std::vector<PoolRecord> pools, co_await state.pools());
  for (const PoolRecord& pool : pools) {
    CO_TRY(auto layout, co_await layouts->of(pool.id));
    CO_CHECK_OK(co_await follow_alone(pool.id, std::move(layout)));
  }
  co_return Result<>();
}

// On the reactor.
Task<Result<>> EngineCore::Impl::close_at(std::size_t index, Epoch epoch) {
  for (std::size_t target = index; target < targets.size(); target += reactors.size())
    targets[target]->objects().observe(epoch);
  co_return Result<>();
}

Task<Result<>> EngineCore::Impl::refresh_groups_at(std::size_t index) {
  for (std::size_t target = index; target < groups.size(); target += reactors.size())
    if (groups[target] != nullptr) groups[target]->metrics.refresh(*groups[target]);
  co_return Result<>();
}

Task<Result<>> EngineCore::Impl::stop_groups_at(std::size_t index) {
  if (reactors[index] == nullptr) co_return Result<>();
  for (std::size_t target = index; target < groups.size(); target += reactors.size()) {
    if (groups[target] != nullptr) co_await groups[target]->stop();
    groups[target].reset();
  }
  co_await reactors[index]->stop_links();
  co_return Result<>();
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
  CO_TRY(const auto listening, reactors[index]->serve(std::move(endpoints), *this, {target_list, group_list}, wanted));
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
  if (shared != nullptr) shared->stop_waiting();
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
  if (targets_service != nullptr) co_await targets_service->stop();
  static_cast<void>(co_await on_all_reactors([this](std::size_t index) { return stop_groups_at(index); }));
  group_list.clear();
  groups.clear();
  api.reset();
  control.reset();
  shared.reset();
  layouts.reset();
  targets_service.reset();
  if (control_copy != nullptr) co_await control_copy->stop();
  control_copy.reset();
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

Task<SystemInfo> EngineCore::Impl::describe() {
  SystemInfo info;
  info.system = identity.system;
  info.name = identity.name;
  info.version = kVersion;
  info.map_version = 1;  // the same for ever: pools have maps, with versions of their own
  if (!addresses.empty()) info.data_address = addresses.front().to_string();
  info.control_address = control_address;
  info.encrypted = control_encrypted;
  const std::string trouble = own_coordinator == nullptr ? "" : own_coordinator->trouble();
  if (!trouble.empty()) info.control_state = "read-only: " + trouble;
  info.targets.resize(targets.size());
  static_cast<void>(
      co_await on_all_targets([&](Target& target) { return describe_at(target, info.targets[target.index()]); }));
  if (const auto stop = known_stop()) {
    const auto since = std::chrono::floor<std::chrono::seconds>(stop->since.time_since_epoch());
    info.stopped_since_s = static_cast<std::uint64_t>(since.count());
  }
  if (shared == nullptr) {
    info.engines = {describe_alone()};
  } else {
    info.engines = co_await shared->engines();
    info.degraded_pools = co_await shared->degraded_pools();
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

Task<Result<CoordinatorInfo>> EngineCore::Impl::describe_coordinator(bool share) {
  CoordinatorInfo info{.system = identity.system, .name = identity.name};
  if (options.sharing == nullptr) {
    if (share) co_return fail(Code::kUnsupported, "this engine takes no others into its system");
    co_return info;
  }
  CoordinatorSharing::Place place = options.sharing->where();
  if (share) {
    CO_TRY(place, options.sharing->share());
  }
  info.endpoints = std::move(place.endpoints);
  info.root = std::move(place.root);
  info.managed = place.managed;
  co_return info;
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

Task<Result<RoutedContainer>> EngineCore::Impl::find_container(Uuid container, std::uint64_t version, Until until) {
  const Caller caller(callers);
  CO_CHECK_OK(caller.check(control != nullptr));
  CO_TRY(const OpenContainer found, co_await control->open_container(container));
  std::shared_ptr<const PoolServing> serving;
  if (shared != nullptr) {
    CO_TRY(serving, co_await shared->pools().of(found.pool, version, until));
  }
  std::shared_ptr<const cluster::PoolLayout> layout;
  if (serving != nullptr) {
    layout = serving->layout();
  } else {
    CO_TRY(layout, co_await layouts->of(found.pool));
    CO_CHECK_OK(co_await follow_alone(found.pool, layout));
  }
  co_return RoutedContainer{
      .seed = found.seed, .layout = std::move(layout), .serving = std::move(serving), .leased = found.leased};
}

Task<Result<Epoch>> EngineCore::Impl::follow(LayoutSwitch change) {
  // Not zero, which says nothing: also of a system that nothing was ever stored in.
  std::vector<Epoch> used(reactors.size(), Epoch(1));
  CO_CHECK_OK(co_await on_all_reactors([&](std::size_t index) { return follow_at(index, change, used[index]); }));
  co_return *std::ranges::max_element(used);
}

Task<Result<>> EngineCore::Impl::close(Epoch epoch) {
  co_return co_await on_all_reactors([&](std::size_t index) { return close_at(index, epoch); });
}

Task<Result<>> EngineCore::Impl::hold_clients(bool hold) {
  clients_held.store(hold, std::memory_order_release);
  co_return co_await on_all_reactors([&](std::size_t index) { return hold_clients_at(index, hold); });
}

// On the reactor.
Task<Result<>> EngineCore::Impl::hold_clients_at(std::size_t index, bool hold) {
  reactors[index]->clients().hold(hold);
  co_return Result<>();
}

Task<Result<>> EngineCore::Impl::await_quiet(Until until) {
  co_return first_failure(co_await gather(host.control(), reactors.size(), [&](std::size_t index) {
    return call_on(host.control(), *host.data()[index], until,
                   [this, index](Until there) { return reactors[index]->clients().await_quiet(there); });
  }));
}

/// With others it hears of it from the coordinator, as they do.
Task<Result<>> EngineCore::Impl::follow_stop() {
  if (is_shared) co_return Result<>();
  CO_TRY(own_stop, co_await cluster::load_stop(*coordinator));
  co_return co_await hold_clients(own_stop.has_value());
}

Task<bool> EngineCore::Impl::is_quiet() {
  const auto quiet = co_await await_quiet(Until::at(host.control().now()));
  co_return clients_held.load(std::memory_order_acquire) && quiet.has_value();
}

// While engines switch, what nobody serves any more helps a client as little as what nobody serves yet.
Task<Result<std::optional<cluster::PoolMap>>> EngineCore::Impl::active_map(Uuid pool, Until until) {
  const Instant patience = std::min(until.deadline, host.control().now() + kActivationPatience);
  for (;;) {
    CO_TRY(auto stored, co_await cluster::load_stored_map(*coordinator, pool, until));
    if (!stored) co_return std::nullopt;
    if (stored->active == stored->map.version()) co_return std::move(stored->map);
    if (host.control().now() >= patience) {
      co_return failf(Code::kNotReady, "version {} of the map of pool {} is not active yet: try again",
                      stored->map.version().value(), pool.to_string());
    }
    co_await host.control().sleep_for(kActivationPause);
  }
}

Task<Result<PoolView>> EngineCore::Impl::view_pool(Uuid pool, Until until) {
  const Caller caller(callers);
  CO_CHECK_OK(caller.check(control != nullptr));
  CO_CHECK_OK(co_await control->check_pool(pool));
  CO_TRY(const auto map, co_await active_map(pool, until));
  PoolView view;
  if (!map) {
    view.targets = static_cast<std::uint32_t>(targets.size());
    co_return view;
  }
  if (shared != nullptr) {
    CO_TRY(view.engines, co_await shared->members_of(*map, until));
  }
  view.map = encode_pool_map(*map);
  co_return view;
}

std::vector<cluster::EngineSpec> EngineCore::Impl::engines() const {
  const std::string node = options.fault_domain.empty() ? fmt::format("node{}", rank().value()) : options.fault_domain;
  return {{.path = node, .rank = rank(), .id = identity.engine, .target_bytes = target_bytes}};
}

Task<Result<std::vector<Uuid>>> EngineCore::Impl::containers_of(Uuid pool) {
  const Caller caller(callers);
  CO_CHECK_OK(caller.check(control != nullptr));
  co_return co_await control->containers_of(pool);
}

Task<Result<>> EngineCore::Impl::report_moved(Uuid pool, cluster::MapVersion version, cluster::TargetId target) {
  const Caller caller(callers);
  CO_CHECK_OK(caller.check(coordinator != nullptr));
  co_return co_await cluster::report_moved(*coordinator, pool, version, target,
                                           Until::at(host.control().now() + kReportPatience));
}

Task<Result<std::vector<std::string>>> EngineCore::Impl::engine_addresses(cluster::Rank engine) {
  const Caller caller(callers);
  if (is_shared) {
    CO_CHECK_OK(caller.check(shared != nullptr));
    co_return co_await shared->addresses_of(engine);
  }
  // Its targets speak with each other like those of different engines.
  CO_CHECK_OK(caller.check(!addresses.empty()));
  co_return std::vector<std::string>{addresses.front().to_string()};
}

Task<Result<TargetsReply>> EngineCore::Impl::ask_targets(TargetsRequest request, Until until) {
  const Caller caller(callers);
  CO_CHECK_OK(caller.check(targets_service != nullptr));
  co_return co_await targets_service->call(std::move(request), until);
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
  stopped_gauge->set(clients_held.load(std::memory_order_acquire) ? 1 : 0);
  clock_gauge->set(shared != nullptr && shared->clock_off() ? 1 : 0);
  static_cast<void>(co_await on_all_reactors([&](std::size_t index) { return refresh_metrics_at(*reactors[index]); }));
  static_cast<void>(co_await on_all_targets([](Target& target) { return refresh_metrics_at(target); }));
  static_cast<void>(co_await on_all_reactors([this](std::size_t index) { return refresh_groups_at(index); }));
  if (control_copy != nullptr) control_copy->refresh_metrics();
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
bool EngineCore::system_stopped() const { return impl_->clients_held.load(std::memory_order_acquire); }
const std::vector<rpc::Address>& EngineCore::addresses() const { return impl_->addresses; }
const Identity& EngineCore::identity() const { return impl_->identity; }
Task<Result<std::string>> EngineCore::admin(AdminMethod method, std::string path, std::string body, Uuid new_id,
                                            Until until) {
  return impl_->admin({method, std::move(path), std::move(body), new_id}, until);
}
Task<> EngineCore::refresh_metrics() { return impl_->refresh_metrics(); }

}  // namespace cenote::engine
