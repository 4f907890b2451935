#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "cenote/base/error.h"

namespace cenote {

// That the system is stopped as a whole for maintenance, and goes on as it was. JSON forms as those of
// control_requests.h.

/// One engine, whether it runs or not.
struct StoppedEngine {
  std::uint32_t rank = 0;
  std::string state;    ///< kEngineUp or kEngineGone
  bool needed = false;  ///< it has a part in a pool
  bool quiet = false;   ///< it is up, and nothing runs there any more that clients had asked for before the stop
  friend bool operator==(const StoppedEngine&, const StoppedEngine&) = default;
};

struct SystemStopInfo {
  std::uint64_t stopped_since_s = 0;        ///< as of SystemInfo
  bool changed = false;                     ///< by what this answers
  std::vector<StoppedEngine> engines = {};  ///< by rank
  /// Engines that are up and not quiet yet.
  std::vector<std::uint32_t> busy() const;
  /// Engines that have a part in a pool and are not up.
  std::vector<std::uint32_t> missing() const;
  friend bool operator==(const SystemStopInfo&, const SystemStopInfo&) = default;
};

struct StartSystem {
  bool now = false;  ///< without the engines that are missing
};

std::string to_json(const SystemStopInfo& info);
std::string to_json(const StartSystem& request);
Result<SystemStopInfo> system_stop_from_json(std::string_view json);
Result<StartSystem> start_system_from_json(std::string_view json);

}  // namespace cenote
