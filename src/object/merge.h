#pragma once

#include "core.h"
#include "eras.h"
#include "object_count.h"

namespace cenote::object {

/// One pass of aggregation over one container, in slices: removes the versions that no retained reader can see. Those
/// are the snapshots and all readers at or above `bound`; they cut the past into eras (eras.h).
///
/// What goes, per level (an entry is *old* when its epoch is at or below the bound; "newer" is within the same era):
///  - everything at or below the newest punch of the era of its object, dkey or akey; the older punches; and a punch
///    itself when the pass leaves the level and nothing from before it is left there, so that it hides nothing;
///  - all versions of a single value that have a newer one;
///  - extents and punched ranges of an array that newer ones cover in full; punched ranges that cover nothing older,
///    of whatever era.
/// What is covered in part gives back the blocks that nobody sees, where that frees more than it costs.
///
/// Of a clone, only its own tree is merged. What its punches hide may lie in the trees of its ancestors: then they
/// stay.
///
/// No version in the tree is one that a rollback took back; a rollback ends the pass. So does a change of the
/// ancestors. Copies of what they hold may come into the tree anywhere meanwhile: none is newer than what the clone
/// shows of them, so they are of an era of their own, and what hides them is kept for the ancestors' sake.
///
/// Where punches and births have to stay, since what they are about may still be copied from elsewhere
/// (`Core::is_at_rest`), only data goes that is hidden by what is here: what is copied later is hidden by the same, or
/// was there before it.
///
/// Invariant: every slice leaves the tree such that all retained readers see what they saw before; so a pass may stop
/// anywhere, and several may run at once. Snapshots that are added meanwhile lie at or above the bound; those that are
/// removed meanwhile are kept by this pass and merged by the next.
class Merge {
 public:
  enum class What : std::uint8_t { kAll, kHiddenData };
  Merge(Core& core, const Uuid& container, Epoch bound, What what)
      : core_(core), container_(container), bound_(bound), what_(what) {}

  /// Raises the container's bound, so that readers below it are refused from now on. False: the container is gone.
  Result<bool> start(store::View& view);
  /// One slice. True: the pass is over.
  Result<bool> slice(store::View& view);
  /// A rollback came between: what it took back has to be removed before another pass. Or a clone was flattened: its
  /// punches may hide what was copied where the pass has been.
  bool interrupted() const { return interrupted_; }

 private:
  enum class Phase : std::uint8_t {
    kKeys,     ///< between akeys: finds the next entry of a level or the next akey
    kSweep,    ///< through the akey's entries in key order
    kWindows,  ///< through the windows of the array, looking for what is covered
    kWide,     ///< removes punches of whole windows, which have done their work
  };
  /// An object, dkey or akey that the pass is in.
  struct Place {
    PathBytes prefix;  ///< empty: none
    /// The newest punch of each era that has one and is not hidden by a punch above; newest first.
    SmallVector<Epoch, 1> punches;
    Epoch oldest_kept = kEpochLatest;  ///< of what punches hide: the oldest below it that stays

    Epoch hidden(Epoch reader) const;
    /// The oldest punch that hides something of `epoch`.
    Epoch first_at_or_after(Epoch epoch) const;
  };
  /// An old entry of the akey itself that counts, and up to where it hides what is older.
  struct Turn {
    Epoch epoch, hides;
  };
  /// An array from its birth to the last retained reader that saw it.
  struct Life {
    Epoch born, last;
    std::uint32_t record_bytes = 0;
  };
  static constexpr std::size_t kNoEra = SIZE_MAX;
  /// Where the pass is. Changed only together with the tree: an attempt works on a copy.
  struct State {
    Phase phase = Phase::kKeys;
    PathBytes position;  // next key to look at
    Place object, dkey, akey;
    // Of the akey; newest first.
    SmallVector<Turn, 1> turns;
    SmallVector<Life, 1> lives;
    std::size_t hidden_era = kNoEra;  // era whose `hidden` this is
    Epoch hidden;
    std::size_t single_era = kNoEra;  // of the single value that was met last
    bool wide_punches = false;
    bool overlaps = false;  // two old extents may cover the same record
    std::uint32_t sweep_class = UINT32_MAX;
    std::size_t sweep_era = kNoEra;
    std::uint64_t sweep_first = UINT64_MAX, sweep_covered = 0, sweep_end = 0;
    std::size_t life = 0;         // whose windows are being looked at
    std::uint64_t window = 0;     // first record of the next window
    bool skipped_window = false;  // one was too crowded; the wide punches must stay

