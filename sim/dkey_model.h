#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <string>

#include "cenote/base/bytes.h"
#include "cenote/protocol/object_requests.h"

namespace cenote::sim {

/// Cells of the array of a dkey: each is written and read whole.
inline constexpr std::uint32_t kCells = 8;

/// Contents of one dkey with two akeys, a single value and an array of cells. Each write has a number of its own, which
/// names what it wrote: 0 stands for nothing there.
struct DkeyState {
  std::uint64_t single = 0;
  bool array = false;
  std::array<std::uint64_t, kCells> cells{};

  bool exists() const { return single != 0 || array; }
  std::size_t hash() const {
    std::uint64_t hash = single * 2 + (array ? 1 : 0);
    for (const std::uint64_t cell : cells) hash = hash * 0x100000001b3u + cell;
    return hash;
  }
  friend bool operator==(const DkeyState&, const DkeyState&) = default;
};

/// One request about a dkey, with what it was answered.
struct DkeyOperation {
  enum class Kind : std::uint8_t { kUpdate, kFetch, kPunchDkey, kPunchSingle, kPunchArray, kPunchBoth, kPunchCells };

  Kind kind = Kind::kFetch;
  Precondition dkey_condition = Precondition::kNone;  // of a punch, the one condition it has
  Precondition single_condition = Precondition::kNone;
  Precondition array_condition = Precondition::kNone;
  bool single = false, array = false;  ///< what an update or fetch touches
  std::uint32_t first = 0, count = 0;  ///< cells
  std::uint64_t number = 0;            ///< of an update

  // The answer.
  bool condition_failed = false;
  DkeyState seen;  ///< of a fetch: the parts it touched

  std::string describe() const;
};

/// What a dkey that works on one request at a time does.
struct DkeyModel {
  using State = DkeyState;
  using Operation = DkeyOperation;
  static std::optional<State> step(const State& state, const Operation& operation);
};

/// The bytes of a cell or single value: begins with the number that wrote it, the rest follows from that and `salt`.
Bytes contents(std::uint64_t number, std::uint64_t salt, std::size_t bytes);
/// The number in bytes that `contents` made; 0 for all zeroes; nothing for anything else.
std::optional<std::uint64_t> number_in(ByteView bytes, std::uint64_t salt);

}  // namespace cenote::sim
