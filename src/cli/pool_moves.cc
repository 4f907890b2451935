#include "pool_moves.h"

#include <algorithm>
#include <chrono>
#include <set>

#include "cenote/base/format.h"
#include "progress.h"

namespace cenote::cli {
namespace {

constexpr Duration kFirstPause = std::chrono::milliseconds(50);
constexpr Duration kLongestPause = std::chrono::seconds(1);

Instant now() { return Instant(std::chrono::steady_clock::now().time_since_epoch()); }

}  // namespace

void MoveRate::add(std::uint64_t moved_bytes, Instant at) {
  // An engine started again, or the data moves for another version: what was counted is of no use any more.
  if (!samples_.empty() && moved_bytes < samples_.back().bytes) samples_.clear();
  samples_.push_back({moved_bytes, at});
  while (samples_.size() > 2 && at - samples_[1].at >= kWindow) samples_.erase(samples_.begin());
}

std::optional<double> MoveRate::bytes_per_second() const {
  if (samples_.size() < 2 || samples_.back().at <= samples_.front().at) return std::nullopt;
  const double seconds = std::chrono::duration<double>(samples_.back().at - samples_.front().at).count();
  return static_cast<double>(samples_.back().bytes - samples_.front().bytes) / seconds;
}

std::optional<Duration> MoveRate::left(const PoolMoves& moves) const {
  const auto rate = bytes_per_second();
  if (!moves.moving || !rate || *rate <= 0 || moves.total_bytes <= moves.moved_bytes) return std::nullopt;
  const double seconds = static_cast<double>(moves.total_bytes - moves.moved_bytes) / *rate;
  return std::chrono::duration_cast<Duration>(std::chrono::duration<double>(std::min(seconds, 1e9)));
}

std::string moves_text(const PoolMoves& moves, const MoveRate& rate) {
  std::string text = moves.state;
  if (!moves.moving) return text;
  text += fmt::format(": {} %, {} of about {}", moves.percent(), human_bytes(moves.moved_bytes),
                      human_bytes(moves.total_bytes));
  if (const auto speed = rate.bytes_per_second())
    text += fmt::format(", {}/s", human_bytes(static_cast<std::uint64_t>(*speed)));
  if (const auto left = rate.left(moves))
    text += fmt::format(", about {} s left", std::chrono::ceil<std::chrono::seconds>(*left).count());
  return text;
}

Json moves_json(const PoolMoves& moves, const MoveRate& rate) {
  Json json = Json::parse(to_json(moves));
  json["percent"] = moves.percent();
  if (const auto speed = rate.bytes_per_second()) json["bytes_per_second"] = static_cast<std::uint64_t>(*speed);
  if (const auto left = rate.left(moves)) json["left_s"] = std::chrono::ceil<std::chrono::seconds>(*left).count();
  return json;
}

std::vector<std::string> obstacles_of(const PoolMoves& moves) {
  std::set<std::string> all;
  for (const TargetMove& target : moves.targets)
    if (!target.obstacle.empty() && !target.done)
      all.insert(fmt::format("engine {}: {}", target.rank, target.obstacle));
  for (const std::uint32_t rank : moves.silent) all.insert(fmt::format("engine {} cannot be asked", rank));
  if (moves.paused && moves.moving) return {fmt::format("paused: 'cenote pool rebuild resume {}'", moves.label)};
  return {all.begin(), all.end()};
}

void show_moves(Context& context, const PoolMoves& moves) {
  std::vector<std::vector<std::string>> rows;
  for (const TargetMove& target : moves.targets) {
    const std::string state = target.done ? "done" : target.obstacle.empty() ? "moving" : "waiting: " + target.obstacle;
    rows.push_back({std::to_string(target.rank), std::to_string(target.target), human_bytes(target.bytes),
                    std::to_string(target.objects), state});
  }
  if (!rows.empty()) context.out.table({"ENGINE", "TARGET", "COPIED", "OBJECTS", "STATE"}, rows);
  for (const std::uint32_t rank : moves.silent) context.out.line(fmt::format("engine {} cannot be asked", rank));
}

namespace {

bool may_answer_soon(Code code) {
  return code == Code::kUnreachable || code == Code::kDeadlineExceeded || code == Code::kNotReady ||
         code == Code::kBusy;
}

/// Asks again as long as there is no answer, but no longer than a command may take.
Result<PoolMoves> ask_patiently(Context& context, Client& client, const std::string& pool, StopOfCalls& stop) {
  const auto bounds = stop.bounded(context.bounds());
  const Instant end = now() + bounds.timeout;
  for (;;) {
    auto moves = client.query_moves(pool, bounds);
    if (moves || !may_answer_soon(moves.error().code()) || now() >= end || stop.wait_for(kLongestPause)) {
      if (moves || moves.error() == Code::kCancelled) return moves;
      return failf(moves.error().code(),
                   "{}; whatever moves goes on by itself: ask again with 'cenote pool rebuild status {}', or another "
                   "engine with --server",
                   moves.error().message(), pool);
    }
  }
}

}  // namespace

Result<PoolMoves> follow_moves(Context& context, Client& client, const std::string& pool, StopOfCalls& stop,
                               bool each) {
  TRY(PoolMoves moves, ask_patiently(context, client, pool, stop));
  Progress progress("moving data", 0, !context.quiet && !context.out.json(), "");
  progress.begin_at(moves.moved_bytes);
  MoveRate rate;
  std::vector<std::string> told;
  for (Duration pause = kFirstPause;; pause = std::min(2 * pause, kLongestPause)) {
    rate.add(moves.moved_bytes, now());
    if (each) context.out.event(moves_json(moves, rate));
    if (moves.at_rest()) break;
    progress.expect(moves.total_bytes);
    progress.update(moves.moved_bytes, 0);
    if (auto obstacles = obstacles_of(moves); obstacles != told) {
      progress.finish();
      for (const std::string& obstacle : obstacles)
        if (std::ranges::find(told, obstacle) == told.end()) context.out.line("waiting: " + obstacle);
      told = std::move(obstacles);
    }
    auto next =
        stop.wait_for(pause) ? Result<PoolMoves>(fail(Code::kCancelled)) : ask_patiently(context, client, pool, stop);
    if (!next && stop.came()) {
      context.exit = ExitCode::kInterrupted;
      break;
    }
    TRY(moves, std::move(next));
  }
  progress.finish();
  return moves;
}

}  // namespace cenote::cli
