#include "cenote/cluster/election.h"

namespace cenote::cluster {
namespace {

Revision revision_of(const std::optional<Leader>& leader) { return leader ? leader->revision : Revision(0); }

}  // namespace

Task<Result<std::optional<Leader>>> Election::current(Until until) {
  CO_TRY(auto entry, co_await coordinator_.get(key_, until));
  if (!entry) co_return std::optional<Leader>();
  co_return std::optional(Leader{std::move(entry->value), entry->modified, entry->lease});
}

Task<Result<std::optional<Leader>>> Election::changed(Revision seen, Until until) {
  for (;;) {
    CO_TRY(const Revision before, co_await coordinator_.revision(until));
    CO_TRY(auto leader, co_await current(until));
    if (revision_of(leader) != seen) co_return leader;
    // What happens after `before` wakes the watch, also what happened while the leader was read.
    CO_TRY(const auto watch, coordinator_.watch(key_, before));
    const auto events = co_await watch->next(until);
    if (!events && !(events.error() == Code::kCompacted)) co_return fail(events.error());
  }
}

Task<Result<Leader>> Election::campaign(std::string value, LeaseId lease, Until until) {
  for (;;) {
    Transaction change;
    change.require(key_, Revision(0)).put(key_, value, lease);
    const auto won = co_await coordinator_.commit(std::move(change), until);
    if (won) co_return Leader{value, *won, lease};
    const Code code = won.error().code();
    if (code != Code::kConditionFailed && code != Code::kOutcomeUnknown) co_return fail(won.error());
    CO_TRY(const auto leader, co_await current(until));
    if (leader && leader->lease == lease && leader->value == value) co_return *leader;
    if (!leader) continue;
    CO_CHECK_OK(co_await changed(leader->revision, until));
  }
}

Task<Result<>> Election::resign(Leader leader, Until until) {
  Transaction change;
  change.require(key_, leader.revision).erase(key_);
  const auto done = co_await coordinator_.commit(std::move(change), until);
  if (!done && !(done.error() == Code::kConditionFailed)) co_return fail(done.error());
  co_return Result<>();
}

}  // namespace cenote::cluster
