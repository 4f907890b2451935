#include <algorithm>
#include <cstring>

#include "cenote/base/format.h"
#include "core.h"
#include "io_group.h"

namespace cenote::object {
namespace {

/// What becomes one entry: a single value, or the part of a range inside one window.
struct Piece {
  std::uint32_t akey = 0;
  std::uint64_t first = 0;  ///< record
  std::uint64_t records = 0;
  std::uint64_t offset = 0;  ///< in the payload
  std::uint64_t bytes = 0;
  std::uint32_t checksum = 0;                       ///< index of its first one
  std::uint32_t value_offset = 0, value_bytes = 0;  ///< its encoded entry
  bool stored = false;                              ///< in extents, not inline
  bool direct = false;                              ///< stored, and written from where it lies in the payload
  std::uint32_t packing = 0;                        ///< number of its packing, from 1 on; 0: stored as it is
  Extents extents;

  std::uint32_t blocks() const { return static_cast<std::uint32_t>(chunk_count(bytes)); }
  std::size_t stored_bytes() const { return std::size_t{blocks()} * media::kBlockBytes; }
  /// Stored, and as it is.
  bool is_plain() const { return stored && packing == 0; }
};

/// The rest of the last block must not show what lay there.
MutableBytes padded(const Piece& piece, MutableBytes blocks) {
  std::memset(blocks.data() + piece.bytes, 0, blocks.size() - piece.bytes);
  return blocks;
}

/// How a piece that became smaller is stored.
struct Packing {
  SmallVector<StoredUnit, 4> units;
  std::array<std::byte, kSealNonceBytes> nonce{};  ///< of the first unit, if they are sealed
  Bytes inline_data;                               ///< what goes into the entry, if all of it is short enough
  std::uint32_t blocks() const {
    std::uint32_t blocks = 0;
    for (const StoredUnit& unit : units) blocks += unit.blocks();
    return blocks;
  }
};

/// What the attempt found out about an akey and its entry needs.
struct AkeyPlan {
  AkeyState before;
  bool put_array = false;  ///< of an inherited array, too: aggregation must find its birth beside what it merges
  ArrayFlags flags;

  bool born() const { return !before.exists(); }  ///< this update is its birth
  /// What the akey is like once the update is applied.
  AkeyState after(const AkeyUpdate& akey, Epoch epoch) const {
    AkeyState after = before;
    after.is = akey.kind == ValueKind::kArray ? AkeyState::Is::kArray : AkeyState::Is::kSingle;
    if (after.is == AkeyState::Is::kSingle) return after;
    after.flags = flags;
    after.inherited = false;
    after.record_bytes = akey.record_bytes;
    if (!born()) return after;
    after.born = epoch;
    after.hidden = Epoch(epoch.value() - 1);
    return after;
  }
};

class Update {
 public:
  Update(Core& core, const UpdateRequest& request, media::Buffer& payload, std::uint64_t payload_bytes)
      : core_(core), request_(request), payload_(payload), payload_bytes_(payload_bytes) {}
  Update(const Update&) = delete;
  Update& operator=(const Update&) = delete;
  // Extents that no batch claimed go back, whatever the reason.
  ~Update() {
    if (applied_) return;
    for (const Piece& piece : pieces_)
      for (const store::Extent& extent : piece.extents) core_.store.cancel(extent);
  }

  Result<> prepare(const Container& container);
  Task<Result<>> write(Until until);
  Result<UpdateReply> attempt(store::View& view, store::Lsn& seen);

 private:
  Result<> check_payload();
  Result<> verify_checksums(bool keep);
  void cut();
  Result<> reserve(Piece& piece, std::uint32_t blocks);
  Task<Result<>> pack_all(Until until);
  Task<Result<>> pack(Piece& piece, media::Buffer& room);
  Result<bool> seal_units(Packing& packing, MutableBytes room);
  Task<Packing> pack_units(const Piece& piece, MutableBytes room);
  void add_writes(const Piece& piece, MutableBytes from, int registered_index, IoGroup& group);
  Task<Result<>> write_copies(Until until);
  void encode(Piece& piece);

