#pragma once

#include <cstdint>
#include <deque>
#include <string>
#include <vector>

namespace cenote::fuse {

/// The places in an open directory that telldir(3) may have told of. A place is the number of an entry that was listed,
/// from 1 on, and means the entries behind its name, whatever is created or removed meanwhile.
///
/// Memory is bounded: the latest kRecent names are kept, and of older ones every kStride-th. A place in between is
/// found by counting from there, which is exact unless entries before it came or went meanwhile.
class DirectoryPlaces {
 public:
  static constexpr std::uint64_t kRecent = 65536, kStride = 1024;

  /// The place of an entry that is listed right behind `previous`: the one it had before, if it had one there.
  std::uint64_t place(std::uint64_t previous, const std::string& name);
  /// How a listing goes on behind a place: behind the name `after` (empty: from the start), leaving out `skip` entries.
  struct Continuation {
    std::string after;
    std::uint64_t skip = 0;
  };
  Continuation behind(std::uint64_t place) const;

 private:
  std::uint64_t count_ = 0;           // places given
  std::deque<std::string> recent_;    // names of the last of them
  std::vector<std::string> strides_;  // of the places kStride, 2 * kStride, ...
};

}  // namespace cenote::fuse
