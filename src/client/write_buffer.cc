#include "write_buffer.h"

#include <algorithm>

#include "cenote/base/format.h"

namespace cenote::async {
namespace {

constexpr std::uint64_t end_of(RecordRange range) { return range.first + range.count; }

PunchRequest punch_of(const CommitRequest& request, PunchLevel level, const ObjectId& object, ByteView dkey) {
  PunchRequest punch;
  punch.container = request.container;
  punch.level = level;
  punch.object = object;
  punch.dkey.assign(dkey);
  return punch;
}

/// Neighbouring pieces with data are one range.
AkeyUpdate update_of(ByteView name, const WriteBuffer::Akey& akey, std::vector<ByteView>& payload) {
  AkeyUpdate update;
  update.akey.assign(name);
  update.kind = akey.kind;
  update.record_bytes = akey.kind == ValueKind::kArray ? akey.record_bytes : 1;
  if (akey.kind == ValueKind::kSingle) {
    update.bytes = akey.value.size();
    payload.emplace_back(akey.value);
    return update;
  }
  for (const auto& [first, piece] : akey.pieces) {
    if (!piece.data) continue;
    if (!update.ranges.empty() && end_of(update.ranges.back()) == first) {
      update.ranges.back().count += piece.records;
    } else {
      update.ranges.push_back({first, piece.records});
    }
    update.bytes += piece.data->size();
    payload.emplace_back(*piece.data);
  }
  return update;
}

RecordRanges holes_of(const WriteBuffer::Akey& akey) {
  RecordRanges holes;
  for (const auto& [first, piece] : akey.pieces)
    if (!piece.data) add_range(holes, {first, piece.records});
  return holes;
}

bool has_data(const WriteBuffer::Akey& akey) {
  return akey.kind == ValueKind::kSingle ||
         std::ranges::any_of(akey.pieces, [](const auto& piece) { return piece.second.data.has_value(); });
}

}  // namespace

void remove_range(RecordRanges& holes, RecordRange range) {
  RecordRanges left;
  for (const RecordRange& hole : holes) {
    if (hole.first < range.first) left.push_back({hole.first, std::min(hole.count, range.first - hole.first)});
    if (end_of(hole) > end_of(range)) {
      const std::uint64_t first = std::max(hole.first, end_of(range));
      left.push_back({first, end_of(hole) - first});
    }
  }
  holes = std::move(left);
}

void add_range(RecordRanges& holes, RecordRange range) {
  RecordRanges joined;
  bool added = false;
  for (const RecordRange& hole : holes) {
    if (end_of(hole) < range.first) {
      joined.push_back(hole);
    } else if (hole.first > end_of(range)) {
      if (!added) joined.push_back(range);
      added = true;
      joined.push_back(hole);
    } else {
      const std::uint64_t end = std::max(end_of(hole), end_of(range));
      range.first = std::min(hole.first, range.first);
      range.count = end - range.first;
    }
  }
  if (!added) joined.push_back(range);
  holes = std::move(joined);
}

bool WriteBuffer::Dkey::written() const {
  return std::ranges::any_of(akeys, [](const auto& akey) { return akey.second.written; });
}
bool WriteBuffer::Object::written() const {
  return std::ranges::any_of(dkeys, [](const auto& dkey) { return dkey.second.written(); });
}

const WriteBuffer::Object* WriteBuffer::find(const ObjectId& object) const {
  const auto found = objects_.find(object);
  return found == objects_.end() ? nullptr : &found->second;
}
const WriteBuffer::Dkey* WriteBuffer::find(const ObjectId& object, ByteView dkey) const {
  const Object* changed = find(object);
  if (changed == nullptr) return nullptr;
  const auto found = changed->dkeys.find(to_bytes(dkey));
  return found == changed->dkeys.end() ? nullptr : &found->second;
}
const WriteBuffer::Akey* WriteBuffer::find(const ObjectId& object, ByteView dkey, ByteView akey) const {
  const Dkey* changed = find(object, dkey);
  if (changed == nullptr) return nullptr;
  const auto found = changed->akeys.find(to_bytes(akey));
  return found == changed->akeys.end() ? nullptr : &found->second;
}

bool WriteBuffer::hides(const ObjectId& object) const {
  const Object* changed = find(object);
  return changed != nullptr && changed->punched;
}
bool WriteBuffer::hides(const ObjectId& object, ByteView dkey) const {
  const Dkey* changed = find(object, dkey);
  return hides(object) || (changed != nullptr && changed->punched);
}
bool WriteBuffer::hides(const ObjectId& object, ByteView dkey, ByteView akey) const {
  const Akey* changed = find(object, dkey, akey);
  return hides(object, dkey) || (changed != nullptr && changed->punched);
}

/// Removes `range` from the pieces.
void WriteBuffer::cut(std::map<std::uint64_t, Piece>& pieces, std::uint32_t record_bytes, RecordRange range) {
  auto at = pieces.lower_bound(range.first);
  if (at != pieces.begin() && std::prev(at)->first + std::prev(at)->second.records > range.first) --at;
  while (at != pieces.end() && at->first < end_of(range)) {
    const std::uint64_t first = at->first, end = first + at->second.records;
    Piece piece = std::move(at->second);
    at = pieces.erase(at);
    const auto keep = [&](std::uint64_t from, std::uint64_t to) {
      if (from >= to) return;
      Piece part{.records = to - from, .data = {}};
      if (piece.data) {
        const auto bytes = piece.data->begin() + static_cast<std::ptrdiff_t>((from - first) * record_bytes);
        part.data.emplace(bytes, bytes + static_cast<std::ptrdiff_t>((to - from) * record_bytes));
      }
      at = std::next(pieces.insert_or_assign(from, std::move(part)).first);
    };
    keep(first, std::min(end, range.first));
    keep(std::max(first, end_of(range)), end);
  }
}

Result<> WriteBuffer::update(const UpdateRequest& request, ByteView payload) {
  for (const AkeyUpdate& akey : request.akeys) {
    const Akey* before = find(request.object, request.dkey, akey.akey);
    if (before == nullptr || !before->written) continue;
    const bool fits =
        before->kind == akey.kind && (akey.kind == ValueKind::kSingle || before->record_bytes == akey.record_bytes);
    if (!fits)
      return failf(Code::kTypeMismatch, "akey '{}': the transaction has written it as something else",
                   printable(akey.akey));
  }
  Dkey& dkey = objects_[request.object].dkeys[to_bytes(request.dkey)];
  for (const AkeyUpdate& update : request.akeys) {
    Akey& akey = dkey.akeys[to_bytes(update.akey)];
    akey.written = true;
    akey.kind = update.kind;
    if (update.kind == ValueKind::kSingle) {
      akey.value = to_bytes(payload.first(update.bytes));
      payload = payload.subspan(update.bytes);
      continue;
    }
    akey.record_bytes = update.record_bytes;
    for (const RecordRange& range : update.ranges) {
      const std::uint64_t bytes = range.count * update.record_bytes;
      cut(akey.pieces, update.record_bytes, range);
      akey.pieces.insert_or_assign(range.first, Piece{range.count, to_bytes(payload.first(bytes))});
      payload = payload.subspan(bytes);
    }
  }
  return {};
}

Result<> WriteBuffer::punch(const PunchRequest& request) {
  if (request.level == PunchLevel::kRange) {
    const Akey* before = find(request.object, request.dkey, request.akeys[0]);
    if (before != nullptr && before->written && before->kind == ValueKind::kSingle)
      return failf(Code::kTypeMismatch, "akey '{}': is a single value", printable(request.akeys[0]));
  }
  Object& object = objects_[request.object];
  if (request.level == PunchLevel::kObject) {
    object = {.punched = true, .dkeys = {}};
    return {};
  }
  Dkey& dkey = object.dkeys[to_bytes(request.dkey)];
  if (request.level == PunchLevel::kDkey) {
    dkey = {.punched = true, .akeys = {}};
    return {};
  }
  for (const KeyBytes& name : request.akeys) {
    Akey& akey = dkey.akeys[to_bytes(name)];
    if (request.level == PunchLevel::kAkey) {
      akey = Akey{.punched = true, .value = {}, .pieces = {}};
      continue;
    }
    for (const RecordRange& range : request.ranges) {
      cut(akey.pieces, akey.record_bytes, range);
      if (!hides(request.object, request.dkey, name)) akey.pieces.insert_or_assign(range.first, Piece{range.count, {}});
    }
    // Whether an array without data is there depends on what was there before.
    akey.written = akey.written && has_data(akey);
  }
  return {};
}

Result<> WriteBuffer::check_size() const {
  CommitRequest request;
  std::vector<ByteView> payload;
  add_to(request, payload);
  const std::uint64_t entries = transaction_entries(request), bytes = payload_bytes(request);
  if (entries > kMaxTransactionEntries)
    return failf(Code::kOutOfRange, "the transaction changes {} things, at most {} are possible: make it smaller",
                 entries, kMaxTransactionEntries);
  if (bytes > kMaxPayloadBytes)
    return failf(Code::kOutOfRange, "the transaction writes {} bytes, at most {} are possible: make it smaller", bytes,
                 kMaxPayloadBytes);
  for (const PunchRequest& punch : request.punches)
    if (punch.ranges.size() > kMaxRangesPerPunch)
      return failf(Code::kOutOfRange, "akey '{}': the transaction punches {} ranges of it, at most {} are possible",
                   printable(punch.akeys[0]), punch.ranges.size(), kMaxRangesPerPunch);
  return {};
}

void WriteBuffer::add_to(CommitRequest& request, std::vector<ByteView>& payload) const {
  for (const auto& [object, object_changes] : objects_) {
    if (object_changes.punched) request.punches.push_back(punch_of(request, PunchLevel::kObject, object, {}));
    for (const auto& [dkey, dkey_changes] : object_changes.dkeys) {
      const bool hidden = object_changes.punched || dkey_changes.punched;
      if (dkey_changes.punched && !object_changes.punched)
        request.punches.push_back(punch_of(request, PunchLevel::kDkey, object, dkey));
      for (const auto& [akey, changes] : dkey_changes.akeys) {
        if (!hidden && changes.punched) {
          request.punches.push_back(punch_of(request, PunchLevel::kAkey, object, dkey));
          request.punches.back().akeys.emplace_back(ByteView(akey));
        }
        if (RecordRanges holes = holes_of(changes); !holes.empty()) {
          request.punches.push_back(punch_of(request, PunchLevel::kRange, object, dkey));
          request.punches.back().akeys.emplace_back(ByteView(akey));
          request.punches.back().ranges = std::move(holes);
        }
        if (!changes.written) continue;
        UpdateRequest& update = request.updates.emplace_back();
        update.container = request.container;
        update.object = object;
        update.dkey.assign(ByteView(dkey));
        update.akeys.push_back(update_of(akey, changes, payload));
      }
    }
  }
}

}  // namespace cenote::async
