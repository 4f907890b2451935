#pragma once

#include <array>
#include <deque>

#include "cenote/posix/check.h"
#include "layout.h"

namespace cenote::posix {

/// A finding with what its repair needs to know of how it was.
struct Fault {
  Finding finding;
  Place place;         ///< of the record that is damaged, or leads to the damage
  ObjectId directory;  ///< where something should be: of a parent; or where it says that it is
  std::uint64_t session = 0;
  std::uint32_t links = 0;  ///< that the inode told of
  std::uint32_t names = 0;  ///< that lead to it
  bool has_inode = false;   ///< in the companion
  bool has_companion = false;
  bool has_tail = false;
};

/// What was found, up to a number: all others are counted only.
class Faults {
 public:
  explicit Faults(std::size_t most) : most_(most) {}

  /// nullptr: it is one too many.
  Fault* add(FindingKind kind, const ObjectId& object, std::string path, std::string detail);
  std::deque<Fault>& all() { return faults_; }
  std::uint64_t omitted() const { return omitted_; }
  bool empty() const { return faults_.empty() && omitted_ == 0; }

 private:
  std::size_t most_;
  std::deque<Fault> faults_;  // which do not move
  std::uint64_t omitted_ = 0;
};

}  // namespace cenote::posix
