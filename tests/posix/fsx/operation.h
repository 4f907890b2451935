#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "kit/random.h"

namespace cenote::posix_tests {

/// What can be done to the file.
enum class Action : std::uint8_t {
  kRead,
  kWrite,
  kAppend,
  kMappedRead,
  kMappedWrite,
  kTruncate,
  kAllocate,
  kAllocateBehind,  ///< with FALLOC_FL_KEEP_SIZE
  kPunch,
  kZero,
  kZeroBehind,  ///< with FALLOC_FL_KEEP_SIZE
  kCopy,        ///< copy_file_range within the file
  kSync,
  kReopen,
  kHoles,  ///< walks SEEK_DATA and SEEK_HOLE
  kCheck,  ///< size and whole content
};
inline constexpr std::size_t kActions = 16;

std::string_view to_string(Action action);
/// The place of the action with this name, -1 when there is none.
int action_of(std::string_view name);

/// One step. All of it follows from the seed and the size of the file before it, so every process can tell every step.
struct Operation {
  std::uint64_t number = 0;
  Action action = Action::kRead;
  unsigned client = 0;
  std::uint64_t offset = 0;  ///< of kTruncate: the new size
  std::uint64_t length = 0;
  std::uint64_t target = 0;  ///< of kCopy
  std::uint64_t pattern = 0;

  std::string describe() const;
  /// What kWrite, kAppend and kMappedWrite write.
  std::string data() const;
};

struct Plan {
  std::uint64_t seed = 1;
  unsigned clients = 1;
  std::uint64_t size_max = 256 << 10;   ///< of the file
  std::uint64_t length_max = 64 << 10;  ///< of one operation
  std::vector<Action> actions{};        ///< those that are drawn, each as often as it is listed
};

/// The sequence of operations of a seed.
class Sequence {
 public:
  explicit Sequence(Plan plan) : plan_(std::move(plan)), random_(plan_.seed) {}
  /// `size` is the size of the file now.
  Operation next(std::uint64_t size);

 private:
  std::uint64_t draw_offset(std::uint64_t limit);

  Plan plan_;
  Random random_;
  std::uint64_t number_ = 0;
  unsigned client_ = 0;
};

}  // namespace cenote::posix_tests
