#include "lease_table.h"

#include <algorithm>

#include "cenote/base/format.h"

namespace cenote::cluster {

Result<> LeaseTable::grant(LeaseId lease, Duration ttl, Instant now) {
  if (leases_.size() >= kMaxLeases) return failf(Code::kResourceExhausted, "there are {} leases already", kMaxLeases);
  if (lease == kNoLease || !leases_.emplace(lease, State{ttl, now + ttl}).second) return fail(Code::kExists);
  return {};
}

Result<> LeaseTable::check(LeaseId lease, Instant now) const {
  const auto found = leases_.find(lease);
  if (found != leases_.end() && !found->second.ended && now < found->second.ends) return {};
  return failf(Code::kLeaseExpired, "lease {} has ended", lease.value());
}

Result<Duration> LeaseTable::renew(LeaseId lease, Instant now) {
  CHECK_OK(check(lease, now));
  State& state = leases_.at(lease);
  state.ends = now + state.ttl;
  return state.ttl;
}

bool LeaseTable::end(LeaseId lease) {
  const auto found = leases_.find(lease);
  if (found == leases_.end()) return false;
  found->second.ended = true;
  return true;
}

void LeaseTable::attach(const std::string& key, LeaseId lease) {
  const auto held = holders_.find(key);
  if (held != holders_.end()) {
    leases_.at(held->second).keys.erase(key);
    holders_.erase(held);
  }
  if (lease == kNoLease) return;
  leases_.at(lease).keys.insert(key);
  holders_.emplace(key, lease);
}

LeaseId LeaseTable::holder(const std::string& key) const {
  const auto held = holders_.find(key);
  return held == holders_.end() ? kNoLease : held->second;
}

std::vector<std::string> LeaseTable::keys(LeaseId lease, std::size_t limit) const {
  const auto found = leases_.find(lease);
  if (found == leases_.end()) return {};
  const auto& all = found->second.keys;
  const auto count = static_cast<std::ptrdiff_t>(std::min(limit, all.size()));
  return {all.begin(), std::next(all.begin(), count)};
}

void LeaseTable::drop(LeaseId lease) {
  const auto found = leases_.find(lease);
  if (found == leases_.end()) return;
  ASSERT(found->second.keys.empty());
  leases_.erase(found);
}

Instant LeaseTable::next_end() const {
  Instant next = kNoDeadline;
  for (const auto& [id, state] : leases_) {
    if (!state.ended) next = std::min(next, state.ends);
  }
  return next;
}

LeaseId LeaseTable::ending(Instant now) const {
  for (const auto& [id, state] : leases_) {
    if (state.ended || state.ends <= now) return id;
  }
  return kNoLease;
}

void LeaseTable::check_invariants() const {
  std::size_t held = 0;
  for (const auto& [id, state] : leases_) {
    held += state.keys.size();
    for (const std::string& key : state.keys) ASSERT(holder(key) == id);
  }
  ASSERT(held == holders_.size());
}

}  // namespace cenote::cluster
