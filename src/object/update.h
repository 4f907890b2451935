#pragma once

#include <array>

#include "core.h"
#include "io_group.h"
#include "transaction_scope.h"

namespace cenote::object {

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
    // Whatever is older is hidden, or was never there.
    if (born()) after.hidden = Epoch(epoch.value() - 1);
    if (after.is == AkeyState::Is::kSingle) return after;
    after.flags = flags;
    after.inherited = false;
    after.record_bytes = akey.record_bytes;
    if (born()) after.born = epoch;
    return after;
  }
};

/// Where the bytes of an update lie.
struct UpdatePayload {
  std::byte* data = nullptr;
  std::uint64_t bytes = 0;
  int registered_index = -1;  ///< as of media::Buffer
  /// Nothing else lies behind it in its last block, which is part of the same memory: it can be written from there,
  /// filled up with zeroes.
  bool owns_last_block = true;
};

/// One update: its data goes to extents of its own, then, in one attempt, its entries into the batch of the request,
/// which may hold those of others.
class Update {
 public:
  Update(Core& core, const UpdateRequest& request, UpdatePayload payload, Member member = Member::kComplete)
      : core_(core), request_(request), payload_(payload), member_(member), path_(request.object, request.dkey) {}
  Update(const Update&) = delete;
  Update& operator=(const Update&) = delete;
  // Extents that no batch claimed go back, whatever the reason.
  ~Update() {
    if (applied_) return;
    for (const Piece& piece : pieces_)
      for (const store::Extent& extent : piece.extents) core_.store.cancel(extent);
  }

  /// Verifies the payload and cuts it.
  Result<> prepare(const Container& container);
  Task<Result<>> write(Until until);

  // In one attempt, in this order, as often as it takes. `punched` is what the same transaction punches at the epoch
  // before its own; null: nothing.
  Result<> plan(const Container& container, const Reader& reader, const TransactionPunches* punched, store::Lsn& seen);
  void put(const Container& container, Epoch epoch);
  void applied(const Container& container, Epoch epoch, store::Lsn lsn);

  // In place of these three, for what keeps its epochs: each piece at a key of its own, and that all of them were.
  std::size_t piece_count() const { return pieces_.size(); }
  void put_piece(const Container& container, std::size_t index, ByteView key);
  void pieces_applied() { applied_ = true; }

  std::uint64_t added_bytes() const { return payload_.bytes; }
  const ObjectId& object() const { return request_.object; }
  /// Once planned: whether the container's own tree is known to hold something of the object.
  bool finds_object(const Container& container) const;
  /// Once planned: whether it is the birth of the array there.
  bool is_birth(const Place& place) const;

 private:
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
  void put_piece(const Container& container, const Piece& piece, ByteView key);

  Result<> check_dkey(const Reader& reader);
  Result<> check_akey(std::uint32_t index, bool exists) const;
  Result<AkeyState> state_before(AkeyLookup& akeys, std::uint32_t index, const TransactionPunches* punched) const;
  bool is_hidden(const TransactionPunches* punched) const;
  Result<AkeyPlan> plan_akey(const AkeyState& before, std::uint32_t index) const;
  std::string describe_akey(std::uint32_t index) const {
    return describe(request_.object, request_.dkey, request_.akeys[index].akey);
  }

  Core& core_;
  const UpdateRequest& request_;
  UpdatePayload payload_;
  const Member member_;
  KeyPath path_;
  SmallVector<Piece, 1> pieces_;
  Checksums checksums_;  // empty: not kept
  Compression compression_ = Compression::kNone;
  std::shared_ptr<Sealer> sealer_;  // of an encrypted container
  std::vector<Packing> packings_;
  ValueBytes values_;
  SmallVector<AkeyPlan, 1> plans_;  // by akey
  bool applied_ = false;
};

}  // namespace cenote::object
