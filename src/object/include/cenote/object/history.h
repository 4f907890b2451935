#pragma once

#include <cstdint>
#include <functional>
#include <optional>

#include "cenote/base/bytes.h"
#include "cenote/base/epoch.h"
#include "cenote/protocol/object_id.h"

namespace cenote::object {

enum class Part : std::uint8_t { kNone, kSome, kAll };

/// Which parts of a container are wanted. Without a dkey: of an object; kSome: ask for each dkey, and take the punches
/// of the object. With one: of that dkey, where kSome is kAll. Asked in an attempt, so it must be quick and always say
/// the same.
using HistoryFilter = std::function<Part(const ObjectId& object, const std::optional<ByteView>& dkey)>;

/// What a copy says all of, beside what is in it: of what is wanted, in the range of a page, the entries up to an
/// epoch. The filter is the one that the page was read with.
struct HistoryCover {
  HistoryFilter wanted;
  Epoch upto;
};

/// Some of the history of a container, in the order of its keys.
struct HistoryPage {
  Bytes entries;              ///< for put_history; may hold none
  Bytes next;                 ///< where the next page begins; empty: this is the last one
  Bytes again;                ///< where this page begins, to read it again
  Bytes resume;               ///< where another walk can begin when this page was put; of the last one: empty
  std::uint64_t bytes = 0;    ///< of data, without that of stubs
  std::uint64_t stubs = 0;    ///< entries whose data is not in the page
  std::uint64_t objects = 0;  ///< that begin in this page
};

/// What of a container's history cannot be read.
struct HistoryDamage {
  Bytes behind;  ///< where to go on; empty: unknown
  Bytes key;     ///< of the entry, in the container's tree; empty: unknown
};

/// Some of the results of requests.
struct ResultsPage {
  Bytes results;
  Bytes next;  ///< empty: this is the last one
};

/// Of what is noted of a copy.
inline constexpr std::size_t kMaxHistoryProgressBytes = 256;

/// What a member of a redundancy group has and does: an incomplete one lacks what was there before it became a member;
/// of those that have all of it some check conditions. The numbers are those of the messages.
enum class Member : std::uint8_t { kComplete = 0, kIncomplete = 1, kChecking = 2 };

}  // namespace cenote::object