  Result<> check_dkey(const Reader& reader, KeyPath& path) const;
  Result<AkeyPlan> plan_akey(AkeyLookup& akeys, std::uint32_t index) const;
  void remember(const Container& container, KeyPath& path, Epoch epoch, std::span<const AkeyPlan> plans,
                store::Lsn lsn);
  void put_all(const Container& container, KeyPath& path, Epoch epoch, std::span<const AkeyPlan> plans);
  std::string describe_akey(std::uint32_t index) const {
    return describe(request_.object, request_.dkey, request_.akeys[index].akey);
  }

  Core& core_;
  const UpdateRequest& request_;
  media::Buffer& payload_;
  std::uint64_t payload_bytes_;
  SmallVector<Piece, 1> pieces_;
  Checksums checksums_;  // empty: not kept
  Compression compression_ = Compression::kNone;
  std::shared_ptr<Sealer> sealer_;  // of an encrypted container
  std::vector<Packing> packings_;
  ValueBytes values_;
  bool applied_ = false;
};

Result<> Update::check_payload() {
  std::uint64_t bytes = 0;
  for (const AkeyUpdate& akey : request_.akeys) bytes += akey.bytes;
  if (bytes != payload_bytes_ || payload_.size() < payload_bytes_)
    return failf(Code::kInvalidArgument, "payload: {} bytes, the akeys hold {}", payload_bytes_, bytes);
  return {};
}

Result<> Update::prepare(const Container& container) {
  compression_ = container.properties.compression;
  sealer_ = container.sealer;
  CHECK_OK(check_payload());
  CHECK_OK(verify_checksums(container.properties.checksums));
  cut();
  return {};
}

Result<> Update::verify_checksums(bool keep) {
  std::uint64_t offset = 0;
  for (std::uint32_t i = 0; i < request_.akeys.size(); ++i) {
    const AkeyUpdate& akey = request_.akeys[i];
    const ByteView data(payload_.data() + offset, akey.bytes);
    offset += akey.bytes;
    if (!keep && akey.checksums.empty()) continue;
    const std::size_t at = checksums_.size();
    append_checksums(akey, data, checksums_);
    if (akey.checksums.empty()) continue;
    if (!std::equal(akey.checksums.begin(), akey.checksums.end(), checksums_.begin() + at, checksums_.end()))
      return failf(Code::kChecksumMismatch,
                   "{}: the data that arrived is not what the client checksummed; send it again", describe_akey(i));
  }
  if (!keep) checksums_.clear();
  return {};
}

void Update::cut() {
  std::uint64_t offset = 0;
  std::uint32_t checksum = 0;
  const auto add = [&](std::uint32_t akey, RecordRange range, std::uint64_t bytes) {
    Piece& piece = pieces_.emplace_back();
    piece.akey = akey;
    piece.first = range.first;
    piece.records = range.count;
    piece.offset = offset;
    piece.bytes = bytes;
    piece.checksum = checksum;
    piece.stored = bytes > core_.options.inline_bytes;
    // The rest of the last block must be zero; it can be made so in place only where no other piece begins in it.
    const bool alone_in_block = (offset + bytes) % media::kBlockBytes == 0 || offset + bytes == payload_bytes_;
    piece.direct = piece.stored && offset % media::kBlockBytes == 0 && alone_in_block;
    offset += bytes;
    checksum += static_cast<std::uint32_t>(chunk_count(bytes));
  };
  for (std::uint32_t i = 0; i < request_.akeys.size(); ++i) {
    const AkeyUpdate& akey = request_.akeys[i];
    if (akey.kind == ValueKind::kSingle) {
      add(i, {0, 0}, akey.bytes);
      continue;
    }
    for (RecordRange range : akey.ranges)
      while (range.count > 0) {
        const RecordRange piece = first_piece(range, akey.record_bytes);
        add(i, piece, piece.count * akey.record_bytes);
        range = {range.first + piece.count, range.count - piece.count};
      }
  }
}

Result<> Update::reserve(Piece& piece, std::uint32_t blocks) {
  for (std::uint32_t missing = blocks; missing > 0;) {
    const auto extent = core_.store.reserve(missing, store::SpaceClass::kForeground);
    if (!extent) {
      if (extent.error() == Code::kNoSpace)
        return failf(Code::kNoSpace,
                     "the target is full ({} more blocks needed): delete data, whose space returns within some seconds",
                     missing);
      return fail(extent.error());
    }
    piece.extents.push_back(*extent);
    missing -= extent->blocks;
  }
  // Ascending, as the entry wants them; they are still empty, so any order is right.
  std::ranges::sort(piece.extents);
  return {};
}

void Update::add_writes(const Piece& piece, MutableBytes from, int registered_index, IoGroup& group) {
  // A batch is applied after the write completed; what the device does not make durable by then, the flush that
  // precedes the log record does (docs/formats/object.md, "Durability").
  const auto durability =
      core_.store.data_device().prefers_durable_writes() ? media::Durability::kDurable : media::Durability::kCached;
  for (const store::Extent& extent : piece.extents) {
    const std::size_t bytes = std::size_t{extent.blocks} * media::kBlockBytes;
    group.write(extent.first, from.first(bytes), durability, registered_index);
    from = from.subspan(bytes);
  }
}

Task<Result<>> Update::write(Until until) {
  if (compression_ != Compression::kNone || sealer_) CO_CHECK_OK(co_await pack_all(until));
  IoGroup group(core_.store.data_device());
  bool copies = false;
  for (Piece& piece : pieces_) {
    if (!piece.is_plain()) continue;
    CO_CHECK_OK(reserve(piece, piece.blocks()));
    copies = copies || !piece.direct;
  }
  for (const Piece& piece : pieces_)
    if (piece.is_plain() && piece.direct)
      add_writes(piece, padded(piece, {payload_.data() + piece.offset, piece.stored_bytes()}),
                 payload_.registered_index(), group);
  CO_CHECK_OK(co_await group.run());
  if (copies) CO_CHECK_OK(co_await write_copies(until));
  for (Piece& piece : pieces_) encode(piece);
  co_return Result<>();
}

/// Writes what is not aligned through one buffer, as many pieces at a time as it holds.
Task<Result<>> Update::write_copies(Until until) {
  constexpr std::uint32_t kMost = 1u << 20;
  std::uint32_t wanted = 0;
  for (const Piece& piece : pieces_)
    if (piece.is_plain() && !piece.direct) wanted += piece.blocks() * media::kBlockBytes;
  CO_TRY(const media::Buffer buffer, co_await core_.bounce.allocate(std::min(wanted, kMost), until));
  for (std::size_t next = 0; next < pieces_.size();) {
    IoGroup group(core_.store.data_device());
    MutableBytes room = buffer.span();
    for (; next < pieces_.size(); ++next) {
      const Piece& piece = pieces_[next];
      if (!piece.is_plain() || piece.direct) continue;
      const std::size_t bytes = piece.stored_bytes();
      if (bytes > room.size()) break;
      std::memcpy(room.data(), payload_.data() + piece.offset, piece.bytes);
      core_.counters.copied_bytes += piece.bytes;
      add_writes(piece, padded(piece, room.first(bytes)), buffer.registered_index(), group);
      room = room.subspan(bytes);
    }
    CO_CHECK_OK(co_await group.run());
  }
  co_return Result<>();
}

/// Packs what would go to extents, piece by piece through one buffer, and writes it.
Task<Result<>> Update::pack_all(Until until) {
  std::size_t longest = 0;
  for (const Piece& piece : pieces_)
    if (piece.stored) longest = std::max(longest, piece.stored_bytes());
  if (longest == 0) co_return Result<>();
  CO_TRY(media::Buffer buffer, co_await core_.bounce.allocate(static_cast<std::uint32_t>(longest), until));
  for (Piece& piece : pieces_)
    if (piece.stored) CO_CHECK_OK(co_await pack(piece, buffer));
  co_return Result<>();
}

/// Leaves a piece as it is where packing saves nothing.
Task<Result<>> Update::pack(Piece& piece, media::Buffer& room) {
  Packing packing = co_await pack_units(piece, room.span());
  while (sealer_ && packing.inline_data.empty()) {
    CO_TRY(const bool sealed, seal_units(packing, room.span()));
    if (sealed) break;
    packing = co_await pack_units(piece, room.span());
  }
  if (packing.units.empty()) co_return Result<>();
  if (compression_ != Compression::kNone) {
    core_.counters.packed_bytes += piece.bytes;
    for (const StoredUnit& unit : packing.units) core_.counters.packed_stored_bytes += unit.bytes;
  }
  const std::uint32_t blocks = packing.inline_data.empty() ? packing.blocks() : 0;
  packings_.push_back(std::move(packing));
  piece.packing = static_cast<std::uint32_t>(packings_.size());
  if (blocks == 0) co_return Result<>();
  CO_CHECK_OK(reserve(piece, blocks));
  IoGroup group(core_.store.data_device());
  add_writes(piece, room.span().first(std::size_t{blocks} * media::kBlockBytes), room.registered_index(), group);
  co_return co_await group.run();
}

/// Puts a piece into `room`, compressed where that helps, each unit from the start of a block. No units: it is better
/// stored as it is.
Task<Packing> Update::pack_units(const Piece& piece, MutableBytes room) {
  // Some hundred microseconds; then others have their turn.
  constexpr std::uint32_t kUnitsPerTurn = 4;
  Packing packing;
  const ByteView data(payload_.data() + piece.offset, piece.bytes);
  std::size_t stored = 0, used = 0;
  for (std::uint32_t index = 0; index < unit_count(piece.bytes); ++index) {
    if (index > 0 && index % kUnitsPerTurn == 0) co_await core_.reactor.yield();
    const ByteView plain = data.subspan(std::size_t{index} * kUnitBytes, unit_bytes(piece.bytes, index));
    // Worth it where it saves a block, or makes the data fit the entry.
    const std::size_t fewer = (chunk_count(plain.size()) - 1) * kChecksumChunkBytes;
    const std::size_t most = std::min(std::max<std::size_t>(fewer, core_.options.inline_bytes), plain.size() - 1);
    std::size_t bytes =
        compression_ == Compression::kNone ? 0 : core_.packer.compress(compression_, plain, most, room.subspan(used));
    if (bytes == 0) {
      bytes = plain.size();
      std::memcpy(room.data() + used, plain.data(), bytes);
    }
    const StoredUnit unit{static_cast<std::uint32_t>(bytes), crc32c(ByteView(room).subspan(used, bytes))};
    packing.units.push_back(unit);
    const std::size_t whole = std::size_t{unit.blocks()} * media::kBlockBytes;
    std::memset(room.data() + used + bytes, 0, whole - bytes);
    stored += bytes;
    used += whole;
  }
  if (stored > std::min<std::size_t>(core_.options.inline_bytes, packed_inline_room(piece.bytes))) {
    if (packing.blocks() >= piece.blocks() && !sealer_) packing.units.clear();
    co_return packing;
  }
  const std::byte* at = room.data();
  for (const StoredUnit& unit : packing.units) {
    packing.inline_data.insert(packing.inline_data.end(), at, at + unit.bytes);
    at += std::size_t{unit.blocks()} * media::kBlockBytes;
  }
  co_return packing;
}

/// Encrypts what lies in `room`. An entry has room for one nonce only, so those of its units have to count on from the
/// first. False: they do not, which happens once in 2^32 units.
Result<bool> Update::seal_units(Packing& packing, MutableBytes room) {
  std::size_t used = 0;
  for (std::uint32_t index = 0; index < packing.units.size(); ++index) {
    StoredUnit& unit = packing.units[index];
    const MutableBytes bytes = room.subspan(used, unit.bytes);
    std::array<std::byte, kEnvelopeBytes> envelope;
    CHECK_OK(sealer_->seal({}, bytes, bytes, envelope));
    const ByteView nonce = ByteView(envelope).first(kSealNonceBytes);
    if (index == 0) copy_bytes(nonce, packing.nonce);
    if (!equal(nonce, nonce_after(packing.nonce, index))) return false;
    copy_bytes(ByteView(envelope).subspan(kSealNonceBytes), unit.tag);
    unit.checksum = crc32c(bytes);
    used += std::size_t{unit.blocks()} * media::kBlockBytes;
  }
  return true;
}

void Update::encode(Piece& piece) {
  const AkeyUpdate& akey = request_.akeys[piece.akey];
  DataHeader header;
  header.type = akey.kind == ValueKind::kSingle ? EntryType::kSingle : EntryType::kExtent;
  header.bytes = piece.bytes;
  header.records = piece.records;
  header.record_bytes = akey.record_bytes;
  if (!checksums_.empty()) header.checksums = checksums_.view().subspan(piece.checksum, chunk_count(piece.bytes));
  piece.value_offset = static_cast<std::uint32_t>(values_.size());
  const Packing* packing = piece.packing == 0 ? nullptr : &packings_[piece.packing - 1];
  if (packing != nullptr) {
    header.compression = compression_;
    header.units = packing->units.view();
    if (sealer_ && packing->inline_data.empty()) {
      header.nonce = packing->nonce;
      if (!sealed_has_room_for_checksums(piece.bytes, piece.extents.size())) header.checksums = {};
    }
  }
  if (packing != nullptr && !packing->inline_data.empty()) {
    append_inline(header, packing->inline_data, values_);
  } else if (piece.stored) {
    append_stored(header, piece.extents.view(), values_);
  } else {
    append_inline(header, {payload_.data() + piece.offset, piece.bytes}, values_);
  }
  piece.value_bytes = static_cast<std::uint32_t>(values_.size()) - piece.value_offset;
}

Result<> Update::check_dkey(const Reader& reader, KeyPath& path) const {
  if (request_.dkey_condition == Precondition::kNone) return {};
  TRY(const bool exists, dkey_exists(reader, path));
  if (exists == (request_.dkey_condition == Precondition::kPresent)) return {};
  return failf(Code::kConditionFailed, "object {}, dkey '{}': {}", request_.object.to_string(),
               printable(request_.dkey), exists ? "exists" : "does not exist");
}

Result<AkeyPlan> Update::plan_akey(AkeyLookup& akeys, std::uint32_t index) const {
  const AkeyUpdate& akey = request_.akeys[index];
  TRY(const AkeyState state, akeys.state());
  if (akey.condition != Precondition::kNone && state.exists() != (akey.condition == Precondition::kPresent))
    return failf(Code::kConditionFailed, "{}: {}", describe_akey(index), state.exists() ? "exists" : "does not exist");
  const bool array = akey.kind == ValueKind::kArray;
  if (state.exists() && (state.is == AkeyState::Is::kArray) != array)
    return failf(Code::kTypeMismatch, "{}: is {}", describe_akey(index), array ? "a single value" : "an array");
  AkeyPlan plan{.before = state, .flags = state.flags};
  if (!array) return plan;
  if (state.exists() && state.record_bytes != akey.record_bytes)
    return failf(Code::kTypeMismatch, "{}: its records have {} bytes, not {}", describe_akey(index), state.record_bytes,
                 akey.record_bytes);
  for (const Piece& piece : pieces_)
    if (piece.akey == index) plan.flags.add_class(extent_class(piece.bytes));
  plan.put_array = plan.born() || plan.flags != state.flags || state.inherited;
  return plan;
}

void Update::put_all(const Container& container, KeyPath& path, Epoch epoch, std::span<const AkeyPlan> plans) {
  store::Batch& batch = core_.batch;
  batch.clear();
  std::uint32_t akey = UINT32_MAX;
  for (const Piece& piece : pieces_) {
    const AkeyUpdate& update = request_.akeys[piece.akey];
    if (piece.akey != akey) {
      akey = piece.akey;
      path.set_akey(update.akey);
      const AkeyPlan& plan = plans[akey];
      if (plan.put_array) {
        ValueBytes value;
        append_array(update.record_bytes, plan.flags, value);
        batch.put(container.tree, path.akey_entry(plan.born() ? epoch : plan.before.born), value);
      }
    }
    const ByteView key = update.kind == ValueKind::kSingle ? path.single(epoch)
                                                           : path.extent(extent_class(piece.bytes), piece.first, epoch);
    batch.put(container.tree, key, {values_.data() + piece.value_offset, piece.value_bytes});
    for (const store::Extent& extent : piece.extents) batch.claim(extent);
  }
}

/// Tells the cache of akeys what the applied batch made of them.
void Update::remember(const Container& container, KeyPath& path, Epoch epoch, std::span<const AkeyPlan> plans,
                      store::Lsn lsn) {
  for (std::uint32_t i = 0; i < plans.size(); ++i) {
    if (!plans[i].born() && !plans[i].put_array) continue;
    path.set_akey(request_.akeys[i].akey);
    core_.akeys.put(container.tree, container.punches, path.akey_prefix(), plans[i].after(request_.akeys[i], epoch),
                    lsn);
  }
}

Result<UpdateReply> Update::attempt(store::View& view, store::Lsn& seen) {
  TRY(Container * container, core_.find_container(request_.container, seen));
  TRY(const auto known, core_.sessions.check(request_.id, core_.wall_now()));
  if (known) {
    ++core_.counters.repeated;
    seen = std::max(seen, known->lsn);
    return UpdateReply{known->epoch};
  }
  const Reader reader = container->reader(view, kEpochLatest);
  KeyPath path(request_.object, request_.dkey);
  CHECK_OK(check_dkey(reader, path));
  AkeyLookup akeys(core_, *container, reader, path, seen);
  SmallVector<AkeyPlan, 1> plans;
  for (std::uint32_t i = 0; i < request_.akeys.size(); ++i) {
    path.set_akey(request_.akeys[i].akey);
    TRY(const AkeyPlan plan, plan_akey(akeys, i));
    plans.push_back(plan);
  }
  Core::Stamp stamp{.request = request_.id, .epoch = core_.clock.next(core_.wall_now()), .ceiling = {}};
  for (const Piece& piece : pieces_) stamp.added_bytes += static_cast<std::int64_t>(piece.bytes);
  put_all(*container, path, stamp.epoch, plans.view());
  core_.stamp(*container, stamp);
  const auto added = static_cast<std::uint64_t>(stamp.added_bytes);
  if (container->account) CHECK_OK(container->account->charge(added));
  const auto lsn = view.apply(core_.batch);
  if (!lsn) {
    if (container->account) container->account->refund(added);
    return fail(lsn.error());
  }
  applied_ = true;
  core_.stamped(*container, stamp, *lsn);
  remember(*container, path, stamp.epoch, plans.view(), *lsn);
  seen = std::max(seen, *lsn);
  return UpdateReply{stamp.epoch};
}

}  // namespace

Task<Result<UpdateReply>> update(Core& core, const UpdateRequest& request, media::Buffer& payload,
                                 std::uint64_t payload_bytes, Until until, store::Lsn& seen) {
  CO_CHECK_OK(validate(request));
  // Both are looked at again when the update is applied; here they only save the writing of data that nobody wants.
  CO_TRY(const Container* container, core.find_container(request.container, seen));
  CO_TRY(const auto known, core.sessions.check(request.id, core.wall_now()));
  if (known) {
    ++core.counters.repeated;
    seen = std::max(seen, known->lsn);
    co_return UpdateReply{known->epoch};
  }
  // Again when it is applied, exactly; here before data is written that would have no place.
  if (container->account) CO_CHECK_OK(container->account->check_room(payload_bytes));
  Update operation(core, request, payload, payload_bytes);
  CO_CHECK_OK(operation.prepare(*container));
  CO_CHECK_OK(co_await operation.write(until));
  ++core.counters.updates;
  co_return co_await core.store.run(
      [&operation, &seen](store::View& view) {
        auto result = operation.attempt(view, seen);
        seen = std::max(seen, view.seen());
        return result;
      },
      until);
}

}  // namespace cenote::object
