// Invariants: valid_until_ is at most the time to live after a grant or renewal of the present lease was sent; what is
// in pools_ was read by the present incarnation, after it was registered; `switched` is set only while the data path
// works on that version and no older one.

#include "cenote/cluster/member.h"

#include <algorithm>
#include <optional>

#include "cenote/base/format.h"
#include "cenote/cluster/pool_redundancy.h"
#include "membership_format.h"

namespace cenote::cluster {

/// What the coordinator holds of this engine's earlier registrations.
struct Member::Place {
  Revision engine_revision;
  std::optional<EngineRecord> engine;
  Revision member_revision;
  std::optional<MemberRecord> member;
  LeaseId lease = kNoLease;
  std::optional<Uuid> exited;
};

namespace {

/// How often a change is tried whose answer was lost.
constexpr int kAttempts = 8;

bool is_in(const PoolMap& map, Rank rank) {
  return std::ranges::any_of(map.engines(), [rank](const MapEngine& engine) { return engine.rank == rank; });
}

}  // namespace

Member::Member(Reactor& reactor, Coordinator& coordinator, MapUser& user, MemberOptions options)
    : reactor_(reactor), coordinator_(coordinator), user_(user), options_(std::move(options)), background_(reactor) {
  ASSERT(options_.renew_every < options_.lease_ttl && options_.addresses.size() <= kMaxMemberAddresses);
}

Member::~Member() { ASSERT(background_.running() == 0); }

void Member::start() { background_.spawn(run(*this)); }

Until Member::soon(CancelSource* cancel) const { return {reactor_.now() + options_.call_timeout, cancel}; }

void Member::serve_until(Instant until) {
  // It may have become so while the coordinator was asked; the registration is ended next.
  if (!options_.may_register()) return;
  registered_ = true;
  valid_until_ = until;
  options_.on_lease();
}

void Member::serve_nothing() {
  registered_ = false;
  valid_until_ = Instant::min();
  pools_.clear();
  user_.serve_nothing();
  options_.on_lease();
}

void Member::reconsider() {
  if (registered_ && !options_.may_register()) serve_nothing();
}

bool Member::may_serve(Uuid pool, MapVersion version) const {
  const MemberPool* known = find_pool(pool);
  return may_serve() && known != nullptr && known->has_part && known->switched == version && known->active == version;
}

const MemberPool* Member::find_pool(Uuid pool) const {
  const auto found = pools_.find(pool);
  return found == pools_.end() ? nullptr : &found->second;
}

MapVersion Member::active_version(Uuid pool) const {
  const MemberPool* known = find_pool(pool);
  return known == nullptr ? MapVersion(0) : known->active;
}

MapVersion Member::wanted_version(Uuid pool) const {
  const MemberPool* known = find_pool(pool);
  return known == nullptr ? MapVersion(0) : known->map->version();
}

// One round for each incarnation.
Task<> Member::run(Member& self) {
  CancelSource& stopping = self.background_.cancel_source();
  while (!stopping.cancelled()) {
    const auto enrolled = co_await self.enroll();
    if (!enrolled) {
      self.options_.report(enrolled.error());
      static_cast<void>(co_await sleep_for(self.reactor_, self.options_.retry_pause, stopping));
      continue;
    }
    Scope session(self.reactor_);
    session.spawn(follow(self, session));
    co_await self.renew_until_lost();
    self.serve_nothing();
    co_await session.stop();
    if (stopping.cancelled() || self.options_.may_register()) continue;
    // Nobody has to wait for the end of its lease.
    const auto said = co_await self.say_ended(self.soon(&stopping));
    if (!said) self.options_.report(said.error());
  }
}

Task<Result<Member::Place>> Member::find_place() {
  const Until until = soon(&background_.cancel_source());
  Place place;
  CO_TRY(const auto engine, co_await coordinator_.get(engine_key(options_.rank), until));
  if (engine) {
    place.engine_revision = engine->modified;
    CO_TRY(place.engine, decode_engine(engine->value));
  }
  CO_TRY(const auto member, co_await coordinator_.get(member_key(options_.rank), until));
  if (member) {
    place.member_revision = member->modified;
    place.lease = member->lease;
    CO_TRY(place.member, decode_member(member->value));
  }
  CO_TRY(const auto exited, co_await coordinator_.get(exit_key(options_.rank), until));
  if (exited) {
    CO_TRY(place.exited, decode_exit(exited->value));
  }
  co_return place;
}

// Another process of this engine may still believe in its lease, by a slower clock.
Result<> Member::check_predecessor(const Place& place) {
  if (!place.engine) return {};
  const EngineRecord& last = *place.engine;
  if (last.engine != options_.engine)
    return failf(Code::kForeign, "rank {} belongs to engine {}", options_.rank.value(), last.engine.to_string());
  if (last.process == options_.process || last.ended || options_.predecessor_gone || place.exited == last.process)
    return {};
  if (place.member) {
    predecessor_ = Incarnation(0);
    return failf(Code::kBusy, "incarnation {} of engine {} has a lease", last.incarnation.value(),
                 options_.rank.value());
  }
  if (predecessor_ != last.incarnation) {
    predecessor_ = last.incarnation;
    predecessor_absent_since_ = reactor_.now();
  }
  if (reactor_.now() - predecessor_absent_since_ >= options_.drift_margin) return {};
  return failf(Code::kBusy, "the lease of incarnation {} of engine {} ended just now", last.incarnation.value(),
               options_.rank.value());
}

Task<Result<>> Member::enroll() {
  CO_CHECK_OK(options_.may_register());
  CO_TRY(const Place place, co_await find_place());
  CO_CHECK_OK(check_predecessor(place));
  const Instant sent = reactor_.now();
  CO_TRY(Lease lease, co_await coordinator_.grant_lease(options_.lease_ttl, soon(&background_.cancel_source())));
  lease.valid_until = sent + lease.ttl;
  // The lease of a registration that failed ends by itself: it may have taken effect, and the next one of this process
  // takes it over.
  co_return co_await register_under(lease);
}

Task<Result<>> Member::register_under(Lease lease) {
  for (int attempt = 0; attempt < kAttempts; ++attempt) {
    CO_TRY(const Place place, co_await find_place());
    if (place.member && place.lease == lease.id) {
      lease_ = lease.id;
      incarnation_ = place.member->incarnation;
      serve_until(lease.valid_until);
      co_return Result<>();
    }
    CO_CHECK_OK(check_predecessor(place));
    const Incarnation next(place.engine ? place.engine->incarnation.value() + 1 : 1);
    Transaction change;
    change.require(engine_key(options_.rank), place.engine_revision)
        .require(member_key(options_.rank), place.member_revision)
        .put(engine_key(options_.rank),
             encode(EngineRecord{.incarnation = next, .engine = options_.engine, .process = options_.process}))
        .put(member_key(options_.rank),
             encode(MemberRecord{.incarnation = next,
                                 .process = options_.process,
                                 .addresses = options_.addresses,
                                 .control_address = options_.control_address,
                                 .fault_domain = options_.fault_domain}),
             lease.id);
    const auto done = co_await coordinator_.commit(std::move(change), soon(&background_.cancel_source()));
    // Whatever became of it is read in the next round.
    if (!done && !(done.error() == Code::kConditionFailed) && !(done.error() == Code::kOutcomeUnknown))
      co_return fail(done.error());
  }
  co_return fail(Code::kUnreachable, "the answers to the registration were lost");
}

// Only the coordinator knows that a lease has ended: one that is valid no longer here may still be renewed, and then no
// one has been told that this incarnation was gone.
Task<> Member::renew_until_lost() {
  CancelSource& stopping = background_.cancel_source();
  Duration pause = options_.renew_every;
  while (co_await sleep_for(reactor_, pause, stopping)) {
    if (!options_.may_register()) co_return;
    const Instant sent = reactor_.now();
    const auto renewed = co_await coordinator_.keep_alive(lease_, soon(&stopping));
    if (stopping.cancelled()) co_return;
    if (renewed) {
      serve_until(sent + renewed->ttl);
      pause = std::max(sent + options_.renew_every - reactor_.now(), Duration(1));
      continue;
    }
    options_.report(renewed.error());
    if (renewed.error() == Code::kLeaseExpired) co_return;
    pause = options_.retry_pause;
  }
}

Task<> Member::follow(Member& self, Scope& session) {
  while (!session.stopping()) {
    const auto followed = co_await self.follow_from_now(session);
    if (session.stopping()) co_return;
    if (!followed) self.options_.report(followed.error());
    static_cast<void>(co_await sleep_for(self.reactor_, self.options_.retry_pause, session.cancel_source()));
  }
}

// What happens after `from` wakes the watch, also what happens while everything is read.
Task<Result<>> Member::follow_from_now(Scope& session) {
  CO_TRY(const Revision from, co_await coordinator_.revision(soon(&session.cancel_source())));
  // First: nothing is served by who does not know whether the system is stopped.
  CO_CHECK_OK(co_await refresh_stop(session));
  CO_TRY(const auto pools, co_await list_stored_maps(coordinator_, soon(&session.cancel_source())));
  for (const Uuid& pool : pools) CO_CHECK_OK(co_await refresh(pool, session));
  CO_TRY(StoredMapWatch watch, StoredMapWatch::open(coordinator_, from));
  for (;;) {
    CO_TRY(auto changed, co_await watch.next({kNoDeadline, &session.cancel_source()}));
    if (watch.stop_changed()) {
      CO_CHECK_OK(co_await refresh_stop(session));
      // Whether their data moves depends on it.
      for (const auto& [pool, known] : pools_) changed.insert(pool);
    }
    for (const Uuid& pool : changed) CO_CHECK_OK(co_await refresh(pool, session));
  }
}

Task<Result<>> Member::refresh_stop(Scope& session) {
  const std::optional<SystemStop> before = stopped_;
  CO_TRY(stopped_, co_await load_stop(coordinator_, soon(&session.cancel_source())));
  CO_CHECK_OK(co_await user_.hold_clients(stopped_.has_value()));
  if (stopped_ != before) options_.on_stop();
  // What had been asked for may have to wait for others, and the system may go on meanwhile.
  if (!stopped_ || quiet_awaited_ == std::pair(lease_, stopped_->revision)) co_return Result<>();
  if (!session.spawn(await_quiet(*this, *stopped_, session))) co_return fail(Code::kCancelled);
  quiet_awaited_ = {lease_, stopped_->revision};
  co_return Result<>();
}

Task<> Member::await_quiet(Member& self, SystemStop stop, Scope& session) {
  while (self.stopped_ == stop && !session.stopping()) {
    const auto quiet = co_await self.user_.await_quiet({kNoDeadline, &session.cancel_source()});
    if (!quiet || self.stopped_ != stop) co_return;
    const auto said = co_await self.say_quiet(stop, session);
    if (said || session.stopping()) co_return;
    self.options_.report(said.error());
    static_cast<void>(co_await sleep_for(self.reactor_, self.options_.retry_pause, session.cancel_source()));
  }
}

// One whose answer was lost may take effect late: it must not undo what is said of a later stop.
Task<Result<>> Member::say_quiet(SystemStop stop, Scope& session) {
  const std::string key = quiet_key(options_.rank);
  const QuietRecord wanted{.incarnation = incarnation_, .stop = stop.revision};
  CO_TRY(const auto entry, co_await coordinator_.get(key, soon(&session.cancel_source())));
  if (entry && entry->lease == lease_) {
    CO_TRY(const QuietRecord found, decode_quiet(entry->value));
    if (found == wanted) co_return Result<>();
  }
  Transaction change;
  change.require(key, entry ? entry->modified : Revision(0)).put(key, encode(wanted), lease_);
  CO_CHECK_OK(co_await coordinator_.commit(std::move(change), soon(&session.cancel_source())));
  co_return Result<>();
}

Task<Result<>> Member::refresh(Uuid pool, Scope& session) {
  CO_TRY(auto stored, co_await load_stored_map(coordinator_, pool, soon(&session.cancel_source())));
  if (session.stopping()) co_return fail(Code::kCancelled);
  if (!stored || !is_in(stored->map, options_.rank)) {
    pools_.erase(pool);
    user_.drop(pool);
    co_return Result<>();
  }
  const MapVersion version = stored->map.version();
  const auto known = pools_.find(pool);
  if (known == pools_.end() || known->second.switched != version) {
    // Nothing of the pool is served from here on until the data path works on the new version.
    const auto map = std::make_shared<const PoolMap>(std::move(stored->map));
    pools_[pool] = {.map = map,
                    .switched = MapVersion(0),
                    .active = stored->active,
                    .redundancy = stored->redundancy,
                    .suspended = stored->suspended};
    CO_TRY(const Epoch used,
           co_await user_.switch_to(map, stored->redundancy, {kNoDeadline, &session.cancel_source()}));
    co_await user_.remember(stored->head_revision);
    CO_CHECK_OK(co_await acknowledge(pool, version, used, session));
    // A stop forgets the pools before it ends the session.
    const auto switched = pools_.find(pool);
    if (session.stopping() || switched == pools_.end()) co_return fail(Code::kCancelled);
    switched->second.has_part = !used_targets(*map, options_.rank).empty();
    switched->second.switched = version;
  }
  MemberPool& current = pools_.at(pool);
  current.active = stored->active;
  current.suspended = std::move(stored->suspended);
  user_.pause_moves(pool, stored->paused || stopped_.has_value());
  if (current.has_part && current.active == version) user_.serve(pool, stored->closed);
  co_return Result<>();
}

// An acknowledgement whose answer was lost may take effect late: it must not undo a later one.
Task<Result<>> Member::acknowledge(Uuid pool, MapVersion version, Epoch used, Scope& session) {
  const std::string key = ack_key(pool, options_.rank);
  const AckRecord wanted{.incarnation = incarnation_, .version = version, .used = used};
  for (int attempt = 0; attempt < kAttempts; ++attempt) {
    CO_TRY(const auto entry, co_await coordinator_.get(key, soon(&session.cancel_source())));
    if (entry && entry->lease == lease_) {
      CO_TRY(const AckRecord found, decode_ack(entry->value));
      if (found == wanted) co_return Result<>();
    }
    Transaction change;
    change.require(key, entry ? entry->modified : Revision(0)).put(key, encode(wanted), lease_);
    const auto done = co_await coordinator_.commit(std::move(change), soon(&session.cancel_source()));
    if (done) co_return Result<>();
    if (!(done.error() == Code::kConditionFailed) && !(done.error() == Code::kOutcomeUnknown))
      co_return fail(done.error());
  }
  co_return fail(Code::kUnreachable, "the answers to the acknowledgement of a map were lost");
}

Task<> Member::stop(Until until) {
  serve_nothing();
  co_await background_.stop();
  serve_nothing();
  const auto said = co_await say_ended(until);
  if (!said) options_.report(said.error());
}

// Whoever reads the record knows that this incarnation serves nothing: `stop` has seen to that before.
Task<Result<>> Member::say_ended(Until until) {
  if (lease_ == kNoLease) co_return Result<>();
  CO_TRY(const auto entry, co_await coordinator_.get(engine_key(options_.rank), until));
  if (entry) {
    CO_TRY(EngineRecord record, decode_engine(entry->value));
    if (record.process == options_.process && !record.ended) {
      record.ended = true;
      Transaction change;
      change.require(entry->key, entry->modified).put(entry->key, encode(record));
      CO_CHECK_OK(co_await coordinator_.commit(std::move(change), until));
    }
  }
  co_return co_await coordinator_.revoke_lease(lease_, until);
}

Task<Result<>> attest_exit(Coordinator& coordinator, Rank rank, Uuid process, Until until) {
  CO_CHECK_OK(co_await coordinator.commit(Transaction().put(exit_key(rank), encode_exit(process)), until));
  co_return Result<>();
}

std::string candidate_name(Rank rank, Uuid process) {
  return fmt::format("engine {}, process {}", rank.value(), process.to_string());
}

namespace {

/// With its leases go the posts that a process holds.
Task<Result<>> end_leases(Coordinator& coordinator, Rank rank, Uuid process, Until until) {
  CO_TRY(const auto member, co_await coordinator.get(member_key(rank), until));
  if (member) {
    CO_TRY(const MemberRecord record, decode_member(member->value));
    if (record.process == process) CO_CHECK_OK(co_await coordinator.revoke_lease(member->lease, until));
  }
  CO_TRY(const auto supervisor, co_await coordinator.get(std::string(kSupervisorKey), until));
  if (supervisor && supervisor->value == candidate_name(rank, process))
    CO_CHECK_OK(co_await coordinator.revoke_lease(supervisor->lease, until));
  co_return Result<>();
}

}  // namespace

Task<Result<bool>> attest_exit(Coordinator& coordinator, Uuid process, Until until) {
  CO_TRY(const auto engines, co_await range_all(coordinator, std::string(kEnginePrefix), until));
  for (const KeyValue& entry : engines) {
    CO_TRY(const EngineRecord engine, decode_engine(entry.value));
    if (engine.process != process) continue;
    if (engine.ended) co_return false;
    CO_TRY(const Rank rank, rank_of_key(entry.key));
    CO_CHECK_OK(co_await attest_exit(coordinator, rank, process, until));
    CO_CHECK_OK(co_await end_leases(coordinator, rank, process, until));
    co_return true;
  }
  co_return false;
}

}  // namespace cenote::cluster
