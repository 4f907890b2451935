// Invariants: an engine is gone only if its record's incarnation said so itself, its process's exit was attested, or no
// key of it has been seen for the margin; a version is activated only if every other engine of the map acknowledged it
// under its present incarnation. The map is read before the engines, and those before the acknowledgements: an engine
// that registers later reads the wanted version, or a later one, before it serves. While the system is stopped nothing
// of that is done: every change requires that it is not.

#include "cenote/cluster/supervisor.h"

#include <algorithm>
#include <set>

#include "cenote/base/format.h"
#include "cenote/cluster/pool_losses.h"
#include "cenote/cluster/pool_redundancy.h"
#include "cenote/cluster/system_stop.h"
#include "membership_format.h"

namespace cenote::cluster {

struct Supervisor::Engine {
  EngineRecord record;
  Revision record_revision;
  bool registered = false;  ///< its lease holds
  bool attested = false;    ///< its process has exited
  bool gone = false;        ///< it serves nothing, for certain
};

Supervisor::Supervisor(Reactor& reactor, Coordinator& coordinator, SupervisorOptions options)
    : reactor_(reactor),
      coordinator_(coordinator),
      options_(std::move(options)),
      election_(coordinator, std::string(kSupervisorKey)),
      background_(reactor) {
  ASSERT(options_.renew_every < options_.lease_ttl);
}

Supervisor::~Supervisor() { ASSERT(background_.running() == 0); }

void Supervisor::start() { background_.spawn(run(*this)); }

Task<> Supervisor::stop(Until until) {
  background_.cancel_source().cancel();
  if (term_) term_->cancel_source().cancel();
  co_await background_.stop();
  if (lease_ == kNoLease) co_return;
  const auto ended = co_await coordinator_.revoke_lease(lease_, until);
  if (!ended) options_.report(ended.error());
}

void Supervisor::reconsider() {
  if (term_ && !options_.may_lead()) term_->cancel_source().cancel();
}

Until Supervisor::soon() const { return {reactor_.now() + options_.call_timeout, &term_->cancel_source()}; }

Transaction Supervisor::as_leader(const Leader& leader) const {
  return Transaction().require(election_.key(), leader.revision);
}

Task<> Supervisor::run(Supervisor& self) {
  CancelSource& stopping = self.background_.cancel_source();
  while (!stopping.cancelled()) {
    self.term_ = std::make_unique<Scope>(self.reactor_);
    const auto served = co_await self.serve_term();
    self.leads_ = false;
    co_await self.term_->stop();
    self.term_.reset();
    if (stopping.cancelled()) co_return;
    if (!self.options_.may_lead() && self.lease_ != kNoLease) {
      const Until until{self.reactor_.now() + self.options_.call_timeout, &stopping};
      static_cast<void>(co_await self.coordinator_.revoke_lease(std::exchange(self.lease_, kNoLease), until));
    }
    if (!served) self.options_.report(served.error());
    static_cast<void>(co_await sleep_for(self.reactor_, self.options_.retry_pause, stopping));
  }
}

// From a lease to its end.
Task<Result<>> Supervisor::serve_term() {
  CO_CHECK_OK(options_.may_lead());
  CO_TRY(const Lease lease, co_await coordinator_.grant_lease(options_.lease_ttl, soon()));
  lease_ = lease.id;
  term_->spawn(keep_lease(*this, lease.id, *term_));
  while (!term_->stopping()) {
    CO_TRY(const Leader leader,
           co_await election_.campaign(options_.name, lease.id, {kNoDeadline, &term_->cancel_source()}));
    leads_ = true;
    const auto led = co_await lead(leader);
    leads_ = false;
    if (!led) options_.report(led.error());
  }
  co_return Result<>();
}

Task<> Supervisor::keep_lease(Supervisor& self, LeaseId lease, Scope& term) {
  Duration pause = self.options_.renew_every;
  while (co_await sleep_for(self.reactor_, pause, term.cancel_source())) {
    const auto renewed = co_await self.coordinator_.keep_alive(lease, self.soon());
    if (!renewed && renewed.error() == Code::kLeaseExpired) break;
    pause = renewed ? self.options_.renew_every : self.options_.retry_pause;
  }
  term.cancel_source().cancel();
}

// What happens after `from` wakes the watch, also what happens during the pass; one that failed is made again.
Task<Result<>> Supervisor::lead(Leader leader) {
  absences_.clear();
  while (!term_->stopping()) {
    CO_TRY(const Revision from, co_await coordinator_.revision(soon()));
    const auto passed = co_await pass(leader);
    if (!passed) {
      if (passed.error() == Code::kFenced) co_return passed;
      if (!term_->stopping()) options_.report(passed.error());
      static_cast<void>(co_await sleep_for(reactor_, options_.retry_pause, term_->cancel_source()));
      continue;
    }
    CO_TRY(const auto watch, coordinator_.watch(std::string(kMembershipPrefix), from));
    const auto events = co_await watch->next({next_judgement_, &term_->cancel_source()});
    if (!events && !(events.error() == Code::kDeadlineExceeded) && !(events.error() == Code::kCompacted))
      co_return fail(events.error());
    static_cast<void>(co_await sleep_for(reactor_, options_.gather, term_->cancel_source()));
  }
  co_return Result<>();
}

// Looks at everything once. kFenced: another leads.
Task<Result<>> Supervisor::pass(Leader leader) {
  CO_TRY(const auto current, co_await election_.current(soon()));
  if (!current || current->revision != leader.revision) co_return fail(Code::kFenced, "another supervisor was elected");
  CO_TRY(const auto stopped, co_await load_stop(coordinator_, soon()));
  if (stopped) {
    // Who is away now is not gone, and has all its time to come back when the system goes on.
    absences_.clear();
    next_judgement_ = kNoDeadline;
    co_return Result<>();
  }
  std::vector<StoredMap> maps;
  CO_TRY(const auto pools, co_await list_stored_maps(coordinator_, soon()));
  for (const Uuid& pool : pools) {
    CO_TRY(auto stored, co_await load_stored_map(coordinator_, pool, soon()));
    if (stored) maps.push_back(*std::move(stored));
  }
  CO_TRY(const Engines engines, co_await read_engines());
  for (StoredMap& stored : maps) CO_CHECK_OK(co_await supervise(std::move(stored), engines, leader));
  co_return Result<>();
}

Task<Result<Supervisor::Engines>> Supervisor::read_engines() {
  Engines engines;
  // Records first: an incarnation that registers between the two reads is no absent one.
  CO_TRY(const auto records, co_await range_all(coordinator_, std::string(kEnginePrefix), soon()));
  for (const KeyValue& entry : records) {
    CO_TRY(const Rank rank, rank_of_key(entry.key));
    CO_TRY(auto record, decode_engine(entry.value));
    engines[rank] = {.record = record, .record_revision = entry.modified};
  }
  CO_TRY(const auto members, co_await range_all(coordinator_, std::string(kMemberPrefix), soon()));
  for (const KeyValue& entry : members) {
    CO_TRY(const Rank rank, rank_of_key(entry.key));
    const auto found = engines.find(rank);
    if (found != engines.end()) found->second.registered = true;
  }
  CO_TRY(const auto exits, co_await range_all(coordinator_, std::string(kExitPrefix), soon()));
  for (const KeyValue& entry : exits) {
    CO_TRY(const Rank rank, rank_of_key(entry.key));
    CO_TRY(const Uuid process, decode_exit(entry.value));
    const auto found = engines.find(rank);
    if (found != engines.end()) found->second.attested = process == found->second.record.process;
  }
  next_judgement_ = kNoDeadline;
  for (auto& [rank, engine] : engines) judge(engine, rank);
  co_return engines;
}

void Supervisor::judge(Engine& engine, Rank rank) {
  engine.gone = engine.record.ended || engine.attested;
  if (engine.gone || engine.registered) {
    absences_.erase(rank);
    return;
  }
  const auto [found, added] = absences_.try_emplace(rank, engine.record.incarnation, reactor_.now());
  if (!added && found->second.incarnation != engine.record.incarnation)
    found->second = {engine.record.incarnation, reactor_.now()};
  const Instant certain = found->second.since + options_.drift_margin;
  engine.gone = reactor_.now() >= certain;
  if (!engine.gone) next_judgement_ = std::min(next_judgement_, certain);
}

Task<Result<>> Supervisor::supervise(StoredMap stored, const Engines& engines, Leader leader) {
  std::vector<Rank> refused;
  for (const MapEngine& member : stored.map.engines()) {
    const auto found = engines.find(member.rank);
    const auto targets = used_targets(stored.map, member.rank);
    if (found == engines.end() || !found->second.gone || targets.empty()) continue;
    PoolMap next = stored.map;
    CO_CHECK_OK(next.apply(MapOperation::kExclude, targets));
    if (copies_lacking(next, stored.redundancy) > stored.redundancy) {
      if (refused.size() < kMaxSuspendedRanks) refused.push_back(member.rank);
      continue;
    }
    // One at a time: the event of the change brings the next pass.
    co_return co_await exclude(std::move(stored), std::move(next), found->second, member.rank, leader);
  }
  if (refused != stored.suspended) CO_CHECK_OK(co_await mark_suspended(stored, refused, leader));
  if (stored.active < stored.map.version()) co_return co_await activate(std::move(stored), engines, leader);
  if (stored.map.is_moving()) co_return co_await settle(std::move(stored), leader);
  co_return Result<>();
}

/// Ends a move when every target that should hold data has said that it does.
Task<Result<>> Supervisor::settle(StoredMap stored, Leader leader) {
  const PoolMap& map = stored.map;
  CO_TRY(const auto entries, co_await range_all(coordinator_, moved_prefix(map.pool()), soon()));
  std::map<Rank, std::uint64_t> moved;
  for (const KeyValue& entry : entries) {
    CO_TRY(const Rank rank, rank_of_key(entry.key));
    CO_TRY(const MovedRecord record, decode_moved(entry.value));
    if (record.version == map.version()) moved[rank] = record.targets;
  }
  // Of a pool whose last targets are to leave nothing can leave.
  if (std::ranges::none_of(map.targets(), [&](const MapTarget& target) { return map.is_wanted(target); }))
    co_return Result<>();
  for (const MapTarget& target : map.targets()) {
    if (!map.is_wanted(target)) continue;
    const auto reported = moved.find(map.engines()[target.engine].rank);
    if (reported == moved.end() || (reported->second >> target.index & 1) == 0) co_return Result<>();
  }
  PoolMap next = map;
  CO_CHECK_OK(next.settle(map.version()));
  co_return co_await publish_map(coordinator_, std::move(stored), std::move(next), as_leader(leader), soon());
}

// The engine may come back until the moment of the change, which then fails. Later it gets its part again, unless it
// was to leave anyway.
Task<Result<>> Supervisor::exclude(StoredMap stored, PoolMap next, Engine engine, Rank rank, Leader leader) {
  Transaction also = as_leader(leader);
  also.require(engine_key(rank), engine.record_revision);
  if (!engine.record.ended && !engine.attested) also.require(member_key(rank), Revision(0));
  const bool was_leaving = std::ranges::any_of(used_targets(stored.map, rank), [&](TargetId id) {
    return stored.map.target(id).state == ComponentState::kDraining;
  });
  put_losses(also, stored, was_leaving ? without_losses(stored.losses, {rank}) : with_loss(stored.losses, rank));
  co_return co_await publish_map(coordinator_, std::move(stored), std::move(next), std::move(also), soon());
}

Task<Result<>> Supervisor::mark_suspended(StoredMap stored, std::vector<Rank> ranks, Leader leader) {
  const Uuid pool = stored.map.pool();
  Transaction change = as_leader(leader);
  require_running(change);
  change.require(head_key(pool), stored.head_revision).require(suspended_key(pool), stored.suspended_revision);
  if (ranks.empty()) {
    change.erase(suspended_key(pool));
  } else {
    change.put(suspended_key(pool), encode(SuspendedRecord{.version = stored.map.version(), .ranks = ranks}));
  }
  CO_CHECK_OK(co_await coordinator_.commit(std::move(change), soon()));
  co_return Result<>();
}

/// No engine that serves nothing any more has used a later epoch than that: its clock was that of the wall, as far as
/// these differ, or one of an earlier version's closing epoch on, which each change moves a little. Those that are gone
/// do not say what they used.
Epoch Supervisor::latest_possible(Epoch closed) const {
  constexpr Duration kUsedAhead = std::chrono::milliseconds(10);  // five million changes, two epochs each
  const WallTime now = options_.wall_now ? options_.wall_now() : reactor_.wall_now();
  const auto latest = now.time_since_epoch() + options_.clock_offset_max;
  const auto by_clock = static_cast<std::uint64_t>(std::chrono::duration_cast<Duration>(latest).count());
  return Epoch(std::max(by_clock, closed.value() + static_cast<std::uint64_t>(kUsedAhead.count())));
}

Task<Result<>> Supervisor::activate(StoredMap stored, const Engines& engines, Leader leader) {
  const PoolMap& map = stored.map;
  std::map<Rank, AckRecord> acks;
  CO_TRY(const auto entries, co_await range_all(coordinator_, ack_prefix(map.pool()), soon()));
  for (const KeyValue& entry : entries) {
    CO_TRY(const Rank rank, rank_of_key(entry.key));
    CO_TRY(acks[rank], decode_ack(entry.value));
  }
  Epoch closed = stored.closed;
  bool silent = false;  // an engine is gone and has its part, with what only it has
  for (const MapEngine& member : map.engines()) {
    const auto found = engines.find(member.rank);
    if (found == engines.end()) continue;
    if (found->second.gone) {
      silent = silent || !used_targets(map, member.rank).empty();
      continue;
    }
    const auto ack = acks.find(member.rank);
    // It is waited for: its acknowledgement, its new registration or the end of its lease brings the next pass.
    if (ack == acks.end() || ack->second.incarnation != found->second.record.incarnation ||
        ack->second.version < map.version())
      co_return Result<>();
    closed = std::max(closed, ack->second.used);
  }
  if (silent) closed = latest_possible(closed);
  Transaction change = as_leader(leader);
  require_running(change);
  change.require(head_key(map.pool()), stored.head_revision)
      .require(active_key(map.pool()), stored.active_revision)
      .put(active_key(map.pool()), encode(ActiveRecord{.version = map.version(), .closed = closed}));
  CO_CHECK_OK(co_await coordinator_.commit(std::move(change), soon()));
  co_return Result<>();
}

}  // namespace cenote::cluster
