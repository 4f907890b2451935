#include "system_watch.h"

#include <algorithm>
#include <ctime>

#include "cenote/base/format.h"
#include "each_engine.h"
#include "http_get.h"

namespace cenote::cli {
namespace {

using Clock = std::chrono::steady_clock;

// More than that nobody reads, and each costs the leader a round of questions.
constexpr std::size_t kMovingPoolsMax = 16;
constexpr const char* kPoolUp = "up";

bool is_degraded(const std::string& state) { return state.starts_with("degraded"); }

std::string silence_of(std::string_view who, Duration wait) {
  return fmt::format("no answer from {} within {:g} s", who, std::chrono::duration<double>(wait).count());
}

Instant now() { return Instant(Clock::now().time_since_epoch()); }

/// kUnreachable: it is another engine that answers there. What cannot be told is taken for the right one.
Result<> check_engine(const std::string& address, std::uint32_t rank, std::span<const EngineInfo> engines,
                      Duration limit) {
  TRY(const HttpAnswer answer, http_get(address, "/v1/system", limit));
  const auto system = system_info_from_json(answer.body);
  if (!system || !is_of_another(*system, rank, engines)) return {};
  return failf(Code::kUnreachable,
               "at {} another engine answers: give each a port that others reach ('cenote server "
               "--control')",
               address);
}

}  // namespace

Result<std::unique_ptr<SystemWatch>> SystemWatch::open(Client& client, Bounds bounds) {
  TRY(SystemInfo info, client.system({.timeout = bounds.limit}));
  return std::unique_ptr<SystemWatch>(new SystemWatch(client, bounds, std::move(info)));
}

SystemWatch::SystemWatch(Client& client, Bounds bounds, SystemInfo info)
    : client_(client),
      bounds_(bounds),
      system_([this](const SystemQuestion& question) { return ask_system(question); }) {
  take_info(std::move(info));
}

SystemWatch::~SystemWatch() { ending_.cancel(); }

/// In a thread of its own.
SystemWatch::SystemAnswer SystemWatch::ask_system(SystemQuestion question) {
  const CallBounds bounds{.timeout = bounds_.limit, .cancellation = &ending_};
  SystemAnswer answer{.system = client_.system(bounds), .pools = {}, .moves = {}};
  if (!answer.system || !question.moves) return answer;
  answer.pools = client_.list_pools(bounds);
  if (!answer.pools) return answer;
  std::erase_if(*answer.pools, [](const PoolInfo& pool) { return pool.state == kPoolUp; });
  const Clock::time_point end = Clock::now() + bounds_.limit;
  for (const PoolInfo& pool : *answer.pools) {
    // What is not known of it is left out.
    Result<PoolMoves> moves = fail(Code::kDeadlineExceeded);
    if (answer.moves.size() < kMovingPoolsMax && Clock::now() < end)
      moves = client_.query_moves(pool.id.to_string(), bounds);
    if (!moves) moves = PoolMoves{.pool = pool.id, .label = pool.label, .state = pool.state};
    if (moves->moving || !moves->at_rest() || !is_degraded(pool.state)) answer.moves.push_back(*std::move(moves));
  }
  return answer;
}

/// What the thread of an engine does. Who answers is asked once, and again when there was none.
std::function<Result<EngineScrape>(const SystemWatch::ProbeQuestion&)> SystemWatch::make_probe(Duration limit) {
  return [limit, checked = std::string()](const ProbeQuestion& question) mutable -> Result<EngineScrape> {
    const std::string address = question.control_address;
    const std::string known = std::exchange(checked, "");
    TRY(const HttpAnswer answer, http_get(address, "/metrics", limit));
    if (answer.status != 200) return failf(Code::kProtocolError, "{}/metrics answers {}", address, answer.status);
    auto scrape = read_scrape(answer.body, now());
    if (!scrape) return failf(Code::kProtocolError, "{}/metrics: {}", address, scrape.error().message());
    if (known != address && question.engines->size() > 1)
      CHECK_OK(check_engine(address, question.rank, *question.engines, limit));
    checked = address;
    return scrape;
  };
}

void SystemWatch::take_info(SystemInfo info) {
  info_ = std::move(info);
  // One of before 0.3 tells of itself only.
  if (info_.engines.empty())
    info_.engines.push_back({.rank = 0,
                             .id = {},
                             .addresses = {info_.data_address},
                             .control_address = info_.control_address,
                             .state = kEngineUp,
                             .targets = static_cast<std::uint32_t>(info_.targets.size()),
                             .leader = true});
  std::ranges::sort(info_.engines, {}, &EngineInfo::rank);
  engines_ = std::make_shared<const std::vector<EngineInfo>>(info_.engines);
}

void SystemWatch::ask_engine(const EngineInfo& engine) {
  Probe& probe = probes_.try_emplace(engine.rank, bounds_.limit).first->second;
  probe.asked = engine.state != kEngineGone && !engine.control_address.empty();
  // It may have restarted elsewhere, which its counters would not tell.
  if (!probe.asked) probe.last.reset();
  if (probe.asked)
    probe.asker.ask({.rank = engine.rank, .control_address = engine.control_address, .engines = engines_});
}

TopEngine SystemWatch::see_engine(const EngineInfo& engine, Clock::time_point deadline) {
  TopEngine seen{.info = engine};
  if (engine.state != kEngineGone && engine.control_address.empty()) seen.reached = Reached::kNoPort;
  const auto found = probes_.find(engine.rank);
  if (seen.reached == Reached::kNoPort || found == probes_.end() || !found->second.asked) return seen;
  Probe& probe = found->second;
  const auto answer = probe.asker.answer_by(deadline);
  if (engine.state == kEngineGone) return seen;
  if (answer && *answer) {
    seen.reached = Reached::kYes;
    seen.figures = figures_of(probe.last ? &*probe.last : nullptr, **answer);
    probe.last = **answer;
    return seen;
  }
  seen.reached = Reached::kNoAnswer;
  seen.reason = answer ? answer->error().message() : silence_of(engine.control_address, bounds_.wait);
  // What is late may still come.
  if (answer) probe.last.reset();
  return seen;
}

void SystemWatch::see_system(TopView& view, Clock::time_point deadline) {
  auto answer = system_.answer_by(deadline);
  const auto as_before = [&view](std::string_view what, std::string_view why) {
    view.trouble = fmt::format("{} are shown as they were: {}", what, why);
  };
  if (!answer) {
    as_before("engines and pools", silence_of("the system", bounds_.wait));
  } else if (!answer->system) {
    as_before("engines and pools", answer->system.error().message());
  } else {
    take_info(*std::move(answer->system));
    if (!answer->pools) as_before("pools", answer->pools.error().message());
    see_pools(*answer);
  }
  view.moving = moving_;
  view.degraded = degraded_;
  view.stopped_since_s = info_.stopped_since_s;
}

void SystemWatch::see_pools(const SystemAnswer& answer) {
  if (!answer.pools) return;
  moving_.clear();
  std::map<Uuid, MoveRate> rates;
  for (const PoolMoves& moves : answer.moves) {
    MoveRate& rate = rates[moves.pool] = rates_[moves.pool];
    rate.add(moves.moved_bytes, now());
    moving_.push_back({.moves = moves, .rate = rate});
  }
  rates_ = std::move(rates);
  // The leader knows of more pools than the engine that was asked.
  degraded_ = info_.degraded_pools;
  for (const PoolInfo& pool : *answer.pools)
    if (is_degraded(pool.state) && std::ranges::find(degraded_, pool.id, &PoolTrouble::id) == degraded_.end())
      degraded_.push_back({.id = pool.id, .label = pool.label, .state = pool.state});
}

TopView SystemWatch::look() {
  const Clock::time_point deadline = Clock::now() + bounds_.wait;
  system_.ask({.moves = moves_wanted_});
  for (const EngineInfo& engine : info_.engines) ask_engine(engine);
  TopView view{.at_s = static_cast<std::uint64_t>(std::time(nullptr)), .system = {}, .id = {}, .trouble = {}};
  see_system(view, deadline);
  view.system = info_.name;
  view.id = info_.system;
  for (const EngineInfo& engine : info_.engines) view.engines.push_back(see_engine(engine, deadline));
  // Pools are many, and mostly at rest: they are asked about when something says that they are not.
  moves_wanted_ = !moving_.empty() || !degraded_.empty() || !info_.degraded_pools.empty();
  for (const TopEngine& engine : view.engines) {
    const bool unknown = engine.info.state != kEngineGone && engine.reached != Reached::kYes;
    if (unknown || (engine.figures && engine.figures->now.moving_pools > 0)) moves_wanted_ = true;
  }
  return view;
}

}  // namespace cenote::cli
