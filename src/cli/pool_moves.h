#pragma once

#include <optional>
#include <string>
#include <vector>

#include "cenote/protocol/pool_changes.h"
#include "context.h"
#include "stop_signals.h"

// How the commands show the moves of a pool's data.
namespace cenote::cli {

/// How fast data moves, as it follows from answers: over the last kWindow of them.
class MoveRate {
 public:
  static constexpr Duration kWindow = std::chrono::seconds(10);
  /// How much was moved at this moment.
  void add(std::uint64_t moved_bytes, Instant at);
  /// In bytes per second. nullopt: it cannot be told yet.
  std::optional<double> bytes_per_second() const;
  /// nullopt: it cannot be told, or nothing moves.
  std::optional<Duration> left(const PoolMoves& moves) const;

 private:
  struct Sample {
    std::uint64_t bytes;
    Instant at;
  };
  std::vector<Sample> samples_;
};

/// "moving: engine 2 is drained: 42 %, 1.2 GiB of about 2.8 GiB, 96 MiB/s, about 17 s left".
std::string moves_text(const PoolMoves& moves, const MoveRate& rate);
/// The same as a document: the answer, with `percent`, `bytes_per_second` and `left_s` as far as they are known.
Json moves_json(const PoolMoves& moves, const MoveRate& rate);
/// What stands in the way, each thing once.
std::vector<std::string> obstacles_of(const PoolMoves& moves);
/// The targets that get data.
void show_moves(Context& context, const PoolMoves& moves);

/// Asks until nothing of the pool moves any more, or until a signal, which ends the asking only; shows progress, and
/// what stands in the way. `each`: with --json, every answer that says something new is a line. What was answered last.
/// An engine that does not answer is asked again until the time of the command is over.
Result<PoolMoves> follow_moves(Context& context, Client& client, const std::string& pool, StopOfCalls& stop, bool each);

}  // namespace cenote::cli
