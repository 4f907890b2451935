#pragma once

#include "core.h"

namespace cenote::object {

/// One pass of aggregation over one container, in slices: removes the versions that no reader at or above `bound` can
/// see.
///
/// What goes, per level (an entry is *old* when its epoch is at or below the bound):
///  - everything at or below the newest old punch of its object, dkey or akey; the older punches; and that punch itself
///    when the pass leaves the level, since then nothing is left that it hides;
///  - all old versions of a single value but the newest;
///  - old extents and punched ranges of an array that newer old ones cover in full; punched ranges that cover nothing
///    older.
/// What is covered in part stays whole.
///
/// Invariant: every slice leaves the tree such that all readers at or above the bound see what they saw before; so a
/// pass may stop anywhere, and several may run at once.
class Merge {
 public:
  Merge(Core& core, const Uuid& container, Epoch bound) : core_(core), container_(container), bound_(bound) {}

  /// Raises the container's bound, so that readers below it are refused from now on. False: the container is gone.
  Result<bool> start(store::View& view);
  /// One slice. True: the pass is over.
  Result<bool> slice(store::View& view);

 private:
  enum class Phase : std::uint8_t {
    kKeys,     ///< between akeys: finds the next entry of a level or the next akey
    kSweep,    ///< through the akey's entries in key order
    kWindows,  ///< through the windows of the array, looking for what is covered
    kWide,     ///< removes punches of whole windows, which have done their work
  };
  /// Where the pass is. Changed only together with the tree: an attempt works on a copy.
  struct State {
    Phase phase = Phase::kKeys;
    PathBytes position;  // next key to look at
    // The object and dkey the pass is in, and their newest old punch (its key; empty: none).
    PathBytes object, dkey, object_punch, dkey_punch;
    Epoch object_hidden, dkey_hidden;
    // The akey.
    PathBytes akey, akey_punch;
    Epoch hidden;
    std::uint32_t record_bytes = 0;  // of the array that lived at the bound; 0: none
    bool kept_single = false;
    bool wide_punches = false;
    bool overlaps = false;  // two old extents may cover the same record
    std::uint32_t sweep_class = UINT32_MAX;
    std::uint64_t sweep_first = UINT64_MAX, sweep_covered = 0, sweep_end = 0;
    std::uint64_t window = 0;     // first record of the next window
    bool skipped_window = false;  // one was too crowded; its wide punches must stay
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
  Result<> step_sweep(const Reader& reader, State& state);
  Result<> sweep_entry(State& state, ByteView raw_key, ByteView value);
  Result<> end_sweep(State& state);
  Result<> step_windows(const Reader& reader, State& state);
  Result<std::optional<std::uint64_t>> next_window(const Reader& reader, const State& state, KeyPath& path);
  Result<> merge_window(const Reader& reader, State& state, KeyPath& path, RecordRange range);
  Result<bool> read_extents(const Reader& reader, const State& state, KeyPath& path, Window& window);
  Result<> read_wide_punches(const Reader& reader, const State& state, KeyPath& path, Window& window);
  Result<bool> remove_hidden_data(const Reader& reader, KeyPath& path, const Window& window);
  bool remove_idle_holes(KeyPath& path, const Window& window);
  Result<> step_wide(const Reader& reader, State& state);
  void leave_akey(State& state);
  void leave_level(PathBytes& prefix, PathBytes& punch);

  void remove(ByteView key);
  Result<> remove_data(ByteView key, ByteView value);

  Core& core_;
  Uuid container_;
  Epoch bound_;
  store::TreeId tree_;
  State state_;
  Removal removal_;
};

}  // namespace cenote::object
