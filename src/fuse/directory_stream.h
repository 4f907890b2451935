#pragma once

#include <string>
#include <vector>

#include "cenote/posix/file_system.h"
#include "directory_places.h"

namespace cenote::fuse {

/// An open directory and how far it has been listed. The kernel asks for one piece at a time, behind a place it was
/// told of.
///
/// Invariants: `page_[next_]` is what is listed behind `place_`, if anything is buffered. Places of "." and ".." are 1
/// and 2, those of entries follow.
class DirectoryStream {
 public:
  explicit DirectoryStream(posix::Node directory) : directory_(std::move(directory)) {}

  struct Entry {
    std::string name;
    posix::FileType type = posix::FileType::kDirectory;
    std::uint64_t number = 0;
    std::uint64_t place = 0;
    std::optional<posix::Found> found;  ///< with attributes, when they were asked for; not of "." and ".."
  };
  /// Goes on behind `place`; 0: anew, with what is there by now.
  Task<Result<>> seek(posix::FileSystem& files, std::uint64_t place, bool with_attributes, Until until);
  /// What comes next; nullptr at the end. Valid until the next call.
  Task<Result<const Entry*>> peek(posix::FileSystem& files, Until until);
  /// It was taken.
  void advance();

 private:
  Task<Result<>> fill(posix::FileSystem& files, Until until);

  posix::Node directory_;
  DirectoryPlaces places_;
  std::uint64_t place_ = 0;
  std::vector<Entry> page_;
  std::size_t next_ = 0;
  std::string last_name_;  // of the page: where the next begins
  bool with_attributes_ = false;
  bool at_end_ = false;
};

}  // namespace cenote::fuse
