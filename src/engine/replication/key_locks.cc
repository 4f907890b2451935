#include "key_locks.h"

#include <algorithm>

#include "cenote/base/checksum.h"
#include "cenote/base/codec.h"

namespace cenote::engine {
namespace {

using Wanted = KeyLocks::Wanted;

std::uint64_t hash_of(const Uuid& container, const ObjectId& object) {
  std::byte bytes[16];
  store_le(bytes, object.high());
  store_le(bytes + 8, object.low());
  return hash64(container.bytes(), hash64(bytes));
}

/// The place, and a share of what it is in.
void add(const Uuid& container, const Place& place, std::vector<Wanted>& wanted) {
  const std::uint64_t object = hash_of(container, place.object);
  wanted.push_back({.place = object, .shared = place.dkey.has_value()});
  if (!place.dkey) return;
  const std::uint64_t dkey = hash64(*place.dkey, object);
  wanted.push_back({.place = dkey, .shared = place.akey.has_value()});
  if (!place.akey) return;
  wanted.push_back({.place = hash64(*place.akey, dkey), .records = place.records});
}

bool conflicts(const std::vector<Wanted>& held, const Wanted& wanted) {
  return std::ranges::any_of(held, [&wanted](const Wanted& other) { return wanted.conflicts(other); });
}

}  // namespace

std::vector<Wanted> KeyLocks::wanted_by(const CommitRequest& request, Arrays arrays) {
  std::vector<Wanted> all;
  each_place(request, [&](const Place& place) { add(request.container, place, all); });
  if (arrays == Arrays::kMayBeBorn) {
    for (const UpdateRequest& update : request.updates)
      for (const AkeyUpdate& akey : update.akeys)
        add(request.container, {update.object, update.dkey.view(), akey.akey.view()}, all);
  }
  std::ranges::sort(all, {}, &Wanted::place);
  std::vector<Wanted> wanted;
  for (const Wanted& next : all) {
    if (wanted.empty() || wanted.back().place != next.place) {
      wanted.push_back(next);
      continue;
    }
    wanted.back().shared = wanted.back().shared && next.shared;
    wanted.back().records = wanted.back().records.with(next.records);
  }
  return wanted;
}

KeyLocks::Held::~Held() {
  for (std::size_t i = 0; i < held_; ++i) locks_.release(wanted_[i]);
}

Task<Result<>> KeyLocks::Held::acquire(Until until) {
  for (const Wanted& wanted : wanted_) {
    CO_CHECK_OK(co_await locks_.acquire(wanted, until));
    ++held_;
  }
  co_return Result<>();
}

Task<Result<>> KeyLocks::acquire(const Wanted& wanted, Until until) {
  const auto at = locks_.try_emplace(wanted.place).first;
  Lock& lock = at->second;  // stays where it is as long as somebody waits or holds
  const bool behind =
      std::ranges::any_of(lock.waiting, [&](const Request* other) { return wanted.conflicts(other->wanted); });
  if (!behind && !conflicts(lock.held, wanted)) {
    lock.held.push_back(wanted);
    co_return Result<>();
  }
  Request request(reactor_, wanted);
  lock.waiting.push_back(&request);
  const auto waited = co_await request.granted.wait(until);
  if (request.granted.is_set()) co_return Result<>();
  std::erase(lock.waiting, &request);
  grant(locks_.find(wanted.place));
  co_return waited;
}

void KeyLocks::release(const Wanted& wanted) {
  const auto at = locks_.find(wanted.place);
  ASSERT(at != locks_.end());
  std::vector<Wanted>& held = at->second.held;
  const auto own = std::ranges::find(held, wanted);
  ASSERT(own != held.end());
  *own = held.back();
  held.pop_back();
  grant(at);
}

void KeyLocks::grant(Locks::iterator at) {
  Lock& lock = at->second;
  std::vector<Request*> still;
  for (Request* request : lock.waiting) {
    const bool behind = std::ranges::any_of(
        still, [request](const Request* other) { return request->wanted.conflicts(other->wanted); });
    if (behind || conflicts(lock.held, request->wanted)) {
      still.push_back(request);
    } else {
      lock.held.push_back(request->wanted);
      request->granted.set();
    }
  }
  lock.waiting = std::move(still);
  if (lock.held.empty() && lock.waiting.empty()) locks_.erase(at);
}

}  // namespace cenote::engine
