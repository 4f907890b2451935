#include "system_record.h"

#include "control_records.h"

namespace cenote::engine {

Task<Result<std::optional<SystemIdentity>>> find_system(cluster::Coordinator& coordinator,
                                                        std::optional<SystemIdentity> proposal, Until until) {
  for (;;) {
    CO_TRY(const auto entry, co_await coordinator.get(kSystemKey, until));
    if (entry) {
      CO_TRY(auto system, decode_system(entry->value));
      co_return std::optional(std::move(system));
    }
    if (!proposal) co_return std::optional<SystemIdentity>();
    CO_TRY(const auto import, co_await coordinator.get(kImportKey, until));
    if (import) {
      co_return fail(Code::kNotReady,
                     "the state of a system is being brought to the coordinator, or that was broken "
                     "off: give the command again that did it, then try again");
    }
    cluster::Transaction change;
    change.require(kSystemKey, cluster::Revision(0))
        .require(kImportKey, cluster::Revision(0))
        .put(kSystemKey, encode(*proposal));
    const auto made = co_await coordinator.commit(std::move(change), until);
    // Another one was faster, or nobody knows: the record tells.
    if (!made && !(made.error() == Code::kConditionFailed) && !(made.error() == Code::kOutcomeUnknown))
      co_return fail(made.error());
  }
}

}  // namespace cenote::engine
