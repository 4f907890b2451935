#pragma once

#include <algorithm>
#include <array>
#include <cstdint>
#include <optional>
#include <unordered_map>
#include <unordered_set>
#include <vector>

#include "cenote/base/bytes.h"
#include "geometry.h"
#include "group_bits.h"
#include "index_set.h"

namespace cenote::store {

/// Which blocks of one device are taken, in groups of 256 that hold either pages (slots of four blocks) or extents
/// (runs), or are free and become either. Knows nothing of logs or limits: `Allocator` says what may be done when.
///
/// Each block has two bits. *Persistent*: a page image of the newest state or an owned extent lies there; what the
/// bitmap chunks hold. *Unavailable*: cannot be handed out: persistent, reserved, or given up but still readable by
/// someone or needed after a crash.
///
/// Invariants: persistent implies unavailable. A reserved block is unavailable and not persistent. A group is free
/// exactly when none of its blocks is unavailable and it is not fixed. Pages lie in meta groups, at multiples of four;
/// extents in data groups. A closed group is a data group, and no extent is reserved in it.
class Space {
 public:
  enum class Kind : std::uint8_t { kFree, kMeta, kData, kFixed };

  Space(std::uint64_t device_blocks, const std::vector<Region>& fixed);

  // Loading: chunks and slots first, then `finish_loading` once.
  void load_chunk(std::uint64_t chunk, ByteView bits);
  /// `slot` lies on the device.
  void load_slot(std::uint64_t slot);
  /// kCorrupt when the slots and the bits contradict each other.
  Result<> finish_loading();

  // Extents. A reserved one is nobody's yet; a claimed one is persistent.
  /// A run of `blocks` or, where `shorter`, the longest there is. Takes a new group only if `may_convert`.
  std::optional<Extent> reserve(std::uint32_t blocks, bool may_convert);
  std::optional<Extent> reserve_shorter(std::uint32_t blocks);
  /// A run of `blocks` in the tightest hole, or the longest hole where none is long enough. Breaks no free group, and
  /// leaves a sequential writer where it is.
  std::optional<Extent> reserve_hole(std::uint32_t blocks);
  /// The longest run that `reserve_shorter` can hand out, about: half of it or more is there.
  std::uint32_t longest_hole() const;
  bool is_reserved(Extent extent) const;
  void cancel(Extent extent);
  void claim(Extent extent);
  bool is_owned(Extent extent) const;
  /// No longer persistent, still unavailable.
  void release(Extent extent);
  void make_available(Extent extent);

  // The same during replay, where nothing is reserved and nobody reads.
  /// An extent that a later record claims: nothing else may be put there meanwhile.
  void forbid(Extent extent);
  bool claimable(Extent extent) const;
  void replay_claim(Extent extent);
  void replay_release(Extent extent);
  /// Lifts what `forbid` and replayed releases kept unavailable.
  void finish_replay();

  // Pages.
  /// A slot for a page image, persistent and unavailable at once.
  std::optional<std::uint64_t> take_slot();
  /// No longer persistent, still unavailable: the checkpoint on the media refers to it.
  void retire_slot(std::uint64_t slot);
  void make_slot_available(std::uint64_t slot);

  // Vacating: groups become free when their extents are moved into holes of others, by whoever knows whose they are.
  /// Closes the data groups that hold least, as long as what they hold fits into the holes of those left open: `most`
  /// at most, with `least_free` free blocks each. Returns how many.
  std::uint64_t begin_vacating(std::uint64_t most, std::uint32_t least_free);
  bool is_closed(Extent extent) const;
  /// Blocks that are still owned in the groups chosen last.
  std::uint64_t vacating_left() const;
  /// Returns how many of the groups chosen last nobody owns anything of any more. Those stay closed until they are
  /// free; the others are open again, and if `tried_all` are not chosen again before something in them is released.
  std::uint64_t end_vacating(bool tried_all);
  /// Opens a closed group, for one who needs its holes. False: there is none.
  bool reopen_one();
  std::uint64_t closed_groups() const { return closed_.count(); }
  /// Blocks that became available in data groups, ever.
  std::uint64_t freed_blocks() const { return freed_blocks_; }

