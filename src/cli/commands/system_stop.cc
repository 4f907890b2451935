// The system stopped as a whole, for maintenance, and let go on: verbs of `system`.

#include "cenote/protocol/system_stop.h"

#include <fmt/ranges.h>

#include <algorithm>

#include "cenote/base/format.h"
#include "context.h"
#include "damage_listing.h"
#include "stop_signals.h"

namespace cenote::cli {
namespace {

using Clock = std::chrono::steady_clock;

constexpr Duration kPause = std::chrono::milliseconds(200);

struct Arguments {
  bool now = false;
};

/// "engine 2 is", "engines 0, 2 are".
std::string who(const std::vector<std::uint32_t>& ranks) {
  return fmt::format("engine{} {} {}", ranks.size() == 1 ? "" : "s", fmt::join(ranks, ", "),
                     ranks.size() == 1 ? "is" : "are");
}

std::size_t running(const SystemStopInfo& info) {
  return static_cast<std::size_t>(std::ranges::count(info.engines, std::string(kEngineUp), &StoppedEngine::state));
}

/// A line on standard error for whoever waits, when something else is waited for.
class Waiting {
 public:
  explicit Waiting(Context& context) : shown_(!context.quiet && !context.out.json()) {}
  void say(const std::string& what) {
    if (shown_ && what != said_) fmt::print(stderr, "{}\n", what);
    said_ = what;
  }

 private:
  bool shown_;
  std::string said_;
};

std::unexpected<Error> not_quiet(const std::vector<std::uint32_t>& ranks) {
  return failf(Code::kDeadlineExceeded,
               "the system is stopped, but {} still at what clients had asked for before: wait, and ask again by "
               "'cenote system stop'; if an engine is away that it needs, start that one, or stop the engines all the "
               "same: what is not answered yet is completed or undone when the system goes on",
               who(ranks));
}

Result<> stop(Context& context) {
  // Before the client has threads.
  StopSignals signals;
  TRY(Client * client, context.client());
  StopOfCalls stop(signals);
  const auto bounds = stop.bounded(context.bounds());
  const auto end = Clock::now() + bounds.timeout;
  TRY(SystemStopInfo info, client->stop_system(bounds));
  const bool changed = info.changed;
  Waiting waiting(context);
  for (auto busy = info.busy(); !busy.empty(); busy = info.busy()) {
    waiting.say(fmt::format("waiting: {} still at what clients had asked for", who(busy)));
    if (Clock::now() >= end) return not_quiet(busy);
    if (stop.wait_for(kPause))
      return failf(Code::kCancelled, "interrupted: the system is stopped, and {} still at what clients had asked for",
                   who(busy));
    TRY(info, client->query_stop(bounds));
    // Somebody else has let it go on.
    if (info.stopped_since_s == 0) return fail(Code::kConditionFailed, "the system goes on: somebody has started it");
  }
  info.changed = changed;
  context.out.document(Json::parse(to_json(info)));
  if (!changed) {
    context.out.line(fmt::format("the system is stopped already, since {}", local_time_text(info.stopped_since_s)));
    return {};
  }
  context.out.line(
      "the system is stopped: its engines serve nothing until 'cenote system start', and can be stopped in any order");
  return {};
}

/// Waits for the engines that are missing, as long as a command may take.
Result<SystemStopInfo> await_engines(Context& context, Client& client, StopOfCalls& stop) {
  const auto bounds = stop.bounded(context.bounds());
  const auto end = Clock::now() + bounds.timeout;
  Waiting waiting(context);
  for (;;) {
    TRY(SystemStopInfo info, client.query_stop(bounds));
    const auto missing = info.missing();
    if (info.stopped_since_s == 0 || missing.empty() || Clock::now() >= end) return info;
    waiting.say(fmt::format("waiting: {} not up", who(missing)));
    if (stop.wait_for(kPause)) return fail(Code::kCancelled, "interrupted: the system stays stopped");
  }
}

Result<> start(Context& context, const Arguments& arguments) {
  StopSignals signals;
  TRY(Client * client, context.client());
  StopOfCalls stop(signals);
  if (!arguments.now) CHECK_OK(await_engines(context, *client, stop));
  TRY(const SystemStopInfo info, client->start_system({.now = arguments.now}, stop.bounded(context.bounds())));
  context.out.document(Json::parse(to_json(info)));
  if (!info.changed) {
    context.out.line("the system is not stopped");
    return {};
  }
  context.out.line(fmt::format("the system goes on, with {} engine{}", running(info), running(info) == 1 ? "" : "s"));
  if (const auto missing = info.missing(); !missing.empty())
    context.out.line(fmt::format("{} not up: pools that can lose {} go on without", who(missing),
                                 missing.size() == 1 ? "it" : "some of them"));
  return {};
}

}  // namespace

std::string stopped_text(const SystemInfo& system) {
  return fmt::format("the system is stopped since {}: 'cenote system start' lets it go on",
                     local_time_text(system.stopped_since_s));
}

void add_system_stop(CLI::App& system, Context& context) {
  CLI::App* verb = add_verb(
      system, "stop", "Stop the system as a whole, for maintenance",
      "  cenote system stop                  # then stop the engines, switch off machines, in any order\n"
      "  cenote --timeout 5m system stop     # wait longer for what clients had begun\n"
      "Nothing is served, and nothing of pools and containers changes, until 'cenote system start'; no engine is "
      "excluded, and no\n"
      "data moves, whatever is switched off. What clients had begun ends first; what they ask for then waits, until "
      "their time is over.");
  verb->callback([&context] { context.action = [&context] { return stop(context); }; });
  const auto arguments = std::make_shared<Arguments>();
  verb =
      add_verb(system, "start", "Let a system go on that was stopped",
               "  cenote system start                     # when all engines are up that have a part in a pool\n"
               "  cenote --timeout 10m system start       # wait longer for them\n"
               "  cenote system start --now               # without those that are missing\n"
               "Engines that are missing then are gone from that moment on: pools that can lose them go on without.");
  verb->add_flag("--now", arguments->now, "do not wait for engines that are not up, go on without them");
  verb->callback([=, &context] { context.action = [=, &context] { return start(context, *arguments); }; });
}

}  // namespace cenote::cli