    void keep(Epoch epoch);
  };
  /// What one slice removes.
  struct Removal {
    std::uint32_t entries = 0, extents = 0;
    std::uint64_t bytes = 0, blocks = 0;
    std::uint64_t looked_at = 0;  ///< bytes of entries, which bounds the pages a slice keeps in the cache
    bool full() const { return entries >= 128 || extents >= 1024; }
  };
  struct Item;
  struct Window;

  Result<bool> step(const Reader& reader, State& state);
  Result<bool> step_keys(const Reader& reader, State& state);
  Result<> step_level(const Reader& reader, State& state, const ParsedKey& key);
  Result<> start_akey(const Reader& reader, State& state);
  void take_birth(State& state, Epoch born, std::uint32_t record_bytes);
  Epoch hidden_above(const State& state, std::size_t era) const;
  Epoch hidden(State& state, std::size_t era) const;
  Result<> step_sweep(const Reader& reader, State& state);
  Result<> sweep_entry(State& state, ByteView raw_key, ByteView value);
  Result<> sweep_extent(State& state, const ParsedKey& key, ByteView raw_key, ByteView value);
  Result<> end_sweep(const Reader& reader, State& state);
  Result<> step_windows(const Reader& reader, State& state);
  Result<std::optional<std::uint64_t>> next_window(const Reader& reader, const State& state, KeyPath& path);
  Result<> merge_window(const Reader& reader, State& state, KeyPath& path, RecordRange range);
  Result<bool> read_extents(const Reader& reader, KeyPath& path, Window& window);
  Result<> read_wide_punches(const Reader& reader, KeyPath& path, Window& window);
  Result<bool> remove_hidden_data(const Reader& reader, KeyPath& path, const Window& window);
  Result<bool> trim_extents(const Reader& reader, KeyPath& path, Window& window);
  Result<> trim_extent(const Reader& reader, KeyPath& path, Window& window, std::size_t index);
  void put_part(KeyPath& path, const Item& item, const Entry& whole, RecordRange part,
                std::span<const store::Extent> extents);
  bool remove_idle_holes(KeyPath& path, const Window& window);
  Result<> step_wide(const Reader& reader, State& state);
  bool covers_older_era(const State& state, Epoch punch) const;
  Result<> leave_akey(const Reader& reader, State& state);
  Result<bool> leave(const Reader& reader, Place& place);
  Result<bool> hides_inherited(const Reader& reader, ByteView prefix) const;

  bool rests(const Container& container) const { return what_ == What::kAll && core_.is_at_rest(container); }
  void remove(ByteView key);
  /// A punch, birth or punched range, which goes with all that it is about.
  void remove_fact(ByteView key);
  void release(std::span<const store::Extent> extents);
  Result<> remove_data(ByteView key, ByteView value);
  /// An entry that is hidden, whatever it holds.
  Result<> remove_hidden(ByteView key, ByteView value);

  Core& core_;
  Uuid container_;
  Epoch bound_;
  What what_;
  store::TreeId tree_;
  Eras eras_;
  // Of a clone: whom it reads through to, and what it sees of them. Its own versions are newer, but for births of
  // arrays that it took over.
  std::vector<Layer> ancestors_;
  Epoch inherited_;
  // Of the container when the pass began.
  std::uint64_t releases_ = 0, rollbacks_ = 0, relinks_ = 0;
  bool interrupted_ = false;
  State state_;
  Removal removal_;
  Emptied emptied_;
};

}  // namespace cenote::object
