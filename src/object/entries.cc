#include "entries.h"

#include <algorithm>

#include "cenote/base/checksum.h"
#include "cenote/base/codec.h"
#include "cenote/base/format.h"
#include "cenote/store/operation.h"

namespace cenote::object {
namespace {

constexpr std::uint8_t kVersion = 1;
constexpr std::size_t kKeyBytes = 4 + 8 + 2;
constexpr std::size_t kTouchedBytes = 16 + 1;
// As they are stored.
static_assert(static_cast<int>(EntryState::kPrepared) == 1 && static_cast<int>(EntryState::kCommitted) == 2 &&
              static_cast<int>(EntryState::kRefused) == 3);

bool overlap(const Touched& held, const std::optional<ByteView>& dkey) {
  return !held.dkey || !dkey || equal(*held.dkey, *dkey);
}

}  // namespace

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
  from.require(from.integer<std::uint8_t>() == kVersion);
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
  Encoder to(bytes);
  to.integer(static_cast<std::uint32_t>(touched.size()));
  for (const Touched& place : touched) {
    to.integer(place.object.high());
    to.integer(place.object.low());
    to.integer(static_cast<std::uint8_t>(place.dkey.has_value()));
    if (!place.dkey) continue;
    to.integer(static_cast<std::uint16_t>(place.dkey->size()));
    to.raw(*place.dkey);
  }
  to.raw(batch);
  return bytes;
}

Result<EntryChanges> decode_entry_changes(ByteView bytes) {
  const auto damaged = [] { return fail(Code::kCorrupt, "the changes of an entry are damaged"); };
  Decoder from(bytes);
  EntryChanges changes;
  const auto count = from.integer<std::uint32_t>();
  from.require(count <= from.remaining() / kTouchedBytes);
  for (std::uint32_t i = 0; i < count && !from.bad(); ++i) {
    const auto high = from.integer<std::uint64_t>();
    Touched& touched =
        changes.touched.emplace_back(Touched{.object = {high, from.integer<std::uint64_t>()}, .dkey = {}});
    const auto has_dkey = from.integer<std::uint8_t>();
    from.require(has_dkey <= 1);
    if (has_dkey == 1) touched.dkey = KeyBytes(from.raw(from.integer<std::uint16_t>()));
  }
  if (from.bad()) return damaged();
  changes.batch = bytes.last(from.remaining());
  store::OperationReader reader(changes.batch);
  store::Operation operation;
  while (reader.next(operation)) {
    if (operation.kind != store::OperationKind::kPut && operation.kind != store::OperationKind::kClaim)
      return damaged();
  }
  if (reader.bad()) return damaged();
  return changes;
}

std::vector<store::Extent> claims_of(const EntryChanges& changes) {
  std::vector<store::Extent> claims;
  store::OperationReader reader(changes.batch);
  store::Operation operation;
  while (reader.next(operation)) {
    if (operation.kind == store::OperationKind::kClaim) claims.push_back(operation.extent);
  }
  return claims;
}

std::size_t Entries::PlaceHash::operator()(const Place& place) const {
  std::byte object[16];
  store_be(object, place.second.high());
  store_be(object + 8, place.second.low());
  return hash64(place.first.bytes(), hash64(object));
}

HeldEntry* Entries::find(const EntryName& name) {
  const auto found = held_.find(name);
  return found == held_.end() ? nullptr : &found->second;
}

const HeldEntry* Entries::touching(const Uuid& container, const ObjectId& object, const std::optional<ByteView>& dkey,
                                   Epoch upto) const {
  if (undecided_ == 0) return nullptr;
  const auto [begin, end] = touching_.equal_range({container, object});
  for (auto at = begin; at != end; ++at) {
    const HeldEntry& entry = *at->second;
    if (entry.name.epoch > upto) continue;
    for (const Touched& touched : entry.touched)
      if (touched.object == object && overlap(touched, dkey)) return &entry;
  }
  return nullptr;
}

const HeldEntry* Entries::in_container(const Uuid& container, Epoch upto) const {
  if (undecided_ == 0) return nullptr;
  for (const auto& [place, entry] : touching_)
    if (place.first == container && entry->name.epoch <= upto) return entry;
  return nullptr;
}

const HeldEntry* Entries::of_request(const RequestId& request) const {
  const auto found = requests_.find({request.session, request.sequence});
  return found == requests_.end() ? nullptr : found->second;
}

void Entries::index(HeldEntry& entry) {
  if (entry.header.state != EntryState::kPrepared) return;
  ++undecided_;
  for (const Touched& touched : entry.touched) touching_.emplace(Place{entry.header.container, touched.object}, &entry);
  const RequestId& request = entry.header.request;
  if (request.session != 0) requests_.emplace(std::pair(request.session, request.sequence), &entry);
}

void Entries::unindex(HeldEntry& entry) {
  if (entry.header.state != EntryState::kPrepared) return;
  --undecided_;
  requests_.erase({entry.header.request.session, entry.header.request.sequence});
  for (const Touched& touched : entry.touched) {
    const auto [begin, end] = touching_.equal_range({entry.header.container, touched.object});
    const auto own = std::find_if(begin, end, [&](const auto& item) { return item.second == &entry; });
    ASSERT(own != end);
    touching_.erase(own);
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
  entry.touched.clear();
  entry.touched.shrink_to_fit();
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
      ASSERT(entry.touched.empty() && entry.account == nullptr);
      continue;
    }
    ++prepared;
    touched += entry.touched.size();
    for (const Touched& place : entry.touched) {
      const auto [begin, end] = touching_.equal_range({entry.header.container, place.object});
      for (auto at = begin; at != end; ++at) {
        if (at->second == &entry) continue;
        const std::optional<ByteView> dkey = place.dkey ? std::optional<ByteView>(*place.dkey) : std::nullopt;
        for (const Touched& other : at->second->touched) ASSERT(other.object != place.object || !overlap(other, dkey));
      }
    }
  }
  ASSERT(prepared == undecided_ && touched == touching_.size());
}

}  // namespace cenote::object
