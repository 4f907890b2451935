// Invariants: places are dense, never changed and never erased; each new one begins where the targets of the last end.

#include "cenote/cluster/engine_list.h"

#include <algorithm>

#include "cenote/base/format.h"
#include "membership_format.h"

namespace cenote::cluster {
namespace {

Task<Result<std::vector<EnginePlace>>> list_places(Coordinator& coordinator, Until until) {
  CO_TRY(const auto entries, co_await range_all(coordinator, std::string(kPlacePrefix), until));
  std::vector<EnginePlace> places;
  for (const KeyValue& entry : entries) {
    CO_TRY(const Rank rank, rank_of_key(entry.key));
    CO_TRY(const PlaceRecord record, decode_place(entry.value));
    places.push_back({rank, record.engine, record.first_target, record.targets});
  }
  co_return places;
}

}  // namespace

Task<Result<EnginePlace>> claim_place(Coordinator& coordinator, Uuid engine, std::uint32_t targets, Until until) {
  for (;;) {
    CO_TRY(const auto places, co_await list_places(coordinator, until));
    const auto own = std::ranges::find(places, engine, &EnginePlace::engine);
    if (own != places.end()) {
      if (own->targets == targets) co_return *own;
      co_return failf(Code::kForeign, "engine {} has {} targets, but {} in the list of the system's engines (rank {})",
                      engine.to_string(), targets, own->targets, own->rank.value());
    }
    if (places.size() == kMaxEngines) {
      co_return failf(Code::kOutOfRange, "the system has {} engines, as many as one can have", kMaxEngines);
    }
    EnginePlace next{.rank = Rank(0), .engine = engine, .first_target = 0, .targets = targets};
    if (!places.empty()) {
      next.rank = Rank(places.back().rank.value() + 1);
      next.first_target = places.back().first_target + places.back().targets;
    }
    // That nobody has this rank says that the list was whole when it was read.
    Transaction change;
    change.require(place_key(next.rank), Revision(0))
        .put(place_key(next.rank),
             encode(PlaceRecord{.engine = engine, .first_target = next.first_target, .targets = targets}));
    const auto done = co_await coordinator.commit(std::move(change), until);
    if (done) co_return next;
    // Another one was faster, or nobody knows: the list tells.
    if (!(done.error() == Code::kConditionFailed) && !(done.error() == Code::kOutcomeUnknown))
      co_return fail(done.error());
  }
}

Task<Result<std::vector<ListedEngine>>> list_engines(Coordinator& coordinator, Until until) {
  CO_TRY(const auto places, co_await list_places(coordinator, until));
  CO_TRY(const auto entries, co_await range_all(coordinator, std::string(kMemberPrefix), until));
  std::vector<ListedEngine> engines;
  for (const EnginePlace& place : places) engines.push_back({.place = place});
  for (const KeyValue& entry : entries) {
    CO_TRY(const Rank rank, rank_of_key(entry.key));
    CO_TRY(MemberRecord record, decode_member(entry.value));
    // Who got its place since the list was read is in the next one.
    if (rank.value() >= engines.size()) continue;
    ListedEngine& engine = engines[rank.value()];
    engine.up = true;
    engine.registered = entry.modified;
    engine.addresses = std::move(record.addresses);
    engine.control_address = std::move(record.control_address);
    engine.fault_domain = std::move(record.fault_domain);
  }
  co_return engines;
}

}  // namespace cenote::cluster
