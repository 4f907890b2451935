#include "cenote/cluster/system_stop.h"

#include "membership_format.h"

namespace cenote::cluster {

Task<Result<std::optional<SystemStop>>> load_stop(Coordinator& coordinator, Until until) {
  CO_TRY(const auto entry, co_await coordinator.get(std::string(kStoppedKey), until));
  if (!entry) co_return std::optional<SystemStop>();
  CO_TRY(const StoppedRecord record, decode_stopped(entry->value));
  co_return SystemStop{.since = record.since, .revision = entry->modified};
}

Task<Result<>> save_stop(Coordinator& coordinator, WallTime since, Until until) {
  Transaction change;
  change.require(std::string(kStoppedKey), Revision(0))
      .put(std::string(kStoppedKey), encode(StoppedRecord{.since = since}));
  CO_CHECK_OK(co_await coordinator.commit(std::move(change), until));
  co_return Result<>();
}

Task<Result<>> erase_stop(Coordinator& coordinator, SystemStop stop, Until until) {
  Transaction change;
  change.require(std::string(kStoppedKey), stop.revision).erase(std::string(kStoppedKey));
  CO_CHECK_OK(co_await coordinator.commit(std::move(change), until));
  co_return Result<>();
}

void require_running(Transaction& change) { change.require(std::string(kStoppedKey), Revision(0)); }

Error stopped_error() { return {Code::kNotReady, "the system is stopped: 'cenote system start' lets it go on"}; }

Task<Result<std::set<Rank>>> list_quiet(Coordinator& coordinator, SystemStop stop, Until until) {
  CO_TRY(const auto entries, co_await range_all(coordinator, std::string(kQuietPrefix), until));
  std::set<Rank> quiet;
  for (const KeyValue& entry : entries) {
    CO_TRY(const Rank rank, rank_of_key(entry.key));
    CO_TRY(const QuietRecord record, decode_quiet(entry.value));
    if (record.stop == stop.revision) quiet.insert(rank);
  }
  co_return quiet;
}

}  // namespace cenote::cluster
