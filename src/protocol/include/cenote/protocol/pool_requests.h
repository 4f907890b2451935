#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "cenote/base/bytes.h"
#include "cenote/base/error.h"
#include "cenote/base/uuid.h"

namespace cenote {

inline constexpr std::size_t kMaxPoolEngines = 65536;
inline constexpr std::size_t kMaxEngineAddresses = 8;
inline constexpr std::size_t kMaxEngineAddressBytes = 128;
/// Most bytes of the map in an answer; it fits a message, and any map that a coordinator keeps fits it.
inline constexpr std::size_t kMaxPoolMapBytes = 512u << 10;

/// Asks where the data of a pool is (Opcode::kPoolView).
struct PoolViewRequest {
  Uuid pool;
};

/// An engine of a pool, as it can be reached.
struct PoolEngine {
  std::uint32_t rank = 0;
  /// Where it listens, "host:port". None: it is not running, or it is the only one of its system, which the asker is
  /// connected to.
  std::vector<std::string> addresses;
  friend bool operator==(const PoolEngine&, const PoolEngine&) = default;
};

/// All that routes the requests for a pool.
struct PoolView {
  /// The active version of its map, encoded (docs/formats/pool-map.md); empty for a pool that was made without one:
  /// then all targets of the only engine have it.
  Bytes map;
  /// Of that engine. 0 with a map.
  std::uint32_t targets = 0;
  std::vector<PoolEngine> engines;
  friend bool operator==(const PoolView&, const PoolView&) = default;
};

// Wire forms: docs/protocols/object.md. Decoders take any bytes: kMalformed, kOutOfRange.
void encode(const PoolViewRequest& request, Bytes& out);
void encode(const PoolView& view, Bytes& out);
Result<PoolViewRequest> decode_pool_view_request(ByteView from);
Result<PoolView> decode_pool_view(ByteView from);

}  // namespace cenote
