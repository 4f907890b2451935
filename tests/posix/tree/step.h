#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace cenote::posix_tests {

enum class Deed : std::uint8_t {
  kCreate,
  kWrite,
  kAppend,
  kTruncate,
  kMakeDirectory,
  kMakeFifo,
  kLink,
  kSymlink,
  kRename,
  kRenameNoReplace,
  kExchange,
  kUnlink,
  kRemoveDirectory,
  kChmod,
  kChown,
  kSetXattr,
  kRemoveXattr,
  kHold,  ///< opens the file and keeps it open; `value` is its place
  kWriteHeld,
  kReleaseHeld,
};
inline constexpr std::size_t kDeeds = 20;

std::string_view to_string(Deed deed);

/// One operation on a tree. Paths are relative to its top; no path and no link's target has "..", so nothing leads out.
struct Step {
  std::uint64_t number = 0;
  Deed deed = Deed::kCreate;
  std::string path{};
  std::string other{};      ///< a second path, a link's target, an attribute's name
  std::uint64_t value = 0;  ///< a mode, an owner, a place; a pattern of data
  std::uint64_t offset = 0, length = 0;

  bool is_data() const { return deed == Deed::kWrite || deed == Deed::kAppend || deed == Deed::kTruncate; }
  /// What is written; no byte is zero.
  std::string data() const;
  /// One line, without its end; `parse` gives it back.
  std::string to_line() const;
  static std::optional<Step> parse(std::string_view line);
};

}  // namespace cenote::posix_tests
