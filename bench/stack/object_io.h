#pragma once

#include <cstdint>
#include <memory>

#include "cenote/protocol/object_requests.h"
#include "harness/comparison.h"

namespace cenote::bench {

/// Updates or fetches of one size, at random aligned offsets of one array object of `working_set` bytes in 1 MiB
/// chunks.
struct ObjectPattern {
  enum class Kind : std::uint8_t { kUpdate, kFetch };
  Kind kind = Kind::kUpdate;
  std::uint32_t bytes = 4096;
  unsigned depth = 1;
  std::uint64_t working_set = 64ull << 20;
};

/// What the value of a side is.
enum class Figure : std::uint8_t {
  kRate,     ///< operations per second
  kLatency,  ///< mean microseconds per operation
  kBytes,    ///< MiB per second
};
double figure_of(Figure figure, double operations_per_second, std::uint32_t bytes);

/// Through client, TCP, engine and device, durably, with checksums.
Result<std::unique_ptr<Side>> make_cenote_objects(const Setting& setting, ObjectPattern pattern, Figure figure);

/// E: a bare echo with the message sizes of this pattern.
Result<std::unique_ptr<Side>> make_echo(const Setting& setting, ObjectPattern pattern, Figure figure);

/// The part of the raw device that D's updates go round in.
inline constexpr std::uint64_t kDeviceBytes = 2ull << 30;

/// D: the raw device doing what the pattern does to a device. Reads are as random as the pattern's. Updates are new
/// blocks one after the other, since whoever keeps old versions readable overwrites none, in far more memory than
/// caches hold.
Result<std::unique_ptr<Side>> make_device(const Setting& setting, ObjectPattern pattern, Figure figure);

/// The requests as the client sends them; `index` chooses the piece.
UpdateRequest update_request(const ObjectPattern& pattern, std::uint64_t index);
FetchRequest fetch_request(const ObjectPattern& pattern, std::uint64_t index);

}  // namespace cenote::bench
