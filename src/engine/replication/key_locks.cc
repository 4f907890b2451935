#include "key_locks.h"

#include <algorithm>
#include <map>

#include "cenote/base/checksum.h"
#include "cenote/base/codec.h"

namespace cenote::engine {
namespace {

std::uint64_t place_of(const Uuid& container, const ObjectId& object) {
  std::byte bytes[16];
  store_le(bytes, object.high());
  store_le(bytes + 8, object.low());
  return hash64(container.bytes(), hash64(bytes));
}

}  // namespace

std::vector<KeyLocks::Wanted> KeyLocks::wanted_by(const CommitRequest& request) {
  std::map<std::uint64_t, bool> places;
  const auto add = [&](const ObjectId& object, bool whole, ByteView dkey) {
    const std::uint64_t place = place_of(request.container, object);
    places[place] = places[place] || whole;
    if (!whole) places[hash64(dkey, place)] = true;
  };
  for (const UpdateRequest& update : request.updates) add(update.object, false, update.dkey);
  for (const PunchRequest& punch : request.punches) add(punch.object, punch.level == PunchLevel::kObject, punch.dkey);
  for (const AkeyRead& read : request.reads) add(read.object, false, read.dkey);
  for (const ListRead& list : request.lists)
    add(list.request.object, list.request.level <= ListLevel::kDkeys, list.request.dkey);
  for (const QueryRead& query : request.queries)
    add(query.request.object, query.request.dkey.empty(), query.request.dkey);
  std::vector<Wanted> wanted;
  for (const auto& [place, alone] : places) wanted.push_back({place, alone});
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

void KeyLocks::take(Lock& lock, bool alone) {
  if (alone) {
    lock.alone = true;
  } else {
    ++lock.shared;
  }
}

void KeyLocks::grant(Lock& lock) {
  bool any = false;
  while (!lock.waiting.empty() && lock.fits(lock.waiting.front()->alone)) {
    Request& request = *lock.waiting.front();
    lock.waiting.pop_front();
    take(lock, request.alone);
    request.granted = any = true;
  }
  if (any) lock.changed.notify_all();
}

Task<Result<>> KeyLocks::acquire(Wanted wanted, Until until) {
  Lock& lock = locks_.try_emplace(wanted.place, reactor_).first->second;
  if (lock.waiting.empty() && lock.fits(wanted.alone)) {
    take(lock, wanted.alone);
    co_return Result<>();
  }
  Request request{.alone = wanted.alone};
  lock.waiting.push_back(&request);
  while (!request.granted) {
    const auto waited = co_await lock.changed.wait(until);
    if (waited || request.granted) continue;
    lock.waiting.erase(std::ranges::find(lock.waiting, &request));
    grant(lock);
    drop_if_idle(wanted.place);
    co_return waited;
  }
  co_return Result<>();
}

void KeyLocks::release(Wanted wanted) {
  const auto found = locks_.find(wanted.place);
  ASSERT(found != locks_.end());
  Lock& lock = found->second;
  if (wanted.alone) {
    lock.alone = false;
  } else {
    --lock.shared;
  }
  grant(lock);
  drop_if_idle(wanted.place);
}

void KeyLocks::drop_if_idle(std::uint64_t place) {
  const auto found = locks_.find(place);
  if (found != locks_.end() && found->second.idle()) locks_.erase(found);
}

}  // namespace cenote::engine
