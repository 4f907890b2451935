#include <algorithm>

#include "cenote/rpc/session.h"

namespace cenote::rpc {
namespace {

SessionId draw_session_id(Reactor& reactor) {
  std::uint64_t id = 0;
  while (id == 0) id = reactor.random();
  return SessionId(id);
}

}  // namespace

RequestTicket::RequestTicket(ClientSession& session, Duration lifetime)
    : session_(session),
      sequence_(++session.last_sequence_),
      expiry_(session.reactor_.wall_now() + std::clamp(lifetime, Duration(0), kRequestLifetimeMax)) {
  session.open_.push_back(*this);
}

RequestTicket::~RequestTicket() { session_.end(*this); }

SessionId RequestTicket::session() const { return session_.id(); }

ClientSession::ClientSession(Reactor& reactor, Options options)
    : ClientSession(reactor, std::move(options), draw_session_id(reactor)) {}

ClientSession::ClientSession(Reactor& reactor, Options options, SessionId id)
    : reactor_(reactor), options_(std::move(options)), id_(id), last_sequence_(options_.first_sequence - 1) {
  ASSERT(id.value() != 0 && options_.first_sequence != 0);
}

ClientSession::~ClientSession() { ASSERT(open_.empty()); }

Sequence ClientSession::acknowledged() const {
  // The list is in order, so nothing before its first is open.
  RequestTicket* oldest = const_cast<ClientSession*>(this)->open_.front();
  return oldest == nullptr ? Sequence(last_sequence_) : Sequence(oldest->sequence().value() - 1);
}

void ClientSession::end(RequestTicket& ticket) {
  const bool oldest = open_.front() == &ticket;
  ticket.unlink();
  if (oldest) return;  // covered by acknowledged()
  if (ended_.empty()) ended_.resize(kEndedKept);
  ended_[ended_count_++ % kEndedKept] = ticket.sequence().value();
}

void ClientSession::collect_ended(std::uint64_t& cursor, std::size_t limit, std::vector<std::uint64_t>& into) const {
  if (ended_count_ > kEndedKept) cursor = std::max(cursor, ended_count_ - kEndedKept);
  const std::uint64_t up_to = acknowledged().value();
  for (; cursor < ended_count_ && into.size() < limit; ++cursor) {
    const std::uint64_t sequence = ended_[cursor % kEndedKept];
    if (sequence > up_to) into.push_back(sequence);
  }
}

}  // namespace cenote::rpc
