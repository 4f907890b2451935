#pragma once

#include <algorithm>
#include <limits>
#include <optional>

#include "cenote/protocol/transaction_requests.h"

// What requests are about, for whoever has to know whether two of them have anything in common.
namespace cenote {

/// Records of an array, both ends included.
struct RecordSpan {
  std::uint64_t first = 0;
  std::uint64_t last = std::numeric_limits<std::uint64_t>::max();

  bool overlaps(const RecordSpan& other) const { return first <= other.last && other.first <= last; }
  /// The smallest span that covers both.
  RecordSpan with(const RecordSpan& other) const { return {std::min(first, other.first), std::max(last, other.last)}; }
  bool is_all() const { return *this == RecordSpan{}; }
  friend bool operator==(const RecordSpan&, const RecordSpan&) = default;
};

/// A part of a container: an object, a dkey of it, an akey of that, or some records of its array. With the null object
/// all of the container. The keys are borrowed.
struct Place {
  ObjectId object;
  std::optional<ByteView> dkey = std::nullopt;  ///< none: all of the object
  std::optional<ByteView> akey = std::nullopt;  ///< none: all of the dkey
  RecordSpan records = {};                      ///< all: the akey itself, too
};

/// Whether two places of one container have something in common; neither is the whole container.
inline bool overlap(const Place& one, const Place& other) {
  if (one.object != other.object) return false;
  if (!one.dkey || !other.dkey) return true;
  if (!equal(*one.dkey, *other.dkey)) return false;
  if (!one.akey || !other.akey) return true;
  return one.records.overlaps(other.records) && equal(*one.akey, *other.akey);
}

/// From the first to the last record of all of them; of none: all.
inline RecordSpan span_of(const RecordRanges& ranges) {
  std::optional<RecordSpan> span;
  for (const RecordRange& range : ranges) {
    if (range.count == 0) continue;
    const RecordSpan part{range.first, range.first + (range.count - 1)};
    span = span ? span->with(part) : part;
  }
  return span.value_or(RecordSpan{});
}

// `visit(place)` for all that a request reads or changes, once or more often. Where a condition decides, that is what
// the condition is about. What changes whether something exists is about all of it: a single value, a punch.

template <typename Visit>
void each_place(const UpdateRequest& update, const Visit& visit) {
  if (update.dkey_condition != Precondition::kNone) return visit(Place{update.object, update.dkey});
  for (const AkeyUpdate& akey : update.akeys) {
    const bool whole = akey.kind == ValueKind::kSingle || akey.condition != Precondition::kNone;
    visit(Place{update.object, update.dkey, akey.akey, whole ? RecordSpan{} : span_of(akey.ranges)});
  }
}

template <typename Visit>
void each_place(const PunchRequest& punch, const Visit& visit) {
  if (punch.level == PunchLevel::kObject) return visit(Place{punch.object});
  if (punch.level == PunchLevel::kDkey) return visit(Place{punch.object, punch.dkey});
  for (const KeyBytes& akey : punch.akeys) visit(Place{punch.object, punch.dkey, akey});
}

template <typename Visit>
void each_place(const FetchRequest& fetch, const Visit& visit) {
  if (fetch.dkey_condition != Precondition::kNone) return visit(Place{fetch.object, fetch.dkey});
  for (const AkeyFetch& akey : fetch.akeys) visit(Place{fetch.object, fetch.dkey, akey.akey, span_of(akey.ranges)});
}

template <typename Visit>
void each_place(const ListRequest& list, const Visit& visit) {
  if (list.level == ListLevel::kObjects) return visit(Place{});
  if (list.level == ListLevel::kDkeys) return visit(Place{list.object});
  if (list.level == ListLevel::kAkeys) return visit(Place{list.object, list.dkey});
  visit(Place{list.object, list.dkey, list.akey});
}

template <typename Visit>
void each_place(const QueryRequest& query, const Visit& visit) {
  if (query.dkey.empty()) return visit(Place{query.object});
  visit(Place{query.object, query.dkey, query.akey});
}

template <typename Visit>
void each_place(const CommitRequest& commit, const Visit& visit) {
  for (const UpdateRequest& update : commit.updates) each_place(update, visit);
  for (const PunchRequest& punch : commit.punches) each_place(punch, visit);
  for (const AkeyRead& read : commit.reads) visit(Place{read.object, read.dkey, read.akey, span_of(read.ranges)});
  for (const ListRead& list : commit.lists) each_place(list.request, visit);
  for (const QueryRead& query : commit.queries) each_place(query.request, visit);
}

}  // namespace cenote
