#include <unistd.h>

#include <algorithm>
#include <chrono>

#include "cenote/base/format.h"
#include "context.h"
#include "live_terminal.h"
#include "stop_signals.h"
#include "system_watch.h"

namespace cenote::cli {
namespace {

using Clock = std::chrono::steady_clock;

// A view of people must not stand still for long; a document may wait for an engine that has much to do.
constexpr SystemWatch::Bounds kForPeople{.wait = std::chrono::seconds(1), .limit = std::chrono::seconds(2)};
constexpr SystemWatch::Bounds kForPrograms{.wait = std::chrono::seconds(5), .limit = std::chrono::seconds(5)};
constexpr Duration kShortestInterval = std::chrono::milliseconds(100);
constexpr Duration kLongestInterval = std::chrono::hours(1);

struct Arguments {
  std::string interval = "2s";
  std::uint32_t count = 0;
  bool once = false;
};

Result<Duration> parse_interval(const std::string& text) {
  TRY(const std::uint64_t nanoseconds, parse_nanoseconds(text));
  const Duration interval(static_cast<std::int64_t>(nanoseconds));
  if (interval < kShortestInterval || interval > kLongestInterval)
    return failf(Code::kInvalidArgument, "--interval {}: give something from 100ms to 1h", text);
  return interval;
}

/// The moments at which something is shown, an interval apart as long as it is ready by then.
class Beat {
 public:
  explicit Beat(Duration interval) : interval_(interval), next_(Clock::now()) {}
  void advance() { next_ = std::max(next_ + interval_, Clock::now()); }
  /// 0: now.
  Duration left() const { return std::max<Duration>(next_ - Clock::now(), Duration::zero()); }

 private:
  Duration interval_;
  Clock::time_point next_;
};

struct Show {
  Context& context;
  SystemWatch& watch;
  StopSignals& signals;
  Duration interval;
  std::uint32_t count;  ///< 0: until it is ended

  TopView look() const {
    TopView view = watch.look();
    view.interval = interval;
    return view;
  }
};

void print(Context& context, const TopView& view, bool first, bool only) {
  if (!first) context.out.line("");
  for (const TopLine& line : top_lines(view, terminal_width())) context.out.line(line.text);
  if (only) {
    context.out.document(top_json(view));
  } else {
    context.out.event(top_json(view));
  }
}

/// Document after document. The first look is not shown: it knows no rates.
Result<> print_all(const Show& show) {
  Beat beat(show.interval);
  static_cast<void>(show.look());
  for (std::uint32_t shown = 0; show.count == 0 || shown < show.count; ++shown) {
    beat.advance();
    if (show.signals.wait_for(beat.left())) break;
    print(show.context, show.look(), shown == 0, show.count == 1);
    if (!show.context.out.finish() || show.context.out.broken()) break;
  }
  return {};
}

/// Whether it is time for the next view, not for the end.
bool wait_for_beat(const Show& show, LiveTerminal& terminal, const Beat& beat) {
  for (;;) {
    switch (show.signals.wait_for(beat.left(), terminal.input())) {
      case StopSignals::Woken::kTime:
        return true;
      case StopSignals::Woken::kSignal:
        return false;
      case StopSignals::Woken::kInput:
        if (terminal.wants_end()) return false;
    }
  }
}

Result<> draw_all(const Show& show) {
  LiveTerminal terminal;
  Beat beat(show.interval);
  // The first one, at once, without rates.
  for (std::uint32_t drawn = 0;; ++drawn) {
    std::vector<TopLine> lines = top_lines(show.look(), terminal_width());
    lines.insert(lines.begin() + 1, TopLine{drawn == 0 ? "rates follow; q ends" : "q ends"});
    CHECK_OK(terminal.draw(lines));
    if (show.count != 0 && drawn == show.count) return {};
    beat.advance();
    if (!wait_for_beat(show, terminal, beat)) return {};
  }
}

SystemWatch::Bounds bounds_of(const Context& context, bool live) {
  SystemWatch::Bounds bounds = live ? kForPeople : kForPrograms;
  bounds.wait = std::min<Duration>(bounds.wait, context.bounds().timeout);
  bounds.limit = std::min<Duration>(bounds.limit, context.bounds().timeout);
  return bounds;
}

Result<> top(Context& context, const Arguments& arguments) {
  TRY(const Duration interval, parse_interval(arguments.interval));
  // Before anything has threads.
  StopSignals signals;
  const bool live = !context.out.json() && !arguments.once && ::isatty(STDOUT_FILENO) != 0;
  TRY(Client * client, context.client());
  TRY(const auto watch, SystemWatch::open(*client, bounds_of(context, live)));
  const Show show{.context = context,
                  .watch = *watch,
                  .signals = signals,
                  .interval = interval,
                  .count = arguments.once ? 1 : arguments.count};
  return live ? draw_all(show) : print_all(show);
}

}  // namespace

void add_top(CLI::App& app, Context& context) {
  const auto arguments = std::make_shared<Arguments>();
  CLI::App* top_verb = add_verb(
      app, "top", "Watch what a system does: load and latency of each engine, space, data that moves",
      "  cenote top                                 # until q or Ctrl-C\n"
      "  cenote top --server storage1 --interval 500ms\n"
      "  cenote top --once                          # what happens within two seconds\n"
      "  cenote top --json --count 30 > load.json   # a line every two seconds, for a minute\n"
      "Where standard output is no terminal, every view is printed below the one before. Engines are asked at their "
      "control ports,\n"
      "so those have to be reached from here: 'no port', 'no answer' are engines of which nothing is known but what "
      "the others say.\n"
      "READS are fetches, listings and queries, WRITES updates, punches and commits of clients, with the p50 and p99 "
      "of "
      "fetches and\n"
      "updates since the view before; CONNECTED counts clients and other engines. What each number means: "
      "docs/operations/monitoring.md.");
  top_verb->add_option("--interval", arguments->interval, "from one view to the next, like 500ms or 10s")
      ->capture_default_str();
  CLI::Option* count =
      top_verb->add_option("--count", arguments->count, "end after so many views; 0: go on")->capture_default_str();
  top_verb->add_flag("--once", arguments->once, "print one view, of one interval")->excludes(count);
  top_verb->callback([=, &context] { context.action = [=, &context] { return top(context, *arguments); }; });
}

}  // namespace cenote::cli
