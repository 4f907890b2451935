#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "cenote/protocol/control_requests.h"
#include "engine_figures.h"
#include "pool_moves.h"

namespace cenote::cli {

/// Whether the control port of an engine says what it does.
enum class Reached : std::uint8_t {
  kYes,
  kNoAnswer,
  kNoPort,    ///< it has none
  kNotAsked,  ///< it is gone
};

struct TopEngine {
  EngineInfo info;
  Reached reached = Reached::kNotAsked;
  std::string reason;  ///< why there is no answer
  std::optional<EngineFigures> figures = std::nullopt;
};

struct TopPool {
  PoolMoves moves;
  MoveRate rate;
};

/// What `cenote top` shows: a system at a moment.
struct TopView {
  std::uint64_t at_s = 0;  ///< since 1970
  Duration interval{};
  std::string system;
  Uuid id;
  std::string trouble;             ///< what is shown as it was before, and why; empty: nothing is
  std::vector<TopEngine> engines;  ///< by rank
  std::vector<TopPool> moving;
  std::uint64_t stopped_since_s = 0;  ///< 0: the system is not stopped
  std::vector<PoolTrouble> degraded;  ///< some of which may be moving, too

  /// Of all engines that answer.
  EngineFigures total() const;
};

struct TopLine {
  enum class Look : std::uint8_t { kPlain, kHeader, kTrouble };
  std::string text;
  Look look = Look::kPlain;
};

/// For a reader who knows nothing else. Texts are broken so that they fit into as many columns; tables need 80, and are
/// joined to one where there is room for that.
std::vector<TopLine> top_lines(const TopView& view, std::size_t columns);
Json top_json(const TopView& view);

// Numbers in few columns: "1234", "12.3k"; "96.2M", powers of 1024; "350us", "1.2s".
std::string short_count(double count);
std::string short_bytes(double bytes);
std::string short_time(double seconds);

}  // namespace cenote::cli
