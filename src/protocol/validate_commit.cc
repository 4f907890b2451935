#include <algorithm>
#include <cstring>
#include <functional>
#include <map>
#include <set>

#include "cenote/base/format.h"
#include "cenote/protocol/transaction_requests.h"
#include "wire.h"

namespace cenote {
namespace {

using wire::check_limit;

int compare(ByteView a, ByteView b) {
  const std::size_t common = std::min(a.size(), b.size());
  const int order = common == 0 ? 0 : std::memcmp(a.data(), b.data(), common);
  if (order != 0) return order;
  return a.size() < b.size() ? -1 : a.size() > b.size() ? 1 : 0;
}

/// Names an object, or a dkey or an akey below it: no name of one is a name of another. Refers to the request's keys,
/// as every commit makes some, three times on its way.
struct Path {
  ObjectId object;
  unsigned keys = 0;
  ByteView dkey{}, akey{};

  friend bool operator<(const Path& a, const Path& b) {
    if (a.object != b.object) return a.object < b.object;
    if (a.keys != b.keys) return a.keys < b.keys;
    const int order = compare(a.dkey, b.dkey);
    return order != 0 ? order < 0 : compare(a.akey, b.akey) < 0;
  }
  friend bool operator==(const Path& a, const Path& b) { return !(a < b) && !(b < a); }
};

Path path_of(const ObjectId& object) { return {.object = object}; }
Path path_of(const ObjectId& object, ByteView dkey) { return {.object = object, .keys = 1, .dkey = dkey}; }
Path path_of(const ObjectId& object, ByteView dkey, ByteView akey) {
  return {.object = object, .keys = 2, .dkey = dkey, .akey = akey};
}

Result<> check_part(const CommitRequest& whole, const Uuid& container, const RequestId* id) {
  if (container != whole.container)
    return fail(Code::kInvalidArgument, "container: a part of the transaction is of another one");
  const bool none =
      id == nullptr || (id->session == 0 && id->sequence == 0 && id->expiry == WallTime{} && id->acknowledged == 0);
  if (none) return {};
  return fail(Code::kInvalidArgument, "request id: a part of the transaction has one");
}

std::unexpected<Error> not_normal(const ObjectId& object, ByteView dkey) {
  return failf(Code::kInvalidArgument, "object {}, dkey '{}': changed twice by one transaction", object.to_string(),
               printable(dkey));
}

/// What the transaction punches.
class Punched {
 public:
  Result<> add(const PunchRequest& punch) {
    if (punch.level == PunchLevel::kObject) return add(levels_, path_of(punch.object), punch);
    if (punch.level == PunchLevel::kDkey) return add(levels_, path_of(punch.object, punch.dkey), punch);
    for (const KeyBytes& akey : punch.akeys) {
      Path path = path_of(punch.object, punch.dkey, akey);
      CHECK_OK(add(punch.level == PunchLevel::kAkey ? levels_ : ranges_, path, punch));
      if (punch.level == PunchLevel::kRange) ranges_of_.emplace(path, &punch.ranges);
    }
    return {};
  }

  /// Nothing is punched below what is punched as a whole, and no record is both punched and written.
  Result<> check(const std::vector<UpdateRequest>& updates) const {
    for (const Path& path : levels_) CHECK_OK(check_above(path));
    for (const Path& path : ranges_) {
      if (levels_.contains(path)) return fail(Code::kInvalidArgument, "punches: ranges of what is punched as a whole");
      CHECK_OK(check_above(path));
    }
    for (const UpdateRequest& update : updates)
      for (const AkeyUpdate& akey : update.akeys) CHECK_OK(check_apart(update, akey));
    return {};
  }

 private:
  static Result<> add(std::set<Path>& to, Path path, const PunchRequest& punch) {
    if (to.insert(path).second) return {};
    return not_normal(punch.object, punch.dkey);
  }
  Result<> check_above(Path path) const {
    while (path.keys > 0) {
      path = --path.keys == 1 ? path_of(path.object, path.dkey) : path_of(path.object);
      if (levels_.contains(path)) return fail(Code::kInvalidArgument, "punches: one is below another");
    }
    return {};
  }
  Result<> check_apart(const UpdateRequest& update, const AkeyUpdate& akey) const {
    const auto found = ranges_of_.find(path_of(update.object, update.dkey, akey.akey));
    if (found == ranges_of_.end()) return {};
    if (akey.kind == ValueKind::kSingle) return not_normal(update.object, update.dkey);
    // Both ascending.
    auto hole = found->second->begin();
    for (const RecordRange& range : akey.ranges) {
      while (hole != found->second->end() && hole->first + hole->count <= range.first) ++hole;
      if (hole != found->second->end() && hole->first < range.first + range.count)
        return not_normal(update.object, update.dkey);
    }
    return {};
  }

