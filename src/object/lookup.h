#pragma once

// What one reader at one epoch sees of objects, dkeys and akeys: plain functions over cached pages, for use inside an
// attempt of Store::run.

#include <algorithm>

#include "cenote/store/view.h"
#include "keys.h"
#include "overlay.h"
#include "rolled_back.h"
#include "values.h"

namespace cenote::object {

/// A tree as one reader sees it.
struct Reader {
  store::View& view;
  store::TreeId tree;
  Epoch epoch;                                   ///< sees versions up to and including this ...
  std::span<const RolledBack> rolled_back = {};  ///< ... but none of these

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

  bool exists() const { return is != Is::kAbsent; }
};

/// Newest punch of the object, or of the object and the path's dkey: versions up to and including it are hidden.
Result<Epoch> object_hidden(const Reader& reader, KeyPath& path);
Result<Epoch> dkey_hidden(const Reader& reader, KeyPath& path);
/// The path's akey; `hidden` is what `dkey_hidden` gave.
Result<AkeyState> akey_state(const Reader& reader, KeyPath& path, Epoch hidden);

/// Looks for an akey that exists among all below an object or dkey. It may have to pass many that are punched and not
/// merged yet, so it can stop and go on: in the same attempt, or in a later one where the answer need not be of one
/// moment.
class LiveKeySearch {
 public:
  /// `prefix`: of an object or of a dkey.
  explicit LiveKeySearch(ByteView prefix) : prefix_(prefix), position_(prefix) {}

  enum class Found : std::uint8_t { kYes, kNo, kMore };
  /// kMore: `budget` akeys were looked at and none exists.
  Result<Found> run(const Reader& reader, std::uint32_t budget);

 private:
  PathBytes prefix_;
  PathBytes position_;  // everything before it has been looked at
};

/// Whether any akey of the path's object or dkey exists, as of this attempt. kResourceExhausted when too many punched
/// ones are in the way.
Result<bool> object_exists(const Reader& reader, KeyPath& path);
Result<bool> dkey_exists(const Reader& reader, KeyPath& path);

/// A version of some records. The entry points into the tree.
struct Version {
  std::uint64_t first = 0;
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
  void add(std::uint64_t first, std::uint64_t end, Epoch epoch, const Entry& entry);
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
  Overlay overlay_;
  Epoch newest_;
};

/// Adds all versions that cover records of `range`, which lies inside one window of the array.
Result<> collect_versions(const Reader& reader, KeyPath& path, const AkeyState& array, RecordRange range,
                          Versions& versions);

/// The newest version of a single value. nullopt: none. The entry points into the tree.
struct SingleVersion {
  Epoch epoch;
  Entry entry;
};
Result<std::optional<SingleVersion>> find_single(const Reader& reader, KeyPath& path, Epoch hidden);

}  // namespace cenote::object
