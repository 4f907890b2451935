#include "update.h"

#include <algorithm>
#include <cstring>

#include "cenote/base/format.h"
#include "io_group.h"
#include "object_count.h"

namespace cenote::object {
namespace {

/// The rest of the last block must not show what lay there.
MutableBytes padded(const Piece& piece, MutableBytes blocks) {
  std::memset(blocks.data() + piece.bytes, 0, blocks.size() - piece.bytes);
  return blocks;
}

/// That the bytes are as many as the akeys want.
Result<> check_payload(const UpdateRequest& request, const media::Buffer& payload, std::uint64_t payload_bytes) {
  std::uint64_t bytes = 0;
  for (const AkeyUpdate& akey : request.akeys) bytes += akey.bytes;
  if (bytes == payload_bytes && payload.size() >= payload_bytes) return {};
  return failf(Code::kInvalidArgument, "payload: {} bytes, the akeys hold {}", payload_bytes, bytes);
}

}  // namespace

Result<> Update::prepare(const Container& container) {
  compression_ = container.properties.compression;
  sealer_ = container.sealer;
  CHECK_OK(verify_checksums(container.properties.checksums));
  cut();
  return {};
}

Result<> Update::verify_checksums(bool keep) {
  std::uint64_t offset = 0;
  for (std::uint32_t i = 0; i < request_.akeys.size(); ++i) {
    const AkeyUpdate& akey = request_.akeys[i];
    const ByteView data(payload_.data + offset, akey.bytes);
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
  const auto base = reinterpret_cast<std::uintptr_t>(payload_.data);  // only its place within a block counts
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
    const std::uint64_t begin = base + offset, end = begin + bytes;
    const bool alone_in_block =
        end % media::kBlockBytes == 0 || (offset + bytes == payload_.bytes && payload_.owns_last_block);
    piece.direct = piece.stored && begin % media::kBlockBytes == 0 && alone_in_block;
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
      add_writes(piece, padded(piece, {payload_.data + piece.offset, piece.stored_bytes()}), payload_.registered_index,
                 group);
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
      std::memcpy(room.data(), payload_.data + piece.offset, piece.bytes);
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
  const ByteView data(payload_.data + piece.offset, piece.bytes);
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
    append_inline(header, {payload_.data + piece.offset, piece.bytes}, values_);
  }
  piece.value_bytes = static_cast<std::uint32_t>(values_.size()) - piece.value_offset;
}

Result<> Update::check_dkey(const Reader& reader) {
  if (request_.dkey_condition == Precondition::kNone) return {};
  TRY(const bool exists, dkey_exists(reader, path_));
  if (exists == (request_.dkey_condition == Precondition::kPresent)) return {};
  return failf(Code::kConditionFailed, "object {}, dkey '{}': {}", request_.object.to_string(),
               printable(request_.dkey), exists ? "exists" : "does not exist");
}

Result<> Update::check_akey(std::uint32_t index, bool exists) const {
  const Precondition condition = request_.akeys[index].condition;
  if (condition == Precondition::kNone || exists == (condition == Precondition::kPresent)) return {};
  return failf(Code::kConditionFailed, "{}: {}", describe_akey(index), exists ? "exists" : "does not exist");
}

bool Update::is_hidden(const TransactionPunches* punched) const {
  if (punched == nullptr) return false;
  const auto prefixes = {path_.object_prefix(), path_.dkey_prefix(), path_.akey_prefix()};
  return std::ranges::any_of(prefixes, [punched](ByteView prefix) { return punched->hides(prefix); });
}

/// Of the path's akey, as the update meets it; its condition is about what is there before the punches of the same
/// transaction. What an incomplete member holds of it may be of earlier times, and is another by the time of the
/// commit: each array gets a birth, which is one or becomes part of one then.
Result<AkeyState> Update::state_before(AkeyLookup& akeys, std::uint32_t index,
                                       const TransactionPunches* punched) const {
  if (member_ == Member::kIncomplete) return AkeyState{};
  const bool hidden = is_hidden(punched);
  if (hidden && request_.akeys[index].condition == Precondition::kNone) return AkeyState{};
  TRY(AkeyState state, akeys.state());
  CHECK_OK(check_akey(index, state.exists()));
  if (hidden) return AkeyState{};
  if (punched == nullptr) return state;
  if (const auto flags = punched->flags(path_.akey_prefix())) state.flags = *flags;
  return state;
}

Result<AkeyPlan> Update::plan_akey(const AkeyState& before, std::uint32_t index) const {
  const AkeyUpdate& akey = request_.akeys[index];
  const bool array = akey.kind == ValueKind::kArray;
  if (before.exists() && (before.is == AkeyState::Is::kArray) != array)
    return failf(Code::kTypeMismatch, "{}: is {}", describe_akey(index), array ? "a single value" : "an array");
  AkeyPlan plan{.before = before, .flags = before.flags};
  if (!array) return plan;
  if (before.exists() && before.record_bytes != akey.record_bytes)
    return failf(Code::kTypeMismatch, "{}: its records have {} bytes, not {}", describe_akey(index),
                 before.record_bytes, akey.record_bytes);
  for (const Piece& piece : pieces_)
    if (piece.akey == index) plan.flags.add_class(extent_class(piece.bytes));
  plan.put_array = plan.born() || plan.flags != before.flags || before.inherited;
  return plan;
}

Result<> Update::plan(const Container& container, const Reader& reader, const TransactionPunches* punched,
                      store::Lsn& seen) {
  CHECK_OK(check_dkey(reader));
  AkeyLookup akeys(core_, container, reader, path_, seen);
  plans_.clear();
  for (std::uint32_t i = 0; i < request_.akeys.size(); ++i) {
    path_.set_akey(request_.akeys[i].akey);
    TRY(const AkeyState before, state_before(akeys, i, punched));
    TRY(const AkeyPlan plan, plan_akey(before, i));
    plans_.push_back(plan);
  }
  return {};
}

bool Update::finds_object(const Container& container) const {
  // What exists in a clone may lie in the tree of an ancestor.
  return !container.source && std::ranges::any_of(plans_, [](const AkeyPlan& plan) { return plan.before.exists(); });
}

bool Update::is_birth(const Place& place) const {
  if (request_.object != place.object || !place.dkey || !place.akey || !equal(request_.dkey, *place.dkey)) return false;
  for (std::uint32_t i = 0; i < plans_.size(); ++i)
    if (plans_[i].born() && equal(request_.akeys[i].akey, *place.akey)) return true;
  return false;
}

void Update::put(const Container& container, Epoch epoch) {
  store::Batch& batch = core_.batch;
  std::uint32_t akey = UINT32_MAX;
  for (const Piece& piece : pieces_) {
    const AkeyUpdate& update = request_.akeys[piece.akey];
    if (piece.akey != akey) {
      akey = piece.akey;
      path_.set_akey(update.akey);
      const AkeyPlan& plan = plans_[akey];
      if (plan.put_array) {
        ValueBytes value;
        append_array(update.record_bytes, plan.flags, value);
        batch.put(container.tree, path_.akey_entry(plan.born() ? epoch : plan.before.born), value);
      }
    }
    const ByteView key = update.kind == ValueKind::kSingle
                             ? path_.single(epoch)
                             : path_.extent(extent_class(piece.bytes), piece.first, epoch);
    put_piece(container, piece, key);
  }
}

void Update::put_piece(const Container& container, const Piece& piece, ByteView key) {
  core_.batch.put(container.tree, key, {values_.data() + piece.value_offset, piece.value_bytes});
  for (const store::Extent& extent : piece.extents) core_.batch.claim(extent);
}

void Update::put_piece(const Container& container, std::size_t index, ByteView key) {
  put_piece(container, pieces_[index], key);
}

/// Also tells the cache of akeys what the batch made of them.
void Update::applied(const Container& container, Epoch epoch, store::Lsn lsn) {
  applied_ = true;
  for (std::uint32_t i = 0; i < plans_.size(); ++i) {
    if (!plans_[i].born() && !plans_[i].put_array) continue;
    path_.set_akey(request_.akeys[i].akey);
    core_.akeys.put(container.tree, container.punches, path_.akey_prefix(), plans_[i].after(request_.akeys[i], epoch),
                    lsn);
  }
}

namespace {

Result<UpdateReply> attempt(Core& core, const UpdateRequest& request, Update& update, store::View& view,
                            store::Lsn& seen) {
  TRY(Container * container, core.find_container(request.container, seen));
  TRY(const auto known, core.sessions.check(request.id, core.wall_now()));
  if (known) {
    ++core.counters.repeated;
    seen = std::max(seen, known->lsn);
    return UpdateReply{known->epoch};
  }
  CHECK_OK(core.check_decided(request, kEpochLatest));
  CHECK_OK(update.plan(*container, container->reader(view, kEpochLatest), nullptr, seen));
  Core::Stamp stamp{.request = request.id,
                    .epoch = core.clock.next(core.wall_now()),
                    .added = {.bytes = update.added_bytes()},
                    .ceiling = {}};
  if (!update.finds_object(*container)) {
    TRY(stamp.added.objects, count_born(*container, view, {&request.object, 1}));
  }
  core.batch.clear();
  update.put(*container, stamp.epoch);
  core.stamp(*container, stamp);
  TRY(const store::Lsn lsn, core.apply_charged(*container, stamp, view));
  container->present = request.object;
  update.applied(*container, stamp.epoch, lsn);
  core.watches.note(container->id, request.object);
  seen = std::max(seen, lsn);
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
  if (container->account) CO_CHECK_OK(container->account->check_room({payload_bytes, 0}));
  CO_CHECK_OK(check_payload(request, payload, payload_bytes));
  Update operation(core, request,
                   {.data = payload.data(), .bytes = payload_bytes, .registered_index = payload.registered_index()});
  CO_CHECK_OK(operation.prepare(*container));
  CO_CHECK_OK(core.data_written(co_await operation.write(until)));
  ++core.counters.updates;
  co_return co_await core.store.run(
      [&](store::View& view) {
        auto result = attempt(core, request, operation, view, seen);
        seen = std::max(seen, view.seen());
        return result;
      },
      until);
}

}  // namespace cenote::object