  std::set<Path> levels_, ranges_;
  std::map<Path, const RecordRanges*> ranges_of_;
};

Result<> check_reads(const CommitRequest& request) {
  CHECK_OK(check_limit(request.reads.size() + request.lists.size() + request.queries.size(), kMaxTransactionReads,
                       "reads of a transaction"));
  if (request.has_reads() && request.snapshot == kEpochZero)
    return fail(Code::kInvalidArgument, "snapshot: what was read was of no epoch");
  for (const AkeyRead& read : request.reads) {
    FetchRequest fetch{.container = request.container, .object = read.object, .dkey = read.dkey, .akeys = {}};
    fetch.akeys.push_back({.akey = read.akey,
                           .kind = read.ranges.empty() ? ValueKind::kSingle : ValueKind::kArray,
                           .ranges = read.ranges});
    CHECK_OK(validate(fetch));
  }
  for (const ListRead& list : request.lists) {
    CHECK_OK(check_part(request, list.request.container, nullptr));
    if (list.request.epoch != kEpochLatest)
      return fail(Code::kInvalidArgument, "epoch: a list of a transaction has one");
    CHECK_OK(validate(list.request));
  }
  for (const QueryRead& query : request.queries) {
    CHECK_OK(check_part(request, query.request.container, nullptr));
    if (query.request.epoch != kEpochLatest)
      return fail(Code::kInvalidArgument, "epoch: a query of a transaction has one");
    CHECK_OK(validate(query.request));
  }
  return {};
}

Result<> check_updates(const CommitRequest& request) {
  std::vector<Path> akeys;
  for (const UpdateRequest& update : request.updates) {
    CHECK_OK(check_part(request, update.container, &update.id));
    CHECK_OK(validate(update));
    // That its own akeys differ has been looked at.
    if (request.updates.size() == 1) continue;
    for (const AkeyUpdate& akey : update.akeys) akeys.push_back(path_of(update.object, update.dkey, akey.akey));
  }
  std::ranges::sort(akeys, std::less());
  const auto twice = std::ranges::adjacent_find(akeys);
  if (twice != akeys.end()) return not_normal(twice->object, twice->dkey);
  return check_limit(payload_bytes(request), kMaxPayloadBytes, "payload of a transaction");
}

}  // namespace

std::uint64_t payload_bytes(const CommitRequest& request) {
  std::uint64_t bytes = 0;
  for (const UpdateRequest& update : request.updates)
    for (const AkeyUpdate& akey : update.akeys) bytes += akey.bytes;
  return bytes;
}

std::uint64_t transaction_entries(const CommitRequest& request) {
  std::uint64_t entries = 0;
  for (const PunchRequest& punch : request.punches) {
    // A range: the parts of its first and last window and all between; and what is known of the array.
    if (punch.level == PunchLevel::kRange)
      entries += 3 * punch.ranges.size() + 1;
    else
      entries += std::max<std::size_t>(punch.akeys.size(), 1);
  }
  for (const UpdateRequest& update : request.updates) {
    for (const AkeyUpdate& akey : update.akeys) {
      ++entries;  // the value, or what is known of the array
      for (RecordRange range : akey.ranges) {
        const std::uint64_t window = window_records(akey.record_bytes);
        entries += (range.first % window + range.count + window - 1) / window;
      }
    }
  }
  return entries;
}

bool is_conditional(const UpdateRequest& update) {
  return update.dkey_condition != Precondition::kNone || std::ranges::any_of(update.akeys, [](const AkeyUpdate& akey) {
           return akey.condition != Precondition::kNone;
         });
}

bool is_conditional(const PunchRequest& punch) { return punch.condition != Precondition::kNone; }

bool is_conditional(const CommitRequest& request) {
  const auto given = [](const auto& change) { return is_conditional(change); };
  return std::ranges::any_of(request.updates, given) || std::ranges::any_of(request.punches, given);
}

Result<> validate(const CommitRequest& request, Changes changes) {
  if (request.container.is_null()) return fail(Code::kInvalidArgument, "container: the null id");
  if (request.punches.empty() && request.updates.empty() && changes == Changes::kSome)
    return fail(Code::kInvalidArgument, "changes: none, so there is nothing to commit");
  CHECK_OK(check_reads(request));
  CHECK_OK(check_updates(request));
  Punched punched;
  for (const PunchRequest& punch : request.punches) {
    CHECK_OK(check_part(request, punch.container, &punch.id));
    CHECK_OK(validate(punch));
    CHECK_OK(punched.add(punch));
  }
  if (!request.punches.empty()) CHECK_OK(punched.check(request.updates));
  return check_limit(transaction_entries(request), kMaxTransactionEntries, "entries of a transaction's changes");
}

}  // namespace cenote
