#pragma once

#include <array>
#include <deque>
#include <optional>
#include <vector>

#include "cenote/base/error.h"
#include "cenote/store/batch.h"
#include "space.h"

namespace cenote::store {

/// The space of a store: pages on the meta device, extents on the data device, which may be one device. Says when what
/// may be handed out, so that a checkpoint never lacks space (I8) and no block is reused too early (I7).
///
/// Two rules keep the checkpoint safe. *Now*: the slots that can be handed out are never fewer than the pages that the
/// next checkpoint will write (`dirty`). *For good*: pages that exist plus a reserve never exceed the slots there can
/// be, so after every checkpoint enough slots are free again to change pages at all; foreground work stops above the
/// whole reserve, compaction above three quarters, reclaiming above half of it.
///
/// Pages come in whole groups only. So extents go into holes first, and whole groups are made of holes again by
/// *vacating*: the groups that hold least are closed, and whoever knows whose their extents are moves them.
class Allocator {
 public:
  Allocator(const Geometry& geometry, std::uint64_t page_reserve);

  // Loading; see Space. `chunk` counts over all bitmap chunks of the store.
  void load_chunk(std::uint64_t chunk, ByteView bits);
  Result<> load_page_slot(std::uint64_t slot);
  Result<> finish_loading();

  // Replay.
  void forbid(Extent extent) { data_space().forbid(extent); }
  Result<> replay_claim(Extent extent);
  Result<> replay_release(Extent extent);
  void finish_replay() { data_space().finish_replay(); }

  // Extents in operation.
  /// kNoSpace, perhaps only until a running checkpoint or a pending release gives space back.
  Result<Extent> reserve(std::uint32_t blocks, SpaceClass space_class);
  void cancel(Extent extent) { data_space().cancel(extent); }
  void claim(Extent extent) { data_space().claim(extent); }
  bool is_reserved(Extent extent) const { return data().is_reserved(extent); }
  bool is_owned(Extent extent) const { return data().is_owned(extent); }
  /// The batch at `lsn` gave the extent back.
  void release(Extent extent, Lsn lsn);
  /// Makes released extents reusable as far as the log is durable and no guard from before is left.
  void reclaim(Lsn durable);
  /// From now on what `reclaim` frees waits, for its contents to be discarded: unavailable, first come first served.
  void keep_freed() { keeps_freed_ = true; }
  bool has_freed() const { return !freed_.empty(); }
  /// The oldest that waits, with those after it that lie beside it, `most_blocks` at most (but one at least). They stay
  /// unavailable until `give_back`.
  std::vector<Extent> take_freed_run(std::uint64_t most_blocks);
  void give_back(const std::vector<Extent>& extents);
  /// Makes all that waits available as it is, since space is wanted now. False: nothing waited.
  bool give_up_freed();
  std::uint64_t open_guard();
  void close_guard(std::uint64_t ticket);

  // Vacating, for compaction.
  /// Whether it may be worth while: pages have less room than `need` wants, and something has changed since nothing was
  /// to be gained. Cheap.
  bool may_vacate(CompactionNeed need) const;
  /// Chooses groups and closes them; returns how many. 0: nothing can be gained.
  std::uint64_t begin_vacating(CompactionNeed need);
  bool is_vacating(Extent extent) const { return data().is_closed(extent); }
  std::uint64_t vacating_left() const { return data().vacating_left(); }
  /// A place for data that is moved: a hole of another group. Shorter than `blocks` where there is none; kNoSpace.
  Result<Extent> reserve_hole(std::uint32_t blocks);
  /// How many groups were vacated. They are whole once what was released is reusable. See Space.
  std::uint64_t end_vacating(bool tried_all);
  /// Groups that are vacated and not whole yet, or in the making.
  std::uint64_t closed_groups() const { return data().closed_groups(); }
  /// Room for more pages, beside the reserve, in groups.
  std::uint64_t spare_groups() const;

