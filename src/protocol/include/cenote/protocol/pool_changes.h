#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "cenote/base/error.h"
#include "cenote/base/uuid.h"
#include "cenote/protocol/control_requests.h"

namespace cenote {

// Which engines have a part in a pool, at the wish of whoever runs the system, and how data moves because of it. JSON
// forms as those of control_requests.h.

enum class PoolOperation : std::uint8_t {
  kExclude,      ///< the engine is lost: others make its data anew, and it serves nothing of the pool from now on
  kDrain,        ///< its data moves to others; it serves until they have it
  kReintegrate,  ///< one that was excluded or drained gets its part again
  kExtend,       ///< one that never had a part gets one
};
/// "exclude", as in a path of the control API.
std::string_view operation_name(PoolOperation operation);
std::optional<PoolOperation> parse_operation(std::string_view name);

struct ChangeEngines {
  PoolOperation operation = PoolOperation::kExclude;  ///< not in the JSON: it is in the path
  std::vector<std::uint32_t> engines;                 ///< their ranks
};

/// What EngineChange::outcome says: it begins now; it had begun before, and data still moves; there is nothing to do.
inline constexpr const char* kChangeBegun = "begun";
inline constexpr const char* kChangeUnderWay = "under_way";
inline constexpr const char* kChangeDone = "done";

struct EngineChange {
  std::uint32_t rank = 0;
  std::string outcome;
  std::string state;  ///< as of MappedEngineInfo, in the new version
  friend bool operator==(const EngineChange&, const EngineChange&) = default;
};

struct PoolChanged {
  Uuid pool;
  std::string label;
  std::uint64_t map_version = 0;      ///< the newest
  std::vector<EngineChange> engines;  ///< those that were named
  friend bool operator==(const PoolChanged&, const PoolChanged&) = default;
};

/// One target that gets data.
struct TargetMove {
  std::uint32_t rank = 0;                ///< of its engine
  std::uint32_t target = 0;              ///< within the engine
  std::uint64_t bytes = 0, objects = 0;  ///< copied to it for this version of the map, since its engine started
  bool done = false;
  std::string obstacle;  ///< why it does not go on at the moment; empty: nothing does
  friend bool operator==(const TargetMove&, const TargetMove&) = default;
};

/// How the data of a pool moves to where its map wants it.
struct PoolMoves {
  Uuid pool;
  std::string label;
  std::uint64_t map_version = 0;
  std::uint64_t active_version = 0;  ///< lower while engines switch
  bool moving = false;
  bool paused = false;
  std::string state;  ///< as of PoolInfo
  std::uint64_t moved_bytes = 0, moved_objects = 0;
  /// About how much is to be moved in all: an estimate, by the weights of targets. 0: it cannot be told.
  std::uint64_t total_bytes = 0;
  std::vector<MappedEngineInfo> engines = {};
  std::vector<TargetMove> targets = {};    ///< those that get data, or have got it
  std::vector<std::uint32_t> silent = {};  ///< engines that could not be asked
  /// Nothing moves, and all engines know it.
  bool at_rest() const { return !moving && active_version == map_version; }
  /// Of what is to be moved; 100 only when nothing is.
  std::uint32_t percent() const;
  friend bool operator==(const PoolMoves&, const PoolMoves&) = default;
};

std::string to_json(const ChangeEngines& request);
std::string to_json(const PoolChanged& changed);
std::string to_json(const PoolMoves& moves);
/// The body of a POST on the moves of a pool.
std::string pause_request_to_json(bool paused);
Result<ChangeEngines> change_engines_from_json(std::string_view json);
Result<PoolChanged> pool_changed_from_json(std::string_view json);
Result<PoolMoves> pool_moves_from_json(std::string_view json);
Result<bool> pause_request_from_json(std::string_view json);

}  // namespace cenote
