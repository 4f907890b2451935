#pragma once

#include "cenote/base/epoch.h"
#include "cenote/protocol/object_requests.h"

namespace cenote::object {

/// Versions of parts of one array, laid over each other by epoch: what a reader at one epoch sees of a range.
class Overlay {
 public:
  /// Marks a punched range.
  static constexpr std::uint32_t kHole = UINT32_MAX;

  /// A part of the result: `version` is the index given to `add`, or kHole for records punched or never written.
  struct Slice {
    std::uint64_t first = 0, end = 0;
    std::uint32_t version = kHole;
    Epoch epoch;  ///< zero: never written
    friend bool operator==(const Slice&, const Slice&) = default;
  };
  using Slices = SmallVector<Slice, 2>;

  void clear() { versions_.clear(); }
  /// Records [first, end) as of `epoch`. Versions of one epoch do not overlap, but for copies of the same data: of
  /// those the one with the smaller index shows.
  void add(std::uint64_t first, std::uint64_t end, Epoch epoch, std::uint32_t version) {
    versions_.push_back({first, end, version, epoch});
  }
  bool empty() const { return versions_.empty(); }

  /// Appends the slices of [first, end), ascending and without gaps; neighbours of the same version are joined.
  /// Reorders what was added.
  void resolve(std::uint64_t first, std::uint64_t end, Slices& out);

 private:
  struct Gap {
    std::uint64_t first, end;
  };
  void cover(const Slice& version);

  SmallVector<Slice, 2> versions_;
  SmallVector<Gap, 2> gaps_;  // not yet covered, ascending
  Slices covered_;
};

}  // namespace cenote::object
