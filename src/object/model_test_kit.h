#pragma once

#include <algorithm>
#include <cstring>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "cenote/protocol/object_requests.h"

namespace cenote::object {

// Arrays lie around a few places, so that writes overlap each other, windows and classes of sizes.
inline constexpr std::uint64_t kPlaces[] = {0, 3000, kArrayWindowBytes - 5000, 3ull * kArrayWindowBytes - 200,
                                            1ull << 40};

/// A versioned object store of the simplest kind: every change ever made, in order, looked through from the start for
/// every question. What ObjectStore must agree with.
class Model {
 public:
  struct Change {
    enum class What : std::uint8_t { kValue, kWrite, kHole, kPunch };
    What what = What::kPunch;
    std::uint64_t epoch = 0;
    RecordRange range;
    Bytes bytes;
    std::uint32_t record_bytes = 0;
  };
  struct Akey {
    std::vector<Change> changes;
  };
  struct Dkey {
    std::vector<std::uint64_t> punches;
    std::map<Bytes, Akey> akeys;
  };
  struct Object {
    std::vector<std::uint64_t> punches;
    std::map<Bytes, Dkey> dkeys;
  };
  std::map<ObjectId, Object> objects;

  /// An akey as a reader at an epoch sees it.
  struct Seen {
    enum class Is : std::uint8_t { kAbsent, kSingle, kArray };
    Is is = Is::kAbsent;
    std::uint32_t record_bytes = 0;
    const Change* value = nullptr;
    std::vector<const Change*> writes;  ///< and holes, oldest first
  };

  Seen see(const ObjectId& object, const Bytes& dkey, const Bytes& akey, std::uint64_t epoch) const {
    const auto o = objects.find(object);
    if (o == objects.end()) return {};
    const auto d = o->second.dkeys.find(dkey);
    if (d == o->second.dkeys.end()) return {};
    const auto a = d->second.akeys.find(akey);
    if (a == d->second.akeys.end()) return {};
    std::uint64_t hidden = std::max(newest(o->second.punches, epoch), newest(d->second.punches, epoch));
    for (const Change& change : a->second.changes)
      if (change.what == Change::What::kPunch && change.epoch <= epoch) hidden = std::max(hidden, change.epoch);
    Seen seen;
    for (const Change& change : a->second.changes) {
      if (change.epoch > epoch || change.epoch <= hidden) continue;
      if (change.what == Change::What::kValue) {
        seen.is = Seen::Is::kSingle;
        seen.value = &change;
      } else {
        seen.is = Seen::Is::kArray;
        if (change.what == Change::What::kWrite) seen.record_bytes = change.record_bytes;
        seen.writes.push_back(&change);
      }
    }
    return seen;
  }

  /// As if nothing newer than `epoch` had ever been done.
  void forget_after(std::uint64_t epoch) {
    const auto newer = [epoch](std::uint64_t punch) { return punch > epoch; };
    for (auto& [id, object] : objects) {
      std::erase_if(object.punches, newer);
      for (auto& [dkey, below] : object.dkeys) {
        std::erase_if(below.punches, newer);
        for (auto& [akey, versions] : below.akeys)
          std::erase_if(versions.changes, [epoch](const Change& change) { return change.epoch > epoch; });
      }
    }
  }

  bool dkey_exists(const ObjectId& object, const Bytes& dkey, std::uint64_t epoch) const {
    const auto o = objects.find(object);
    if (o == objects.end()) return false;
    const auto d = o->second.dkeys.find(dkey);
    if (d == o->second.dkeys.end()) return false;
    return std::ranges::any_of(d->second.akeys, [&](const auto& akey) {
      return see(object, dkey, akey.first, epoch).is != Seen::Is::kAbsent;
    });
  }
  bool object_exists(const ObjectId& object, std::uint64_t epoch) const {
    const auto o = objects.find(object);
    if (o == objects.end()) return false;
    return std::ranges::any_of(o->second.dkeys,
                               [&](const auto& dkey) { return dkey_exists(object, dkey.first, epoch); });
  }

  /// Records [range) of an array: its bytes with zeroes in holes, and the holes. In calls that take whole ranges, since
  /// tests are not optimized and most of a run of the model is spent here.
  static std::pair<Bytes, RecordRanges> read(const Seen& array, RecordRange range) {
    std::pair<Bytes, RecordRanges> result;
    result.first.resize(range.count * array.record_bytes);
    constexpr char kHole = ' ', kWritten = 'w';
    std::string records(range.count, kHole);
    for (const Change* change : array.writes) {
      const std::uint64_t from = std::max(range.first, change->range.first);
      const std::uint64_t to = std::min(range.first + range.count, change->range.first + change->range.count);
      if (from >= to) continue;
      const bool hole = change->what == Change::What::kHole;
      std::memset(records.data() + (from - range.first), hole ? kHole : kWritten, to - from);
      std::byte* const at = result.first.data() + (from - range.first) * array.record_bytes;
      const std::uint64_t bytes = (to - from) * array.record_bytes;
      if (hole) {
        std::memset(at, 0, bytes);
      } else {
        std::memcpy(at, change->bytes.data() + (from - change->range.first) * array.record_bytes, bytes);
      }
    }
    for (std::uint64_t end = 0; end < range.count;) {
      const std::uint64_t first = std::min<std::uint64_t>(records.find(kHole, end), range.count);
      end = std::min<std::uint64_t>(records.find(kWritten, first), range.count);
      if (first < end) result.second.push_back({range.first + first, end - first});
    }
    return result;
  }

  static std::uint64_t newest(const std::vector<std::uint64_t>& punches, std::uint64_t epoch) {
    std::uint64_t found = 0;
    for (std::uint64_t punch : punches)
      if (punch <= epoch) found = std::max(found, punch);
    return found;
  }
};

}  // namespace cenote::object
