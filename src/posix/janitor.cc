#include "janitor.h"

namespace cenote::posix {
namespace {

constexpr Duration kLookEvery = std::chrono::seconds(30);

}  // namespace

Janitor::Janitor(Records records, const Session& own, Free free, Own settle_own)
    : records_(records),
      own_(own),
      free_(std::move(free)),
      settle_own_(std::move(settle_own)),
      scope_(records.container().client().reactor()) {}

void Janitor::start() { scope_.spawn(keep_looking(this)); }

Task<> Janitor::keep_looking(Janitor* self) {
  Reactor& reactor = self->records_.container().client().reactor();
  for (;;) {
    const Instant next = reactor.now() + kLookEvery;
    const bool slept = static_cast<bool>(co_await sleep_until(reactor, next, self->scope_.cancel_source()));
    if (!slept || self->scope_.stopping()) co_return;
    // What does not come to its end is gone on with in the next round.
    const Until until{.deadline = next + 4 * kLookEvery, .cancel = &self->scope_.cancel_source()};
    (void)co_await self->look(until);
    (void)co_await self->settle_own_(until);
  }
}

Task<Result<>> Janitor::look(Until until) {
  Reactor& reactor = records_.container().client().reactor();
  CO_TRY(const auto sessions, co_await Session::list(records_, until));
  std::map<std::uint64_t, Seen> seen;
  for (const Session::Other& session : sessions) {
    if (session.number == own_.number()) continue;
    const auto before = seen_.find(session.number);
    const bool silent = before != seen_.end() && before->second.beats == session.beats;
    seen[session.number] = {session.beats, silent ? before->second.since : reactor.now()};
  }
  seen_ = std::move(seen);
  Result<> outcome;
  for (const Session::Other& session : sessions) {
    const auto other = seen_.find(session.number);
    if (other == seen_.end() || reactor.now() - other->second.since < Session::kDeadAfter) continue;
    // What is damaged of one keeps nobody from the others.
    if (auto cleared = co_await clear_away_after(session.number, until); !cleared) outcome = std::move(cleared);
  }
  co_return outcome;
}

Task<Result<>> Janitor::clear_away_after(std::uint64_t session, Until until) {
  CO_TRY(const Session::Journal journal, co_await Session::read(records_, session, until));
  for (const ObjectId& directory : journal.directories)
    CO_CHECK_OK(co_await clear_directory(directory, session, until));
  for (const ObjectId& object : journal.open_files) {
    const Place place = Place::in_companion(object);
    CO_TRY(auto entry, co_await records_.entry(place, until));
    if (!entry || !entry->inode || entry->inode->links > 0) continue;
    CO_CHECK_OK(co_await free_(*std::move(entry->inode), place, until));
  }
  co_return co_await Session::erase(records_, session, until);
}

Task<Result<>> Janitor::clear_directory(ObjectId directory, std::uint64_t session, Until until) {
  std::string after;
  for (;;) {
    CO_TRY(const Records::Page page,
           co_await records_.list(directory, removed_prefix(session), after, kMaxListEntries, until));
    for (const std::string& dkey : page.dkeys) {
      const Place place{directory, dkey};
      CO_TRY(auto entry, co_await records_.entry(place, until));
      if (entry && entry->inode) CO_CHECK_OK(co_await free_(*std::move(entry->inode), place, until));
    }
    if (page.at_end || page.dkeys.empty()) co_return Result<>();
    after = page.dkeys.back();
  }
}

}  // namespace cenote::posix
