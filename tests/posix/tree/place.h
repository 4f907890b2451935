#pragma once

#include <array>
#include <string>

#include "kit/fd.h"
#include "tree/step.h"

namespace cenote::posix_tests {

inline constexpr std::size_t kHeldFiles = 4;

/// When an operation counts as done.
enum class Durability : std::uint8_t {
  kNone,     ///< when its call returns
  kData,     ///< after fsync of what was written; names and attributes when their call returns
  kSyncAll,  ///< after syncfs, for file systems that make names durable only then
};

/// A tree below a directory, on which steps are done by system calls.
class Place {
 public:
  explicit Place(std::string top, Durability durability = Durability::kNone)
      : top_(std::move(top)), durability_(durability) {}

  const std::string& top() const { return top_; }
  /// 0, or the errno of the call that was refused.
  int perform(const Step& step);
  /// The contents of the files that are held open, also of those without a name; empty for free places.
  std::array<std::string, kHeldFiles> held() const;

 private:
  int perform_calls(const Step& step);
  int write(const Step& step, int flags) const;
  int write_to(const Fd& file, const Step& step) const;
  std::string full(const std::string& path) const { return top_ + "/" + path; }

  std::string top_;
  Durability durability_;
  std::array<Fd, kHeldFiles> held_;
};

}  // namespace cenote::posix_tests
