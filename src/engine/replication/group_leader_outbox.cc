// How the outcomes of entries reach their members, and then are forgotten.

#include <algorithm>

#include "group_leader_impl.h"

namespace cenote::engine {

void GroupLeader::enqueue(object::EntryName name, EntryEvent event, Uuid container,
                          std::vector<TargetAddress> members) {
  if (scope_.stopping()) return;
  std::erase(members, member_.self());
  for (const TargetAddress& member : members) tell_soon(member, {name, event});
  Decided& decided = decided_[name];
  decided = {.container = container, .members = std::move(members), .event = event};
  decided.left = decided.members.size();
  // Its own commit has to be durable, too, before anybody forgets; itself it forgets last.
  if (event == EntryEvent::kForget && decided.left > 0) return;
  ++decided.left;
  decided.told_itself = true;
  tell_soon(member_.self(), {name, event});
}

void GroupLeader::tell_soon(TargetAddress where, EntryDecision decision) {
  Outbox& outbox = outboxes_[where];
  outbox.waiting.push_back(decision);
  if (!outbox.flushing) outbox.flushing = scope_.spawn(flush(*this, where));
}

void GroupLeader::confirm(const object::EntryName& name, EntryEvent event) {
  const auto found = decided_.find(name);
  if (found == decided_.end() || found->second.event != event) return;
  ASSERT(found->second.left > 0);
  if (--found->second.left > 0) return;
  if (event == EntryEvent::kCommit) {
    auto members = std::move(found->second.members);
    enqueue(name, EntryEvent::kForget, found->second.container, std::move(members));
  } else if (!found->second.told_itself) {
    found->second.told_itself = true;
    found->second.left = 1;
    tell_soon(member_.self(), {name, event});
  } else {
    decided_.erase(found);
  }
}

std::vector<EntryDecision> GroupLeader::take_waiting(TargetAddress where) {
  const auto found = outboxes_.find(where);
  if (found == outboxes_.end()) return {};
  std::vector<EntryDecision>& waiting = found->second.waiting;
  if (waiting.size() <= kMaxDecisions) return std::exchange(waiting, {});
  std::vector<EntryDecision> taken(waiting.begin(), waiting.begin() + kMaxDecisions);
  waiting.erase(waiting.begin(), waiting.begin() + kMaxDecisions);
  return taken;
}

void GroupLeader::put_back(TargetAddress where, std::vector<EntryDecision> decisions) {
  if (decisions.empty() || scope_.stopping()) return;
  Outbox& outbox = outboxes_[where];
  outbox.waiting.insert(outbox.waiting.begin(), decisions.begin(), decisions.end());
  if (!outbox.flushing) outbox.flushing = scope_.spawn(flush(*this, where));
}

Task<> GroupLeader::flush(GroupLeader& self, TargetAddress where) {
  Duration pause = kCommitDelay;
  for (;;) {
    const auto slept = co_await sleep_for(self.reactor_, pause, self.scope_.cancel_source());
    if (!slept || self.outboxes_[where].waiting.empty()) break;
    const bool told = co_await self.flush_once(where);
    const auto& waiting = self.outboxes_[where].waiting;
    if (waiting.empty()) break;
    const bool commits = std::ranges::any_of(
        waiting, [](const EntryDecision& decision) { return decision.event == EntryEvent::kCommit; });
    pause = !told ? kRetryPause : commits ? kCommitDelay : kForgetDelay;
  }
  self.outboxes_[where].flushing = false;
}

Task<bool> GroupLeader::flush_once(TargetAddress where) {
  std::vector<EntryDecision> decisions = take_waiting(where);
  auto answer =
      co_await tell(where, {.container = {}, .decisions = decisions}, nullptr, {kNoDeadline, &scope_.cancel_source()});
  std::vector<EntryDecision> failed;
  for (std::size_t index = 0; index < decisions.size(); ++index) {
    const EntryDecision& decision = decisions[index];
    if (answer && answer->done[index].code == Code::kOk) {
      confirm(decision.name, decision.event);
      continue;
    }
    // Who is not up any more need not hear of it: it drops what it holds when it comes back.
    const auto decided = decided_.find(decision.name);
    if (decided == decided_.end()) continue;
    if (co_await is_up(decided->second.container, where)) {
      failed.push_back(decision);
    } else {
      confirm(decision.name, decision.event);
    }
  }
  const bool all = failed.empty();
  std::vector<EntryDecision>& waiting = outboxes_[where].waiting;
  waiting.insert(waiting.begin(), failed.begin(), failed.end());
  co_return all;
}

Task<bool> GroupLeader::is_up(Uuid container, TargetAddress where) {
  const auto layout = co_await member_.layout_of(container);
  if (!layout) co_return !(layout.error() == Code::kContainerNotFound);
  for (const cluster::MapTarget& target : (*layout)->map()->targets()) {
    if ((*layout)->map()->engines()[target.engine].rank != where.engine || target.index != where.index) continue;
    co_return target.state == cluster::ComponentState::kUp || cluster::PoolMap::is_complete(target);
  }
  co_return false;
}

void GroupLeader::take_up(const object::HeldEntryInfo& entry, const EntryNote& note,
                          const cluster::PoolLayout& layout) {
  if (decided_.contains(entry.name) || running_.contains(entry.name)) return;
  std::vector<TargetAddress> others;
  for (const cluster::TargetId member : note.members()) {
    if (member.value() >= layout.target_count()) continue;
    const cluster::TargetPlace place = layout.place_of(member);
    if (TargetAddress{place.engine, place.index} != member_.self()) others.push_back({place.engine, place.index});
  }
  const bool committed = entry.state == EntryState::kCommitted;
  // Of a refused one nobody says here whether all have heard of it; that it is refused stays, until it has expired.
  if (committed) enqueue(entry.name, EntryEvent::kCommit, entry.container, std::move(others));
}

}  // namespace cenote::engine