  // Pages.
  enum class PageRoom {
    kYes,
    kAfterCheckpoint,  ///< Slots are missing that a checkpoint will give back.
    kFull,
  };
  /// Whether a batch may make `created` new pages and dirty `touched` ones, new ones included, when `dirty` are dirty.
  PageRoom page_room(std::uint64_t created, std::uint64_t touched, std::uint64_t dirty, SpaceClass space_class) const;
  void set_live_pages(std::uint64_t pages) { live_pages_ = pages; }
  void set_dirty_pages(std::uint64_t pages) { dirty_pages_ = pages; }
  std::optional<std::uint64_t> take_slot() { return meta_space().take_slot(); }
  void retire_slot(std::uint64_t slot) { meta_space().retire_slot(slot); }
  void make_slot_available(std::uint64_t slot) { meta_space().make_slot_available(slot); }

  /// take(chunk, bits) for each bitmap chunk that changed since the last call.
  template <typename Take>
  void take_dirty_chunks(Take take) {
    std::uint64_t base = 0;
    for (Space& space : spaces_) {
      space.take_dirty_chunks([&](std::uint64_t chunk, const Bytes& bits) { take(base + chunk, bits); });
      base += space.chunk_count();
    }
  }

  /// The same for every chunk that is not all zeroes, numbered as in `geometry`, a larger one.
  template <typename Take>
  void take_all_chunks(const Geometry& geometry, Take take) {
    for (Space& space : spaces_) {
      const std::uint64_t base = &space == &spaces_.front() ? 0 : geometry.meta_bitmap_chunks();
      space.take_all_chunks([&](std::uint64_t chunk, const Bytes& bits) { take(base + chunk, bits); });
    }
  }

  /// Takes groups of the meta device in a row for maps in a new place; at the end of its present space when `beyond`
  /// are going to be there. The first block, or kNoSpace when pages need what is free, or none are in a row.
  Result<std::uint64_t> take_map_groups(std::uint64_t groups, std::uint64_t beyond);
  /// The devices have grown to `geometry`, durably.
  void grow(const Geometry& geometry, std::uint64_t page_reserve);

  const Space& meta() const { return spaces_.front(); }
  const Space& data() const { return spaces_.back(); }
  std::uint64_t page_reserve() const { return page_reserve_; }
  std::uint64_t data_blocks_total() const;
  std::uint64_t data_blocks_free() const;
  std::uint64_t pending_releases() const { return pending_.size(); }
  void check_invariants() const;

 private:
  struct Pending {
    Extent extent;
    Lsn lsn;
    std::uint64_t guards;  // reusable when every guard with a smaller ticket is closed
  };

  Space& meta_space() { return spaces_.front(); }
  Space& data_space() { return spaces_.back(); }
  bool shared() const { return spaces_.size() == 1; }
  std::uint64_t reserve_of(SpaceClass space_class) const;
  std::uint64_t convertible_groups(SpaceClass space_class) const;
  std::uint64_t groups_wanted(CompactionNeed need) const;
  void note_barren(CompactionNeed need);
  std::optional<Extent> place(std::uint32_t blocks, std::uint64_t convertible);
  std::uint64_t oldest_guard() const { return first_guard_; }

  std::vector<Space> spaces_;  // of the meta device, and of the data device if it is another
  std::uint64_t page_reserve_;
  std::uint64_t data_reserve_;
  std::uint64_t live_pages_ = 0;
  std::uint64_t dirty_pages_ = 0;
  std::deque<Pending> pending_;
  bool keeps_freed_ = false;
  std::deque<Extent> freed_;
  std::uint64_t freed_blocks_ = 0;  // sum over freed_
  // Freed blocks of the data space, before which vacating gains nothing; by need.
  std::array<std::uint64_t, 3> barren_until_{};
  Extent pop_freed();
  std::deque<bool> guards_;  // whether the guard with ticket first_guard_ + i is open; the first one always is
  std::uint64_t first_guard_ = 0;
};

}  // namespace cenote::store
