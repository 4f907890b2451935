#pragma once

#include <deque>

#include "cenote/posix/attributes.h"

namespace cenote::posix {

/// One way in which something was reached.
struct Reached {
  enum class How : std::uint8_t {
    kHere,       ///< a name that has the inode
    kReference,  ///< a name that leads to the inode elsewhere
    kDirectory,  ///< a directory's own record
    kRemoved,    ///< it waits to be freed
    kOpen,       ///< a journal leads to it
  };
  std::uint64_t number = 0;
  FileType type = FileType::kFile;
  How how = How::kHere;
  bool is_wide = false;
  bool has_companion = false;
  bool is_odd = false;  ///< what was found says already that its inode is not all there is to it
};
static_assert(sizeof(Reached) == 16);

/// Everything that was reached, with 16 bytes for each time. Looked up by number once it is sorted.
class Ledger {
 public:
  using Iterator = std::deque<Reached>::iterator;
  struct Range {
    Iterator first, last;
    Iterator begin() const { return first; }
    Iterator end() const { return last; }
    bool empty() const { return first == last; }
  };

  void add(const Reached& reached) { reached_.push_back(reached); }
  void sort();
  Range all() { return {reached_.begin(), reached_.end()}; }
  /// All of one number.
  Range find(std::uint64_t number);
  /// Those from `first` on that have its number.
  Range group(const Iterator& first);

 private:
  std::deque<Reached> reached_;
};

/// Whether a name leads to something, and not only what keeps it until it is freed.
bool has_names(Ledger& ledger, std::uint64_t number);

}  // namespace cenote::posix
