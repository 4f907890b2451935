#include "sessions.h"

#include "cenote/base/format.h"
#include "cenote/base/uuid.h"

namespace cenote::etcd {

using cluster::Lease;
using cluster::LeaseId;

Sessions::Sessions(Reactor& home, Gateway& gateway, const EtcdOptions& options, Logger logger)
    : home_(home),
      gateway_(gateway),
      options_(options),
      logger_(std::move(logger)),
      making_(home, 1),
      renewals_(home) {}

// The number is ours to choose, so that a grant can be asked for again.
Task<Result<Lease>> Sessions::grant(Duration ttl, Until until) {
  const auto seconds = std::chrono::ceil<std::chrono::seconds>(ttl).count();
  for (;;) {
    const LeaseId id((home_.random() >> 1) | 1);
    const Json request{{"ID", std::to_string(id.value())}, {"TTL", std::to_string(seconds)}};
    auto called = co_await gateway_.call("/v3/lease/grant", request.dump(), until);
    if (!called.answer && called.answer.error() == Code::kExists) {
      // Ours, by an attempt whose answer was lost; or, as rare as anything, somebody else's.
      if (called.uncertain) co_return co_await keep_alive(id, until);
      continue;
    }
    CO_TRY(const Json answer, std::move(called.answer));
    const Duration granted = std::chrono::seconds(number_of(answer, "TTL"));
    if (granted <= Duration(0)) co_return fail(Code::kProtocolError, "etcd grants a lease without a time to live");
    co_return Lease{id, granted, called.sent + granted};
  }
}

Task<Result<Lease>> Sessions::keep_alive(LeaseId lease, Until until) {
  const Json request{{"ID", std::to_string(lease.value())}};
  auto called = co_await gateway_.call("/v3/lease/keepalive", request.dump(), until);
  CO_TRY(const Json answer, std::move(called.answer));
  const Duration ttl = std::chrono::seconds(number_of(answer, "TTL"));
  if (ttl <= Duration(0)) co_return failf(Code::kLeaseExpired, "lease {} has ended", lease.value());
  co_return Lease{lease, ttl, called.sent + ttl};
}

Task<Result<>> Sessions::revoke(LeaseId lease, Until until) {
  const Json request{{"ID", std::to_string(lease.value())}};
  auto called = co_await gateway_.call("/v3/lease/revoke", request.dump(), until);
  if (!called.answer && !(called.answer.error() == Code::kLeaseExpired)) co_return fail(called.answer.error());
  co_return Result<>();
}

Task<Result<std::shared_ptr<Session>>> Sessions::session(Until until) {
  CO_CHECK_OK(co_await making_.acquire(1, until));
  if (session_ != nullptr && !session_->ended) {
    making_.release();
    co_return session_;
  }
  auto lease = co_await grant(options_.session_ttl, until);
  making_.release();
  if (!lease) co_return fail(lease.error().with_context("beginning a session with etcd"));
  const Uuid name = Uuid::from_random(home_.random(), home_.random());
  session_ = std::make_shared<Session>(
      Session{.lease = lease->id, .slots_root = fmt::format("{}s/{}/", options_.root, name.to_string())});
  if (!renewals_.spawn(renew(*this, session_, lease->ttl))) co_return fail(Code::kStopped);
  co_return session_;
}

void Sessions::forget(const std::shared_ptr<Session>& session) { session->ended = true; }

// A third of the time to live: two renewals may fail.
Task<> Sessions::renew(Sessions& self, std::shared_ptr<Session> session, Duration ttl) {
  CancelSource& stopping = self.renewals_.cancel_source();
  while (!session->ended) {
    if (!co_await sleep_for(self.home_, ttl / 3, stopping) || session->ended) co_return;
    const auto renewed = co_await self.keep_alive(session->lease, Until{kNoDeadline, &stopping});
    if (renewed) continue;
    if (self.renewals_.stopping()) co_return;
    if (renewed.error() == Code::kLeaseExpired) session->ended = true;
    self.logger_.warn("session with etcd is not renewed", {{"error", renewed.error()}});
  }
}

Slot Sessions::take_slot(Session& session) {
  if (session.free.empty()) return Slot{.key = fmt::format("{}{}", session.slots_root, session.made++), .last = {}};
  Slot slot = std::move(session.free.back());
  session.free.pop_back();
  return slot;
}

Task<> Sessions::close(Until until) {
  co_await renewals_.stop();
  // What stays behind vanishes with the lease.
  if (session_ != nullptr && !session_->ended) static_cast<void>(co_await revoke(session_->lease, until));
  session_.reset();
}

}  // namespace cenote::etcd
