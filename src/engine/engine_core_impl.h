#pragma once

#include <atomic>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "admin_api.h"
#include "caller.h"
#include "cenote/cluster/embedded_coordinator.h"
#include "cenote/engine/engine_core.h"
#include "cenote/runtime/cross_core.h"
#include "control_service.h"
#include "data_reactor.h"
#include "gather.h"
#include "pool_layouts.h"
#include "shared_control.h"
#include "target.h"
#include "targets_service.h"

namespace cenote::engine {

/// Everything of an engine. Members are used on the control reactor, except what is reached through `call_on`; data
/// reactors call back through EngineServices, on the control reactor, too.
///
/// Where the coordinator is shared with other engines nothing is answered without a valid `lease` (I9).
///
/// Invariants: `targets_` and `target_list_` do not change while servers run. Made in the order reactors, targets,
/// coordinator, control, servers; taken down in the opposite order, whatever part of it was made.
struct EngineCore::Impl final : ContainerTargets, SystemView, EngineServices, LayoutFollower {
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
  Task<Result<>> make_groups();
  Task<Result<>> make_groups_at(std::size_t index);
  Task<Result<>> follow_at(std::size_t index, LayoutSwitch change, Epoch& used);
  Task<Result<>> follow_alone(Uuid pool, std::shared_ptr<const cluster::PoolLayout> layout);
  Task<Result<>> follow_alone_at(std::size_t index, Uuid pool, const cluster::PoolLayout& layout);
  Task<Result<>> follow_all_alone();
  Task<Result<>> close_at(std::size_t index, Epoch epoch);
  Task<Result<>> refresh_groups_at(std::size_t index);
  Task<Result<>> hold_clients_at(std::size_t index, bool hold);
  Task<Result<>> stop_groups_at(std::size_t index);
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
  Task<Result<Epoch>> newest_epoch(Uuid container) override;
  Task<Result<>> add_snapshot(Uuid container, Epoch epoch) override;
  Task<Result<>> remove_snapshot(Uuid container, Epoch epoch) override;
  Task<Result<>> hold_answers(Uuid container) override;
  Task<Result<>> release_answers(Uuid container) override;
  Task<Result<>> roll_back(Uuid container, Epoch to, Uuid request) override;
  Task<Result<>> check_rollback(Uuid container, Epoch to) override;
  Task<Result<object::Usage>> measure_flattening(Uuid container) override;
  Task<Result<>> start_flattening(Uuid container) override;
  Task<Result<std::optional<FlattenInfo>>> flattening(Uuid container) override;
  Task<Result<std::vector<HeldContainer>>> list_containers(Uuid after) override;
  Task<Result<std::vector<Epoch>>> list_snapshots(Uuid container) override;
  Task<Result<std::vector<TargetMoveStatus>>> moves(Uuid pool) override;
  std::size_t target_count() const override { return targets.size(); }
  std::vector<cluster::EngineSpec> engines() const override;
  Task<std::vector<Result<>>> scrub(ContainerScrub& scrub) override;
  Task<std::vector<ContainerScrub::Progress>> progress_of(ContainerScrub& scrub) override;
  Task<> cancel(ContainerScrub& scrub) override;
  bool encrypted() const override { return stores_encrypted; }
  Task<Result<object::Usage>> used(Uuid container) override;
  std::uint64_t capacity_bytes() const override { return capacity; }
  // SystemView
  Task<SystemInfo> describe() override;
  Task<Result<CoordinatorInfo>> describe_coordinator(bool share) override;
  Task<SystemScrub> describe_scrub() override;
  Task<Result<>> control_scrub(ControlScrub request) override;
  Task<Result<>> grow(GrowTargets request) override;
  Task<Result<>> follow_stop() override;
  Task<bool> is_quiet() override;
  Task<Result<>> grow_targets(GrowTargets request);
  Task<Result<>> grow_target(std::size_t index, std::uint64_t size_bytes);
  // EngineServices
  Reactor& control_reactor() override { return host.control(); }
  cluster::Rank rank() const override { return shared == nullptr ? cluster::Rank(0) : shared->place().rank; }
  Task<Result<RoutedContainer>> find_container(Uuid container, std::uint64_t version, Until until) override;
  Task<Result<PoolView>> view_pool(Uuid pool, Until until) override;
  Task<Result<std::string>> admin(AdminRequest request, Until until) override;
  Task<Result<OidLease>> lease_oids(Uuid container, Until until) override;
  Task<Result<std::vector<Uuid>>> containers_of(Uuid pool) override;
  Task<Result<>> report_moved(Uuid pool, cluster::MapVersion version, cluster::TargetId target) override;
  Task<Result<std::vector<std::string>>> engine_addresses(cluster::Rank engine) override;
  Task<Result<TargetsReply>> ask_targets(TargetsRequest request, Until until) override;
  const ServingLease* serving_lease() const override { return is_shared ? &lease : nullptr; }

  // LayoutFollower
  Task<Result<Epoch>> follow(LayoutSwitch change) override;
  Task<Result<>> close(Epoch epoch) override;
  Task<Result<>> hold_clients(bool hold) override;
  Task<Result<>> await_quiet(Until until) override;

  /// The map of the version that is active; nullopt: the pool has none.
  Task<Result<std::optional<cluster::PoolMap>>> active_map(Uuid pool, Until until);
  /// Whether the system is stopped, as far as this engine knows.
  std::optional<cluster::SystemStop> known_stop() const { return shared == nullptr ? own_stop : shared->stopped(); }
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
  std::vector<std::unique_ptr<TargetGroups>> groups;
  std::vector<TargetGroups*> group_list;
  std::uint64_t capacity = 0;
  std::vector<std::uint64_t> target_bytes;  // what placement goes by, in new pools
  bool growing = false;
  const bool is_shared;  // the coordinator, with other engines
  StoreDevices coordinator_devices;
  std::unique_ptr<cluster::EmbeddedCoordinator> own_coordinator;
  cluster::Coordinator* coordinator = nullptr;
  // Where the coordinator is shared: answers what the data path asks, and changes nothing but object numbers.
  std::unique_ptr<ControlCopy> control_copy;  // of the shared one
  std::unique_ptr<PoolLayouts> layouts;
  std::map<Uuid, cluster::MapVersion> followed;  // without others: the versions that the targets work on
  std::unique_ptr<ControlService> control;
  std::unique_ptr<TargetsService> targets_service;
  std::unique_ptr<AdminApi> api;
  TrustedClock clock{kClockOffsetOfMost};  ///< where there are other engines to compare it with
  ServingLease lease;
  std::unique_ptr<SharedControl> shared;
  Instant answers_held{};  // since when, for the present or the last time
  Gate callers;            // of control and api
  std::vector<rpc::Address> addresses;
  std::string control_address;
  bool control_encrypted = false;
  bool stores_encrypted = false;
  std::optional<cluster::SystemStop> own_stop;  // of an engine that is alone
  Gauge* stopped_gauge = nullptr;
  Gauge* clock_gauge = nullptr;
  std::atomic<bool> ready = false;
  std::atomic<bool> clients_held = false;
};

}  // namespace cenote::engine
