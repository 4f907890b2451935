#include "each_engine.h"

#include <fmt/ranges.h>

#include <algorithm>
#include <atomic>
#include <thread>

#include "cenote/base/format.h"
#include "cenote/cenote.hpp"

namespace cenote::cli {
namespace {

constexpr std::size_t kAtOnce = 16;

Result<SystemInfo> ask(const EngineInfo& engine, std::span<const EngineInfo> engines, Duration timeout) {
  if (engine.state == kEngineGone || engine.addresses.empty())
    return failf(Code::kNotReady, "engine {} is {}", engine.rank, engine.state);
  async::ConnectOptions options;
  options.name = "cenote-cli";
  options.timeout = options.call_timeout = timeout;
  TRY(Client client, Client::connect(fmt::format("{}", fmt::join(engine.addresses, ",")), options));
  TRY(SystemInfo answer, client.system({.timeout = timeout}));
  if (is_of_another(answer, engine.rank, engines))
    return failf(Code::kUnreachable, "another engine answers at {}: see 'cenote server --advertise'",
                 engine.addresses.front());
  return answer;
}

}  // namespace

bool is_of_another(const SystemInfo& answer, std::uint32_t rank, std::span<const EngineInfo> engines) {
  const auto is_at = [&](const EngineInfo& engine) {
    return std::ranges::find(engine.addresses, answer.data_address) != engine.addresses.end();
  };
  // Behind an advertised address an engine knows only where it listens: that says nothing.
  const auto owner = std::ranges::find_if(engines, is_at);
  const auto own = std::ranges::find(engines, rank, &EngineInfo::rank);
  return owner != engines.end() && owner->rank != rank && (own == engines.end() || !is_at(*own));
}

std::vector<EngineAnswer> ask_engines(const std::vector<EngineInfo>& engines, Duration timeout) {
  std::vector<EngineAnswer> answers(engines.size());
  std::atomic<std::size_t> next = 0;
  const auto work = [&] {
    for (std::size_t index = next++; index < engines.size(); index = next++) {
      answers[index].engine = engines[index];
      answers[index].system = ask(engines[index], engines, timeout);
    }
  };
  std::vector<std::jthread> threads;
  for (std::size_t count = 0; count < std::min(kAtOnce, engines.size()); ++count) threads.emplace_back(work);
  threads.clear();
  return answers;
}

}  // namespace cenote::cli
