#include "record_cache.h"

#include <algorithm>

#include "cenote/base/codec.h"

namespace cenote::posix {

std::string RecordCache::key_of(const Place& place, char kind) {
  std::string key;
  key.reserve(17 + place.dkey.size());
  std::byte object[16];
  store_le(object, place.object.high());
  store_le(object + 8, place.object.low());
  key.append(reinterpret_cast<const char*>(object), sizeof object);
  key.push_back(kind);
  key += place.dkey;
  return key;
}

const RecordCache::Any* RecordCache::find_any(const std::string& key) {
  const auto found = by_key_.find(key);
  if (found != by_key_.end()) {
    const auto kept = found->second;
    if (std::ranges::all_of(kept->leases, &async::Lease::holds)) {
      kept_.splice(kept_.begin(), kept_, kept);
      return &kept->record;
    }
    by_key_.erase(found);
    kept_.erase(kept);
  }
  return nullptr;
}

void RecordCache::put_any(std::string key, Any record, std::vector<async::Lease> leases) {
  if (const auto found = by_key_.find(key); found != by_key_.end()) {
    kept_.erase(found->second);
    by_key_.erase(found);
  }
  if (kept_.size() >= kMaxRecords) {
    by_key_.erase(kept_.back().key);
    kept_.pop_back();
  }
  kept_.push_front({key, std::move(record), std::move(leases)});
  by_key_.emplace(std::move(key), kept_.begin());
}

}  // namespace cenote::posix
