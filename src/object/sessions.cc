#include "sessions.h"

#include <algorithm>

#include "cenote/base/format.h"

namespace cenote::object {

const Sessions::Session* Sessions::find(std::uint64_t session) const {
  const auto found = sessions_.find(session);
  return found == sessions_.end() ? nullptr : &found->second;
}

Result<std::optional<Sessions::Known>> Sessions::check(const RequestId& id, WallTime now) const {
  if (id.session == 0) return std::optional<Known>();
  if (id.acknowledged >= id.sequence)
    return failf(Code::kInvalidArgument, "request {}: acknowledges its own answer", id.sequence);
  const Session* session = find(id.session);
  if (session != nullptr) {
    if (id.sequence <= session->acknowledged)
      return failf(Code::kRequestExpired, "request {}: its answer was acknowledged already", id.sequence);
    const auto found = std::ranges::lower_bound(session->results, id.sequence, {}, &Kept::sequence);
    // Before the expiry: a result that is still known is a better answer than a refusal.
    if (found != session->results.end() && found->sequence == id.sequence) return Known{found->epoch, found->lsn};
  }
  if (id.expiry <= now) return failf(Code::kRequestExpired, "request {}: arrived after its expiry", id.sequence);
  if (id.expiry - now > kMaxRequestLifetime + limits_.clock_offset)
    // As rpc does, which let it pass: one of the two clocks has jumped since.
    return failf(Code::kRequestExpired, "request {}: expires more than {} s ahead", id.sequence,
                 std::chrono::duration_cast<std::chrono::seconds>(kMaxRequestLifetime).count());
  if (session != nullptr && session->results.size() >= limits_.unacknowledged)
    return failf(Code::kResourceExhausted, "session has {} answers that it did not acknowledge",
                 session->results.size());
  return std::optional<Known>();
}

bool Sessions::knows(const RequestId& id) const {
  const Session* session = find(id.session);
  if (session == nullptr) return false;
  const auto found = std::ranges::lower_bound(session->results, id.sequence, {}, &Kept::sequence);
  return found != session->results.end() && found->sequence == id.sequence;
}

std::size_t Sessions::acknowledged_results(const Session& session, std::uint64_t acknowledged) {
  std::size_t count = 0;
  while (count < kErasedPerRequest && count < session.results.size() && session.results[count].sequence <= acknowledged)
    ++count;
  return count;
}

void Sessions::record(const RequestId& id, Epoch epoch, store::TreeId tree, store::Batch& batch) {
  if (id.session == 0) return;
  RequestRecord record{.epoch = epoch, .expiry = id.expiry, .keep_until = id.expiry, .acknowledged = id.acknowledged};
  if (const Session* session = find(id.session)) {
    record.keep_until = std::max(record.keep_until, session->keep_until);
    record.acknowledged = std::max(record.acknowledged, session->acknowledged);
    const std::size_t count = acknowledged_results(*session, record.acknowledged);
    for (std::size_t i = 0; i < count; ++i) batch.erase(tree, request_key(id.session, session->results[i].sequence));
  }
  batch.put(tree, request_key(id.session, id.sequence), encode_request(record));
}

void Sessions::applied(const RequestId& id, Epoch epoch, store::Lsn lsn) {
  if (id.session == 0) return;
  Session& session = sessions_[id.session];
  session.acknowledged = std::max(session.acknowledged, id.acknowledged);
  session.keep_until = std::max(session.keep_until, id.expiry);
  session.last_put = id.sequence;
  const std::size_t erased = acknowledged_results(session, session.acknowledged);
  session.results.erase(session.results.begin(), session.results.begin() + static_cast<std::ptrdiff_t>(erased));
  const auto at = std::ranges::lower_bound(session.results, id.sequence, {}, &Kept::sequence);
  session.results.insert(at, {id.sequence, id.expiry, epoch, lsn});
  results_ = results_ + 1 - erased;
}

std::vector<RequestKey> Sessions::reclaim(WallTime now, std::uint32_t limit, store::TreeId tree,
                                          store::Batch& batch) const {
  std::vector<RequestKey> keys;
  for (const auto& [id, session] : sessions_) {
    const bool over = session.keep_until + limits_.clock_offset < now;
    for (const Kept& kept : session.results) {
      if (keys.size() >= limit) return keys;
      const bool expired = kept.expiry + limits_.clock_offset < now || kept.sequence <= session.acknowledged;
      if (!expired || (kept.sequence == session.last_put && !(over && session.results.size() == 1))) continue;
      batch.erase(tree, request_key(id, kept.sequence));
      keys.push_back({id, kept.sequence});
    }
  }
  return keys;
}

void Sessions::reclaimed(const std::vector<RequestKey>& keys) {
  for (const RequestKey& key : keys) {
    const auto found = sessions_.find(key.session);
    ASSERT(found != sessions_.end());
    auto& results = found->second.results;
    const auto at = std::ranges::lower_bound(results, key.sequence, {}, &Kept::sequence);
    ASSERT(at != results.end() && at->sequence == key.sequence);
    results.erase(at);
    --results_;
    if (results.empty()) sessions_.erase(found);
  }
}

std::optional<store::Lsn> Sessions::find_taken(const RequestKey& key) const {
  const Session* session = find(key.session);
  if (session == nullptr) return std::nullopt;
  const auto found = std::ranges::lower_bound(session->results, key.sequence, {}, &Kept::sequence);
  if (found != session->results.end() && found->sequence == key.sequence) return found->lsn;
  if (key.sequence <= session->acknowledged) return store::Lsn();
  return std::nullopt;
}

RequestRecord Sessions::merged(const RequestKey& key, RequestRecord record) const {
  if (const Session* session = find(key.session)) {
    record.keep_until = std::max(record.keep_until, session->keep_until);
    record.acknowledged = std::max(record.acknowledged, session->acknowledged);
  }
  return record;
}

void Sessions::take(const RequestKey& key, const RequestRecord& record, store::Lsn lsn) {
  load(key, record);
  Session& session = sessions_[key.session];
  session.last_put = key.sequence;
  std::ranges::lower_bound(session.results, key.sequence, {}, &Kept::sequence)->lsn = lsn;
}

void Sessions::load(const RequestKey& key, const RequestRecord& record) {
  Session& session = sessions_[key.session];
  // Both numbers only grow, so the entry with the highest of both was put last (or says the same).
  if (record.acknowledged > session.acknowledged ||
      (record.acknowledged == session.acknowledged && record.keep_until >= session.keep_until))
    session.last_put = key.sequence;
  session.acknowledged = std::max(session.acknowledged, record.acknowledged);
  session.keep_until = std::max(session.keep_until, record.keep_until);
  const auto at = std::ranges::lower_bound(session.results, key.sequence, {}, &Kept::sequence);
  session.results.insert(at, {key.sequence, record.expiry, record.epoch, store::Lsn()});
  ++results_;
}

void Sessions::check_invariants() const {
  std::size_t results = 0;
  for (const auto& [id, session] : sessions_) {
    ASSERT(!session.results.empty());
    ASSERT(std::ranges::is_sorted(session.results, std::ranges::less_equal{}, &Kept::sequence));  // strictly
    const auto last = std::ranges::lower_bound(session.results, session.last_put, {}, &Kept::sequence);
    ASSERT(last != session.results.end() && last->sequence == session.last_put);
    results += session.results.size();
  }
  ASSERT(results == results_);
}

}  // namespace cenote::object
