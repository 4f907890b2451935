#pragma once

#include <array>
#include <cstddef>
#include <cstdint>

#include "cenote/base/strong.h"
#include "cenote/media/block_device.h"

namespace cenote::store {

/// Position in the endless log, in bytes; the ring stores position modulo its size. Positions of later records are
/// larger, also across restarts. A batch's Lsn is the position just past its record.
using Lsn = Strong<struct LsnTag>;

/// Number of a named tree, never reused within one store.
using TreeId = Strong<struct TreeIdTag, std::uint32_t>;

/// Longest key of a tree and longest value: a leaf always holds at least four entries (asserted in page.h).
inline constexpr std::uint32_t kMaxKeyBytes = 1024;
/// Room for one key, for putting prefix and suffix together.
using KeyBuffer = std::array<std::byte, kMaxKeyBytes>;
inline constexpr std::uint32_t kMaxValueBytes = 2512;
/// Longest tree name.
inline constexpr std::uint32_t kMaxTreeNameBytes = 255;
/// Largest encoded batch; larger work is split by its caller.
inline constexpr std::uint32_t kMaxBatchBytes = 1u << 20;
/// Most puts and erases in one batch: all their pages must be cached at the same time.
inline constexpr std::uint32_t kMaxBatchEntries = 256;
/// Smallest page cache a store opens with.
inline constexpr std::uint64_t kMinCacheBytes = 24ull << 20;
/// An extent lies inside one allocation group of this many blocks (1 MiB).
inline constexpr std::uint32_t kGroupBlocks = 256;

/// A run of blocks of the data role.
struct Extent {
  media::BlockNo first{};
  std::uint32_t blocks = 0;
  friend constexpr auto operator<=>(const Extent&, const Extent&) = default;
};

/// Why extents are moved together, which says how much is worth it.
enum class CompactionNeed : std::uint8_t {
  kAhead,    ///< Pages may run short of whole groups; groups of which a quarter is free.
  kRefused,  ///< A write was refused for want of room; groups of which a sixteenth is free.
  kAll,      ///< All there is to gain, whether it is wanted or not.
};

}  // namespace cenote::store
