#pragma once

// What one reader at one epoch sees of objects, dkeys and akeys: plain functions over cached pages, for use inside an
// attempt of Store::run.

#include <algorithm>
#include <memory>
#include <vector>

#include "cenote/base/sealer.h"
#include "cenote/object/history.h"
#include "cenote/store/view.h"
#include "keys.h"
#include "overlay.h"
#include "rolled_back.h"
#include "values.h"

namespace cenote::object {

/// An ancestor of a clone: the clone's readers see what this tree's reader at `upto` sees, wherever the clone itself
/// and nearer ancestors have nothing that is newer.
struct Layer {
  store::TreeId tree;
  Epoch upto;
  const std::vector<RolledBack>* rolled_back;  ///< of the ancestor, as they are now
  const std::shared_ptr<Sealer>* sealer;       ///< opens its data
};

/// A tree as one reader sees it. With ancestors below, their trees as well: all versions of a layer are newer than all
/// that are seen of the layers below it, or copies of them (flatten.h), so the newest of anything is in the first layer
/// that has one.
struct Reader {
  store::View& view;
  store::TreeId tree;
  Epoch epoch;                                   ///< sees versions up to and including this ...
  std::span<const RolledBack> rolled_back = {};  ///< ... but none of these
  std::span<const Layer> below = {};             ///< the nearest ancestor first

  std::uint32_t layers() const { return 1 + static_cast<std::uint32_t>(below.size()); }
  /// What this reader sees of one layer alone; 0 is its own tree.
  Reader layer(std::uint32_t index) const {
    if (index == 0) return {view, tree, epoch, rolled_back};
    const Layer& ancestor = below[index - 1];
    return {view, ancestor.tree, std::min(epoch, ancestor.upto), *ancestor.rolled_back};
  }

  /// Whether a version of this epoch was taken back.
  bool is_rolled_back(Epoch version) const {
    return !rolled_back.empty() && find_rolled_back(rolled_back, version) != nullptr;
  }
};

/// State of an akey at the reader's epoch.
struct AkeyState {
  enum class Is : std::uint8_t { kAbsent, kSingle, kArray };
  Is is = Is::kAbsent;
  Epoch hidden;                    ///< versions up to and including this are punched, by whatever level
  Epoch born;                      ///< array: epoch of its birth entry
  std::uint32_t record_bytes = 0;  ///< array
  ArrayFlags flags;                ///< array
  bool inherited = false;          ///< array: its birth entry stands in the tree of an ancestor only

  bool exists() const { return is != Is::kAbsent; }
};

/// Newest punch of the object, or of the object and the path's dkey: versions up to and including it are hidden.
Result<Epoch> object_hidden(const Reader& reader, KeyPath& path);
Result<Epoch> dkey_hidden(const Reader& reader, KeyPath& path);
/// The path's akey; `hidden` is what `dkey_hidden` gave.
Result<AkeyState> akey_state(const Reader& reader, KeyPath& path, Epoch hidden);

/// Finds keys in all layers together, whatever their epoch and whoever sees them.
class KeySearch {
 public:
  explicit KeySearch(const Reader& reader) : reader_(reader), cursor_(reader.view, reader.tree) {}

  /// The first key at or after `from`, or the last one at or before it. False: there is none.
  Result<bool> first_from(ByteView from);
  Result<bool> last_up_to(ByteView from);
  /// Valid until the next search.
  ByteView key() const { return key_; }

 private:
  template <typename Seek, typename Better>
  Result<bool> search(ByteView from, Seek seek, Better better);

  const Reader& reader_;
  store::Cursor cursor_;
  ByteView key_;
  PathBytes ancestors_;
};

/// Looks for an akey that exists among all below an object or dkey. It may have to pass many that are punched and not
/// merged yet, so it can stop and go on: in the same attempt, or in a later one where the answer need not be of one
/// moment.
class LiveKeySearch {
 public:
  /// `prefix`: of an object or of a dkey. Of an object with `shown`, which outlives this: only in dkeys that it names.
  explicit LiveKeySearch(ByteView prefix, const HistoryFilter* shown = nullptr)
      : prefix_(prefix), position_(prefix), shown_(shown) {}

  enum class Found : std::uint8_t { kYes, kNo, kMore };
  /// kMore: `budget` akeys, or dkeys that are not shown, were looked at and none exists.
  Result<Found> run(const Reader& reader, std::uint32_t budget);

 private:
  PathBytes prefix_;
  PathBytes position_;  // everything before it has been looked at
  const HistoryFilter* shown_;
};

/// Whether any akey of the path's object or dkey exists, as of this attempt. kResourceExhausted when too many punched
/// ones are in the way.
Result<bool> object_exists(const Reader& reader, KeyPath& path);
Result<bool> dkey_exists(const Reader& reader, KeyPath& path);

/// A version of some records. The entry points into the tree.
struct Version {
  std::uint64_t first = 0;
  std::uint32_t extent_class = 0;
  std::uint32_t layer = 0;  ///< of the reader
  Entry entry;
};

/// The versions of an array that a reader may see in some range, with their entries. Reused from range to range. The
/// entries point into cached pages: they are good until the attempt that added them ends, and only where it changes
/// nothing meanwhile. An entry of a large extent has a kilobyte of checksums, of which a small read needs a few bytes.
class Versions {
 public:
  void clear() {
    versions_.clear();
    overlay_.clear();
    newest_ = kEpochZero;
  }
  /// What is added from now on is of this layer of the reader.
  void set_layer(std::uint32_t layer) { layer_ = layer; }
  void add(std::uint64_t first, std::uint64_t end, Epoch epoch, std::uint32_t extent_class, const Entry& entry);
  void add_hole(std::uint64_t first, std::uint64_t end, Epoch epoch) {
    newest_ = std::max(newest_, epoch);
    overlay_.add(first, end, epoch, Overlay::kHole);
  }
  /// Of those added; zero: none.
  Epoch newest() const { return newest_; }
  Overlay& overlay() { return overlay_; }
  const Version& operator[](std::uint32_t index) const { return versions_[index]; }

 private:
  SmallVector<Version, 2> versions_;
  std::uint32_t layer_ = 0;
  Overlay overlay_;
  Epoch newest_;
};

/// Adds all versions that cover records of `range`, which lies inside one window of the array.
Result<> collect_versions(const Reader& reader, KeyPath& path, const AkeyState& array, RecordRange range,
                          Versions& versions);

/// The newest version of a single value. nullopt: none. The entry points into the tree.
struct SingleVersion {
  Epoch epoch;
  std::uint32_t layer = 0;  ///< of the reader
  Entry entry;
};
Result<std::optional<SingleVersion>> find_single(const Reader& reader, KeyPath& path, Epoch hidden);

}  // namespace cenote::object
