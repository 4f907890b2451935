#include "control_move.h"

#include "cenote/cluster/embedded_coordinator.h"
#include "control_import.h"
#include "store_devices.h"
#include "system_record.h"

namespace cenote::engine {
namespace {

/// For a state of the largest size that a slow coordinator takes.
constexpr Duration kPatience = std::chrono::minutes(5);

Task<Result<>> move_from(cluster::EmbeddedCoordinator& from, cluster::Coordinator& to, SystemIdentity system,
                         const std::string& place, Until until) {
  CO_TRY(const auto there, co_await find_system(to, std::nullopt, until));
  // One that is there was moved before, in full, and has gone on since.
  if (!there || there->id != system.id) {
    CO_TRY(const auto state, co_await cluster::range_all(from, "", until));
    CO_CHECK_OK(co_await import_control_state(state, to, system, until));
  }
  co_return co_await from.retire(place);
}

/// Whether `to` is what a store that was retired was moved to.
Task<Result<>> check_moved(cluster::Coordinator& to, SystemIdentity system, Error retired, Until until) {
  CO_TRY(const auto there, co_await find_system(to, std::nullopt, until));
  if (there && there->id == system.id) co_return Result<>();
  co_return fail(std::move(retired));
}

}  // namespace

Task<Result<>> move_control_state(EngineHost& host, const Identity& identity, std::optional<SecretKey> key,
                                  cluster::Coordinator& to, std::string place) {
  const Until until = Until::at(host.control().now() + kPatience);
  const SystemIdentity system{identity.system, identity.name};
  CO_TRY(StoreDevices devices, co_await StoreDevices::open(host, host.control(), *identity.coordinator));
  const store::OpenOptions open{.system = identity.system,
                                .target = identity.coordinator->id,
                                .cache_bytes = store::kMinCacheBytes,
                                .fenced = [](const Error&) {},
                                .key = std::move(key)};
  auto opened = co_await store::Store::open(host.control(), devices.roles(), open);
  Result<> outcome;
  if (!opened) {
    outcome = fail(lost_store(std::move(opened).error()));
  } else if (auto from = co_await cluster::EmbeddedCoordinator::open(*std::move(opened)); !from) {
    outcome = fail(std::move(from).error());
    if (outcome.error() == Code::kForeign) outcome = co_await check_moved(to, system, outcome.error(), until);
  } else {
    outcome = co_await move_from(**from, to, system, place, until);
    auto closed = co_await (*from)->close();
    if (outcome) outcome = std::move(closed);
  }
  co_await devices.close();
  co_return outcome;
}

}  // namespace cenote::engine