  // Growth.
  /// `groups` free groups in a row, if there are.
  std::optional<std::uint64_t> free_run_of_groups(std::uint64_t groups) const;
  /// Takes free groups for a fixed region.
  void fix(std::uint64_t first_group, std::uint64_t groups);
  /// The device has grown, and what is fixed is now `fixed`: what was fixed and is not any more is free, like what is
  /// new. What is fixed newly was so already or is new.
  void grow(std::uint64_t device_blocks, const std::vector<Region>& fixed);

  // The bitmap in chunks, for checkpoints.
  std::uint64_t chunk_count() const { return dirty_chunks_.limit(); }
  /// Appends the dirty chunks and marks all clean.
  template <typename Take>
  void take_dirty_chunks(Take take) {
    while (const auto chunk = dirty_chunks_.first()) {
      dirty_chunks_.remove(*chunk);
      take(*chunk, chunk_bits(*chunk));
    }
  }

  /// take(chunk, bits) for every chunk that is not all zeroes, and marks all clean.
  template <typename Take>
  void take_all_chunks(Take take) {
    take_dirty_chunks([](std::uint64_t, const Bytes&) {});
    for (std::uint64_t chunk = 0; chunk < chunk_count(); ++chunk) {
      const Bytes bits = chunk_bits(chunk);
      if (std::ranges::any_of(bits, [](std::byte b) { return b != std::byte{0}; })) take(chunk, bits);
    }
  }

  std::uint64_t free_groups() const { return free_.count(); }
  std::uint64_t meta_groups() const { return meta_groups_; }
  std::uint64_t data_groups() const { return data_groups_; }
  /// Slots that `take_slot` can hand out, free groups included.
  std::uint64_t slots_available() const { return free_.count() * kSlotsPerGroup + free_slots_; }
  /// Slots there would be if nothing but extents took space.
  std::uint64_t slots_capacity() const { return (free_.count() + meta_groups_) * kSlotsPerGroup; }
  /// Free blocks in data groups.
  std::uint64_t data_blocks_available() const { return data_available_; }
  std::uint64_t groups() const { return kinds_.size(); }
  bool persistent(std::uint64_t block) const { return persistent_[block / kGroupBlocks].test(block % kGroupBlocks); }
  const GroupBits& persistent_bits(std::uint64_t group) const { return persistent_[group]; }
  std::uint64_t persistent_blocks() const;
  std::uint64_t reserved_blocks() const;
  void check_invariants() const;

 private:
  /// Of the longest free run: 1, 2 ... 8, each alone, so that a short extent finds a hole of its size wherever there is
  /// one; then 9-15, 16-31 ... 256.
  static constexpr std::uint32_t kRunClasses = 14;
  static std::uint32_t run_class(std::uint32_t blocks);

  Bytes chunk_bits(std::uint64_t chunk) const;
  /// Sets the kind of a group and every count and index that depends on its bits.
  void forget(std::uint64_t group);
  void remember(std::uint64_t group, Kind kind);
  void remember_by_bits(std::uint64_t group);
  void touch(std::uint64_t group);
  std::optional<std::uint64_t> find_data_group(std::uint32_t blocks) const;
  Extent take_run(std::uint64_t group, GroupBits::Run run);
  void reopen(std::uint64_t group);
  std::optional<Extent> continue_sequence(std::uint32_t blocks);

  std::vector<GroupBits> persistent_;
  std::vector<GroupBits> unavailable_;
  std::vector<Kind> kinds_;
  IndexSet free_;
  IndexSet meta_with_room_;
  std::array<IndexSet, kRunClasses> data_by_run_;
  IndexSet dirty_chunks_;
  std::unordered_map<std::uint64_t, GroupBits> reserved_;  // of groups that have reservations
  std::uint64_t meta_groups_ = 0;
  std::uint64_t data_groups_ = 0;
  std::uint64_t free_slots_ = 0;
  std::uint64_t data_available_ = 0;
  std::uint64_t loaded_slots_ = 0;
  std::uint64_t sequence_ = 0;  // block after the last reservation: where a sequential writer goes on
  IndexSet closed_;
  std::vector<std::uint64_t> vacating_;  // chosen last
  std::unordered_set<std::uint64_t>
      immovable_;  // groups that could not be vacated, until something in them is released
  std::uint64_t freed_blocks_ = 0;
};

}  // namespace cenote::store
