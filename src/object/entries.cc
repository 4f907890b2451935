#include "entries.h"

#include <algorithm>

#include "cenote/base/checksum.h"
#include "cenote/base/codec.h"
#include "cenote/base/format.h"
#include "cenote/store/operation.h"

namespace cenote::object {
namespace {

/// 1: entries touch objects and dkeys only.
constexpr std::uint8_t kVersion = 2, kOldestVersion = 1;
constexpr std::size_t kKeyBytes = 4 + 8 + 2;
constexpr std::size_t kTouchedBytes = 16 + 1;
constexpr std::size_t kUsualTouchedBytes = kTouchedBytes + 2 * (2 + 32) + 16;
/// Of the header without its note.
constexpr std::size_t kHeaderBytes = 1 + 1 + 2 + 16 + 4 * 8 + 2 * 8 + 2;
// As they are stored.
static_assert(static_cast<int>(EntryState::kPrepared) == 1 && static_cast<int>(EntryState::kCommitted) == 2 &&
              static_cast<int>(EntryState::kRefused) == 3);

/// How far down a place is named.
enum class Depth : std::uint8_t { kObject = 0, kDkey = 1, kAkey = 2, kRecords = 3 };

Depth depth_of(const Touched& touched) {
  if (!touched.dkey) return Depth::kObject;
  if (!touched.akey) return Depth::kDkey;
  return touched.records.is_all() ? Depth::kAkey : Depth::kRecords;
}

void put_key(Encoder& to, ByteView key) {
  to.integer(static_cast<std::uint16_t>(key.size()));
  to.raw(key);
}

std::unexpected<Error> damaged() { return fail(Code::kCorrupt, "the changes of an entry are damaged"); }

std::uint64_t hash_of(const Uuid& container, const ObjectId& object) {
  std::byte bytes[16];
  store_be(bytes, object.high());
  store_be(bytes + 8, object.low());
  return hash64(container.bytes(), hash64(bytes));
}

}  // namespace

std::string name_of(const EntryName& name) {
  return fmt::format("entry {} of target {}", name.epoch.value(), name.leader);
}

RecordBytes entry_key(const EntryName& name, std::uint16_t piece) {
  RecordBytes key;
  key.resize(kKeyBytes);
  store_be(key.data(), name.leader);
  store_be(key.data() + 4, name.epoch.value());
  store_be(key.data() + 12, piece);
  return key;
}

Result<EntryKey> parse_entry_key(ByteView key) {
  if (key.size() != kKeyBytes) return fail(Code::kCorrupt, "not the key of an entry: " + to_hex(key));
  return EntryKey{.name = {load_be<std::uint32_t>(key.data()), Epoch(load_be<std::uint64_t>(key.data() + 4))},
                  .piece = load_be<std::uint16_t>(key.data() + 12)};
}

Bytes encode_entry_header(const EntryHeader& header) {
  ASSERT(header.note.size() <= kMaxEntryNoteBytes);
  Bytes bytes;
  bytes.reserve(kHeaderBytes + header.note.size());
  Encoder to(bytes);
  to.integer(kVersion);
  to.integer(static_cast<std::uint8_t>(header.state));
  to.integer(header.pieces);
  to.raw(header.container.bytes());
  to.integer(header.request.session);
  to.integer(header.request.sequence);
  to.integer(static_cast<std::uint64_t>(header.request.expiry.time_since_epoch().count()));
  to.integer(header.request.acknowledged);
  to.integer(header.added.bytes);
  to.integer(header.added.objects);
  to.integer(static_cast<std::uint16_t>(header.note.size()));
  to.raw(header.note);
  return bytes;
}

Result<EntryHeader> decode_entry_header(ByteView value) {
  if (!value.empty() && static_cast<std::uint8_t>(value[0]) > kVersion)
    return fail(Code::kNewerFormat, "an entry of a redundancy group was written by a newer version");
  Decoder from(value);
  EntryHeader header;
  const auto version = from.integer<std::uint8_t>();
  from.require(version >= kOldestVersion && version <= kVersion);
  const auto state = from.integer<std::uint8_t>();
  from.require(state >= 1 && state <= static_cast<std::uint8_t>(EntryState::kRefused));
  header.state = static_cast<EntryState>(state);
  header.pieces = from.integer<std::uint16_t>();
  const ByteView container = from.raw(16);
  if (container.size() == 16) header.container = Uuid::from_bytes(container.first<16>());
  header.request.session = from.integer<std::uint64_t>();
  header.request.sequence = from.integer<std::uint64_t>();
  header.request.expiry = WallTime(Duration(static_cast<std::int64_t>(from.integer<std::uint64_t>())));
  header.request.acknowledged = from.integer<std::uint64_t>();
  header.added.bytes = from.integer<std::uint64_t>();
  header.added.objects = from.integer<std::uint64_t>();
  const auto note = from.integer<std::uint16_t>();
  from.require(note <= kMaxEntryNoteBytes);
  header.note = to_bytes(from.raw(note));
  if (auto ended = from.finish("entry"); !ended)
    return fail(Code::kCorrupt, "an entry of a redundancy group is damaged: " + ended.error().message());
  return header;
}

Bytes encode_entry_changes(std::span<const Touched> touched, ByteView batch) {
  Bytes bytes;
  bytes.reserve(4 + touched.size() * kUsualTouchedBytes + batch.size());
  Encoder to(bytes);
  to.integer(static_cast<std::uint32_t>(touched.size()));
  for (const Touched& place : touched) {
    to.integer(place.object.high());
    to.integer(place.object.low());
    const Depth depth = depth_of(place);
    to.integer(static_cast<std::uint8_t>(depth));
    if (depth >= Depth::kDkey) put_key(to, *place.dkey);
    if (depth >= Depth::kAkey) put_key(to, *place.akey);
    if (depth < Depth::kRecords) continue;
    to.integer(place.records.first);
    to.integer(place.records.last);
  }
  to.raw(batch);
  return bytes;
}

Result<EntryChanges> decode_entry_changes(ByteView bytes) {
  Decoder from(bytes);
  EntryChanges changes;
  const auto count = from.integer<std::uint32_t>();
  from.require(count <= from.remaining() / kTouchedBytes);
  for (std::uint32_t i = 0; i < count && !from.bad(); ++i) {
    const auto high = from.integer<std::uint64_t>();
    Place place{.object = {high, from.integer<std::uint64_t>()}};
    const auto depth = static_cast<Depth>(from.integer<std::uint8_t>());
    from.require(depth <= Depth::kRecords);
    if (depth >= Depth::kDkey) place.dkey = from.raw(from.integer<std::uint16_t>());
    if (depth >= Depth::kAkey) place.akey = from.raw(from.integer<std::uint16_t>());
    if (depth == Depth::kRecords) {
      place.records.first = from.integer<std::uint64_t>();
      place.records.last = from.integer<std::uint64_t>();
      from.require(place.records.first <= place.records.last && !place.records.is_all());
    }
    changes.touched.emplace_back(place);
  }
  if (from.bad()) return damaged();
  changes.batch = bytes.last(from.remaining());
  TRY(changes.claims, claims_of(changes.batch));
  return changes;
}

Result<std::vector<store::Extent>> claims_of(ByteView batch) {
  std::vector<store::Extent> claims;
  store::OperationReader reader(batch);
  store::Operation operation;
  while (reader.next(operation)) {
    if (operation.kind == store::OperationKind::kClaim) {
      claims.push_back(operation.extent);
    } else if (operation.kind != store::OperationKind::kPut) {
      return damaged();
    }
  }
  if (reader.bad()) return damaged();
  return claims;
}

HeldEntry* Entries::find(const EntryName& name) {
  const auto found = held_.find(name);
  return found == held_.end() ? nullptr : &found->second;
}

/// The first entry that touches something of the place and fits.
template <typename Visit>
const HeldEntry* Entries::find_overlap(const Uuid& container, const Place& place, Visit fits) const {
  if (undecided_ == 0) return nullptr;
  if (place.object == ObjectId()) {
    for (const auto& [key, items] : by_object_)
      for (const Item& item : items)
        if (item.entry->header.container == container && fits(*item.entry)) return item.entry;
    return nullptr;
  }
  const auto in_the_way = [&](const Item& item) {
    return fits(*item.entry) && item.entry->header.container == container && overlap(item.touched->place(), place);
  };
  const std::uint64_t object = hash_of(container, place.object);
  // Where only dkeys are touched, those of the same hash are enough.
  if (place.dkey && whole_objects_ == 0) {
    const auto [begin, end] = by_dkey_.equal_range(hash64(*place.dkey, object));
    const auto found = std::find_if(begin, end, [&](const auto& item) { return in_the_way(item.second); });
    return found == end ? nullptr : found->second.entry;
  }
  const auto items = by_object_.find(object);
  if (items == by_object_.end()) return nullptr;
  const auto found = std::ranges::find_if(items->second, in_the_way);
  return found == items->second.end() ? nullptr : found->entry;
}

const HeldEntry* Entries::touching(const Uuid& container, const Place& place, Epoch upto) const {
  return find_overlap(container, place, [upto](const HeldEntry& entry) { return entry.name.epoch <= upto; });
}

bool Entries::touches_at(const Uuid& container, const Place& place, Epoch epoch) const {
  return find_overlap(container, place, [epoch](const HeldEntry& entry) { return entry.name.epoch == epoch; }) !=
         nullptr;
}

const HeldEntry* Entries::of_request(const RequestId& request) const {
  const auto found = requests_.find({request.session, request.sequence});
  return found == requests_.end() ? nullptr : found->second;
}

void Entries::take_out_dkey(std::uint64_t key, const Touched& touched) {
  const auto [begin, end] = by_dkey_.equal_range(key);
  const auto own = std::find_if(begin, end, [&](const auto& item) { return item.second.touched == &touched; });
  ASSERT(own != end);
  by_dkey_.erase(own);
}

void Entries::take_out_object(std::uint64_t key, const Touched& touched) {
  const auto items = by_object_.find(key);
  ASSERT(items != by_object_.end());
  const auto own = std::ranges::find(items->second, &touched, &Item::touched);
  ASSERT(own != items->second.end());
  *own = items->second.back();
  items->second.pop_back();
  if (items->second.empty()) by_object_.erase(items);
}

void Entries::index(HeldEntry& entry) {
  if (entry.header.state != EntryState::kPrepared) return;
  ++undecided_;
  for (const Touched& touched : entry.touched) {
    const std::uint64_t object = hash_of(entry.header.container, touched.object);
    by_object_[object].push_back({&entry, &touched});
    if (touched.dkey) {
      by_dkey_.emplace(hash64(*touched.dkey, object), Item{&entry, &touched});
    } else {
      ++whole_objects_;
    }
  }
  const RequestId& request = entry.header.request;
  if (request.session != 0) requests_.emplace(std::pair(request.session, request.sequence), &entry);
}

void Entries::unindex(HeldEntry& entry) {
  if (entry.header.state != EntryState::kPrepared) return;
  --undecided_;
  requests_.erase({entry.header.request.session, entry.header.request.sequence});
  for (const Touched& touched : entry.touched) {
    const std::uint64_t object = hash_of(entry.header.container, touched.object);
    take_out_object(object, touched);
    if (touched.dkey) {
      take_out_dkey(hash64(*touched.dkey, object), touched);
    } else {
      --whole_objects_;
    }
  }
}

HeldEntry& Entries::put(HeldEntry entry) {
  const EntryName name = entry.name;
  const auto [at, added] = held_.emplace(name, std::move(entry));
  ASSERT(added);
  index(at->second);
  return at->second;
}

void Entries::set_state(HeldEntry& entry, EntryState state) {
  unindex(entry);
  entry.header.state = state;
  entry.touched = {};
  entry.batch = {};
  entry.account.reset();
}

void Entries::erase(const EntryName& name) {
  const auto found = held_.find(name);
  ASSERT(found != held_.end());
  unindex(found->second);
  held_.erase(found);
}

void Entries::check_invariants() const {
  std::size_t prepared = 0, touched = 0;
  for (const auto& [name, entry] : held_) {
    ASSERT(entry.name == name && entry.header.state != EntryState::kNone);
    if (entry.header.state != EntryState::kPrepared) {
      ASSERT(entry.touched.empty() && entry.batch.empty() && entry.account == nullptr);
      continue;
    }
    ++prepared;
    touched += entry.touched.size();
    for (const Touched& place : entry.touched) {
      for (const Item& item : by_object_.at(hash_of(entry.header.container, place.object))) {
        const HeldEntry& other = *item.entry;
        ASSERT(&other == &entry || other.header.container != entry.header.container ||
               !overlap(item.touched->place(), place.place()));
      }
    }
  }
  std::size_t indexed = 0;
  for (const auto& [key, items] : by_object_) {
    ASSERT(!items.empty());
    indexed += items.size();
  }
  ASSERT(prepared == undecided_ && touched == indexed && touched == by_dkey_.size() + whole_objects_);
}

}  // namespace cenote::object
