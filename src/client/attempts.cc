// How a request comes to its answer: whom it is sent to, how long that one is waited for, and what follows a failure.

#include <algorithm>

#include "cenote/base/format.h"
#include "cenote/protocol/opcodes.h"
#include "impl.h"
#include "vigil.h"

namespace cenote::async {
namespace {

constexpr Duration kPauseMin = std::chrono::milliseconds(20);
constexpr Duration kPauseMax = std::chrono::seconds(1);
// How long a read waits for an engine while another one could answer: far more than any answer of one that is well
// takes, and in the end enough for one that is busy.
constexpr Duration kPatienceMin = std::chrono::milliseconds(300);
constexpr Duration kPatienceMax = std::chrono::seconds(10);

/// Failures that end by themselves when an engine restarts, has less to do, or has settled what is undecided. None of
/// them tells whether a request took effect that was sent before: only the same id may be tried again.
bool is_passing(const Error& error, const rpc::ReplyInfo& info) {
  switch (error.code()) {
    case Code::kUnreachable:
    case Code::kNotReady:
    case Code::kBusy:
    case Code::kUndecided:
      return true;
    case Code::kStopped:
    case Code::kCancelled:
      return info.received;  // the engine stops, not this client
    default:
      return false;
  }
}

/// Until an engine whose clock is far off has noticed it, and others have taken its place.
constexpr Duration kClockPatience = std::chrono::seconds(12);

/// A server took the request for one that has expired, though there is time left: its clock is off, or the one here.
bool is_of_a_clock(const Error& error, const rpc::ReplyInfo& info, Duration since_begin) {
  return error == Code::kRequestExpired && info.received && since_begin < kClockPatience;
}

/// An engine that was not waited for any longer, as the call ended before its time.
bool is_impatience(const Error& error) {
  return error == Code::kDeadlineExceeded || error == Code::kConnectionLost || error == Code::kRequestExpired;
}

/// Of one copy of the data; the others may be whole.
bool is_of_one_replica(const Error& error) {
  return error == Code::kCorrupt || error == Code::kIoError || error == Code::kDeviceDead;
}

/// At the address of an engine of a pool somebody else answers by now: the next view of the pool has it elsewhere.
bool has_moved(const Error& error, const Destination& destination) {
  return error == Code::kForeign && destination.pool != nullptr && destination.pool->has_several_engines();
}

/// A sending whose answer nobody waits for any more.
struct Left {
  const rpc::Peer* peer;
  std::uint32_t map_version;
};

/// Whether a failure that came from `place` may be the answer to an older sending, of an earlier version of the map: it
/// is then taken for that, once. It does not count (docs/protocols/replication.md, "Retries and failures", rule 2).
///
/// Attempts follow one another, and each ends with the answer to its own sending, but for those that were left for the
/// leader of a newer map. The answer to one of these comes over the connection that it was sent on: nobody hears it
/// there, unless the request has come back to that engine meanwhile, under the same id. A success of it always counts.
bool is_late_failure(std::vector<Left>& left, const PoolRoutes::Place& place) {
  const auto older = std::ranges::find_if(
      left, [&](const Left& sending) { return sending.peer == place.peer && sending.map_version < place.map_version; });
  if (older == left.end()) return false;
  left.erase(older);
  return true;
}

/// The failure of a request that somebody has, who has not answered.
Error unanswered(const Error& error) {
  return {Code::kDeadlineExceeded,
          fmt::format("an engine that was asked before has not answered, so it may have taken effect; then: {}",
                      error.to_string())};
}

}  // namespace

Task<Result<rpc::Reply>> Client::Impl::attempts(Opcode opcode, ByteView body, rpc::BulkSource send,
                                                rpc::BulkSink receive, Destination destination, Until until) {
  if (destination.read) return read(opcode, body, receive, std::move(destination), until);
  return change(opcode, body, send, receive, std::move(destination), until);
}

Task<Result<bool>> Client::Impl::pause_between_attempts(Duration pause, Until until) {
  // Drawn, so that the clients of an engine that restarts do not come back as one.
  const Duration wait =
      pause / 2 + Duration(static_cast<std::int64_t>(reactor.random() % static_cast<std::uint64_t>(pause.count())));
  if (reactor.now() + wait >= until.deadline) co_return false;
  const Result<> waited = co_await closing.wait(until.no_later_than(reactor.now() + wait));
  if (waited) co_return fail(Code::kStopped, "the client is closing");
  if (waited.error() != Code::kDeadlineExceeded) co_return fail(waited.error());
  co_return true;
}

Task<Result<rpc::Reply>> Client::Impl::change(Opcode opcode, ByteView body, rpc::BulkSource send, rpc::BulkSink receive,
                                              Destination destination, Until until) {
  PoolRoutes* const pool = destination.pool;
  // Until the bound, and what the server's clock may be ahead.
  rpc::RequestTicket ticket(session, std::max(until.deadline - reactor.now(), Duration(0)) + rpc::kClockOffsetMax);
  std::vector<Left> left;
  const Instant begun = reactor.now();
  bool answered = true;  // whatever was sent
  for (Duration pause = kPauseMin;; pause = std::min(pause * 2, kPauseMax)) {
    if (destination.is_outdated()) {
      const Error outdated(Code::kStaleMap,
                           fmt::format("pool {} has another map than when this began", pool->pool().to_string()));
      co_return fail(answered && left.empty() ? outdated : unanswered(outdated));
    }
    rpc::ReplyInfo info;
    const std::uint64_t seen = pool == nullptr ? 0 : pool->generation();
    PoolRoutes::Place place{.peer = &engines.any()};
    Result<rpc::Reply> reply = fail(Code::kInternal);
    const auto places = pool == nullptr ? PoolRoutes::Places{place} : destination.resolve();
    if (places) {
      place = places->front();
      Vigil vigil(*this, destination, *place.peer, until);
      const rpc::CallOptions call_options{.until = vigil.until(),
                                          .target = place.target,
                                          .map_version = place.map_version,
                                          .ticket = &ticket,
                                          .info = &info};
      reply = co_await place.peer->call(static_cast<rpc::Opcode>(opcode), body, send, receive, call_options);
      if (vigil.end()) co_await vigil.settle();
      if (vigil.moved() && !reply && !info.received) {
        left.push_back({place.peer, place.map_version});
        continue;
      }
    } else {
      reply = fail(places.error());
    }
    if (reply) co_return reply;
    // kUndecided: it was begun, and may yet take effect.
    const bool sure = info.received && !info.resent && !(reply.error() == Code::kUndecided);
    answered = answered && (sure || !ticket.sent());
    const bool stale = pool != nullptr && reply.error() == Code::kStaleMap;
    const bool passing = stale || is_passing(reply.error(), info) || has_moved(reply.error(), destination) ||
                         is_of_a_clock(reply.error(), info, reactor.now() - begun);
    if (!passing) {
      if (info.received && is_late_failure(left, place)) continue;
      if (!info.received && !left.empty()) co_return fail(unanswered(reply.error()));
      co_return reply;
    }
    if (stale || (pool != nullptr && pool->has_several_engines())) {
      const auto known = pool->share_layout();
      const auto refreshed = co_await refresh(pools.at(pool->pool()), seen, until);
      // A newer map is news enough to try at once.
      if (refreshed && stale && pool->layout().version() > known->version()) continue;
    }
    CO_TRY(const bool again, co_await pause_between_attempts(pause, until));
    if (again) continue;
    if (!left.empty()) co_return fail(unanswered(reply.error()));
    co_return reply;  // says more than that the time is over
  }
}

Task<Result<rpc::Reply>> Client::Impl::read(Opcode opcode, ByteView body, rpc::BulkSink receive,
                                            Destination destination, Until until) {
  PoolRoutes* const pool = destination.pool;
  const bool about_routes = destination.kind == Destination::Kind::kView;
  PoolRoutes::Places tried;  // in this round
  std::size_t damaged = 0;   // of these
  std::optional<Error> damage;
  const Instant begun = reactor.now();
  Duration patience = kPatienceMin;
  Duration pause = kPauseMin;
  for (;;) {
    if (destination.is_outdated())
      co_return failf(Code::kStaleMap, "pool {} has another map than when this began", pool->pool().to_string());
    const std::uint64_t seen = pool->generation();
    const auto places = destination.resolve();
    Result<rpc::Reply> reply = fail(Code::kInternal);
    bool stale = false;
    if (places) {
      const auto untried =
          std::ranges::find_if(*places, [&](const auto& one) { return std::ranges::find(tried, one) == tried.end(); });
      const PoolRoutes::Place place = untried == places->end() ? places->front() : *untried;
      const bool bounded = destination.replicated && (places->size() > 1 || !about_routes);
      const Until until_next = bounded ? until.no_later_than(reactor.now() + patience) : until;
      // Each attempt has an id of its own: what answers one that was given up is nobody's answer.
      rpc::ReplyInfo info;
      const rpc::CallOptions call_options{
          .until = until_next, .target = place.target, .map_version = place.map_version, .info = &info};
      reply = co_await place.peer->call(static_cast<rpc::Opcode>(opcode), body, {}, receive, call_options);
      if (reply) {
        engines.clear(*place.peer);
        if (destination.answered != nullptr) *destination.answered = place;
        co_return reply;
      }
      stale = !about_routes && reply.error() == Code::kStaleMap;
      const bool impatient = bounded && is_impatience(reply.error()) && reactor.now() < until.deadline;
      // An attempt lasts no longer than requests live; what has no effect may be asked again.
      const bool unheard = is_impatience(reply.error()) && !info.received && reactor.now() < until.deadline;
      const bool damaged_here = destination.replicated && is_of_one_replica(reply.error());
      const bool passing = stale || impatient || unheard || damaged_here || is_passing(reply.error(), info) ||
                           has_moved(reply.error(), destination) ||
                           is_of_a_clock(reply.error(), info, reactor.now() - begun);
      if (!passing) co_return reply;
      if (impatient || reply.error() == Code::kUnreachable) engines.suspect(*place.peer);
      tried.push_back(place);
      if (damaged_here) {
        ++damaged;
        damage = reply.error();
      }
      if (!stale && tried.size() < places->size()) continue;  // the next one may answer at once
      // One that does not run may have it whole, as long as it is not excluded.
      if (damaged >= std::max(places->size(), destination.copies())) co_return reply;
    } else {
      reply = fail(places.error());
      if (!is_passing(reply.error(), {})) co_return reply;
    }
    if (stale || (!about_routes && pool->has_several_engines())) {
      const auto known = pool->share_layout();
      const auto refreshed = co_await refresh(pools.at(pool->pool()), seen, until);
      // A newer map is news enough to try at once.
      const bool news = refreshed && pool->layout().version() > known->version();
      if (news) tried.clear(), damaged = 0;
      if (news && stale) continue;
    }
    CO_TRY(const bool again, co_await pause_between_attempts(pause, until));
    if (!again && damage) co_return fail(*damage);
    if (!again) co_return reply;  // says more than that the time is over
    tried.clear();
    damaged = 0;
    pause = std::min(pause * 2, kPauseMax);
    patience = std::min(patience * 2, kPatienceMax);
  }
}

}  // namespace cenote::async
