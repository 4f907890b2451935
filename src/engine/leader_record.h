#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "cenote/base/error.h"
#include "cenote/cluster/pool_map.h"

namespace cenote::engine {

/// The post of the one engine whose control service runs (docs/formats/control-state.md).
inline constexpr const char* kLeaderKey = "control-leader";

/// What its holder says of itself.
struct LeaderRecord {
  cluster::Rank rank;
  std::vector<std::string> addresses;  ///< of its data path, which takes admin requests, too
  friend bool operator==(const LeaderRecord&, const LeaderRecord&) = default;
};

std::string encode(const LeaderRecord& record);
/// kCorrupt.
Result<LeaderRecord> decode_leader(std::string_view value);

}  // namespace cenote::engine
