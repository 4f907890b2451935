#include "top_view.h"

#include <algorithm>
#include <cmath>
#include <utility>

#include "cenote/base/assert.h"
#include "cenote/base/format.h"
#include "damage_listing.h"

namespace cenote::cli {
namespace {

using Look = TopLine::Look;

constexpr double kLongSilenceS = 10;  // a target is `not answering` from then on
constexpr std::size_t kObstaclesMax = 2;
constexpr std::size_t kNarrowest = 40;
const std::string kUnknown = "-";

/// A column of a table with one row per engine.
struct Column {
  const char* title;
  std::size_t width;
  std::string (*cell)(const EngineFigures& figures);
};

/// Columns that stand together, below a title of their own.
struct Group {
  const char* title;
  std::vector<Column> columns;
};

template <double (*rate)(const EngineFigures&), std::string (*text)(double)>
std::string rate_cell(const EngineFigures& figures) {
  return figures.elapsed_s ? text(rate(figures)) : kUnknown;
}

std::string quantile_text(const LatencyBuckets& buckets, double share) {
  const auto seconds = buckets.quantile(share);
  return seconds ? short_time(*seconds) : kUnknown;
}

template <LatencyBuckets EngineFigures::* buckets>
std::string p50(const EngineFigures& figures) {
  return quantile_text(figures.*buckets, 0.5);
}
template <LatencyBuckets EngineFigures::* buckets>
std::string p99(const EngineFigures& figures) {
  return quantile_text(figures.*buckets, 0.99);
}

template <double EngineFigures::* rate>
double rate_of(const EngineFigures& figures) {
  return figures.*rate;
}
double reads_of(const EngineFigures& figures) { return figures.reads_per_s(); }
double writes_of(const EngineFigures& figures) { return figures.writes_per_s(); }

template <double EngineScrape::* gauge, std::string (*text)(double)>
std::string gauge_cell(const EngineFigures& figures) {
  return text(figures.now.*gauge);
}

std::vector<Group> load_groups() {
  return {{"READS",
           {{"/s", 6, rate_cell<reads_of, short_count>},
            {"B/s", 6, rate_cell<rate_of<&EngineFigures::sent_bytes_per_s>, short_bytes>},
            {"p50", 6, p50<&EngineFigures::fetches>},
            {"p99", 6, p99<&EngineFigures::fetches>}}},
          {"WRITES",
           {{"/s", 6, rate_cell<writes_of, short_count>},
            {"B/s", 6, rate_cell<rate_of<&EngineFigures::received_bytes_per_s>, short_bytes>},
            {"p50", 6, p50<&EngineFigures::updates>},
            {"p99", 6, p99<&EngineFigures::updates>}}}};
}

std::vector<Group> state_groups() {
  return {
      {"SPACE",
       {{"FREE", 6, gauge_cell<&EngineScrape::free_bytes, short_bytes>},
        {"OF", 6, gauge_cell<&EngineScrape::total_bytes, short_bytes>}}},
      {"", {{"CONNECTED", 9, gauge_cell<&EngineScrape::connections, short_count>}}},
      {"", {{"UNDECIDED", 9, gauge_cell<&EngineScrape::undecided, short_count>}}},
      {"CACHE", {{"MISSES/s", 8, rate_cell<rate_of<&EngineFigures::page_misses_per_s>, short_count>}}},
      {"DISK p99", {{"READ", 6, p99<&EngineFigures::device_reads>}, {"WRITE", 6, p99<&EngineFigures::device_writes>}}},
      {"MOVED IN", {{"B/s", 8, rate_cell<rate_of<&EngineFigures::copied_bytes_per_s>, short_bytes>}}}};
}

struct Row {
  std::string name, state;
  const EngineFigures* figures = nullptr;
  Look look = Look::kPlain;
};

std::string state_text(const TopEngine& engine) {
  if (engine.reached == Reached::kNoAnswer) return "no answer";
  return engine.reached == Reached::kNoPort ? "no port" : engine.info.state;
}

bool in_trouble(const TopEngine& engine) {
  if (engine.reached == Reached::kNoAnswer || engine.info.state == kEngineGone) return true;
  return engine.figures && engine.figures->now.fenced_targets > 0;
}

std::vector<Row> rows_of(const TopView& view, const EngineFigures& total) {
  std::vector<Row> rows;
  for (const TopEngine& engine : view.engines) {
    rows.push_back({.name = std::to_string(engine.info.rank),
                    .state = state_text(engine),
                    .figures = engine.figures ? &*engine.figures : nullptr,
                    .look = in_trouble(engine) ? Look::kTrouble : Look::kPlain});
  }
  if (rows.size() > 1) rows.push_back({.name = "all", .state = "", .figures = &total});
  return rows;
}

std::size_t width_of(const Group& group) {
  std::size_t width = group.columns.size() - 1;
  for (const Column& column : group.columns) width += column.width;
  return width;
}

constexpr std::size_t kNameWidth = 6, kStateWidth = 9;

/// With the state of each engine.
std::size_t width_of(const std::vector<Group>& groups) {
  std::size_t width = kNameWidth + 2 + kStateWidth;
  for (const Group& group : groups) width += 2 + width_of(group);
  return width;
}

/// The cells of a line, one per column.
template <typename Cell>
std::string cells_of(std::string line, const std::vector<Group>& groups, Cell cell) {
  for (const Group& group : groups) {
    const char* gap = "  ";
    for (const Column& column : group.columns)
      line += fmt::format("{}{:>{}}", std::exchange(gap, " "), cell(column), column.width);
  }
  return line;
}

enum class States : std::uint8_t { kShown, kLeftOut };

void append_table(std::vector<TopLine>& lines, const std::vector<Group>& groups, const std::vector<Row>& rows,
                  States states) {
  const auto begin_of = [states](std::string_view name, std::string_view state) {
    return states == States::kLeftOut ? fmt::format("{:<{}}", name, kNameWidth)
                                      : fmt::format("{:<{}}  {:<{}}", name, kNameWidth, state, kStateWidth);
  };
  std::string titles = begin_of("", "");
  for (const Group& group : groups) titles += fmt::format("  {:^{}}", group.title, width_of(group));
  titles.resize(titles.find_last_not_of(' ') + 1);
  lines.push_back({std::move(titles), Look::kHeader});
  const auto title = [](const Column& column) { return std::string(column.title); };
  lines.push_back({cells_of(begin_of("ENGINE", "STATE"), groups, title), Look::kHeader});
  for (const Row& row : rows) {
    const auto cell = [&row](const Column& column) {
      return row.figures == nullptr ? kUnknown : column.cell(*row.figures);
    };
    lines.push_back({cells_of(begin_of(row.name, row.state), groups, cell), row.look});
  }
}

std::string cut(std::string text, std::size_t width) {
  const std::string_view dots = "...";
  if (text.size() <= width || width < dots.size()) return text;
  text.resize(width - dots.size());
  return text.append(dots);
}

/// Breaks at blanks; what others wrote cannot do anything to the terminal.
void append_text(std::vector<TopLine>& lines, std::string text, Look look, std::size_t width) {
  for (char& c : text)
    if (static_cast<unsigned char>(c) < ' ' || c == '\x7f') c = '?';
  const std::string_view indent = "    ";
  ASSERT(width > indent.size());
  while (text.size() > width) {
    std::size_t end = text.rfind(' ', width);
    if (end == std::string::npos || end <= indent.size()) end = width;
    lines.push_back({text.substr(0, end), look});
    const std::size_t next = text.find_first_not_of(' ', end);
    text = next == std::string::npos ? "" : std::string(indent) + text.substr(next);
  }
  if (!text.empty()) lines.push_back({std::move(text), look});
}

std::string title_of(const TopView& view) {
  const auto up = std::ranges::count(view.engines, kEngineUp, [](const auto& engine) { return engine.info.state; });
  std::string text = fmt::format("{}: {} of {} engine{} up", view.system, up, view.engines.size(),
                                 view.engines.size() == 1 ? "" : "s");
  const auto leader = std::ranges::find(view.engines, true, [](const auto& engine) { return engine.info.leader; });
  if (leader != view.engines.end() && view.engines.size() > 1)
    text += fmt::format(", engine {} leads", leader->info.rank);
  return text;
}

std::string head_of(const TopView& view, std::size_t width) {
  std::string left = title_of(view);
  const double seconds = std::chrono::duration<double>(view.interval).count();
  const std::string right = fmt::format("every {:g} s  {}", seconds, local_time_text(view.at_s));
  if (left.size() + 2 + right.size() > width) return left;
  return fmt::format("{}{:>{}}", left, right, width - left.size());
}

std::vector<std::string> troubles_of(const TopEngine& engine) {
  const std::string who = fmt::format("engine {}", engine.info.rank);
  std::vector<std::string> troubles;
  if (engine.reached == Reached::kNoAnswer) troubles.push_back(fmt::format("{}: {}", who, engine.reason));
  if (engine.reached == Reached::kNoPort)
    troubles.push_back(who + " has no control port, which says what an engine does ('cenote server --control')");
  if (!engine.figures) return troubles;
  const EngineScrape& now = engine.figures->now;
  if (now.fenced_targets > 0)
    troubles.push_back(
        fmt::format("{}: {} of its targets can only be read: 'cenote engine list'", who, as_count(now.fenced_targets)));
  if (now.findings > 0)
    troubles.push_back(fmt::format("{}: its scrub has found damage: 'cenote engine scrub', asked of it", who));
  if (now.device_silence_s >= kLongSilenceS)
    troubles.push_back(fmt::format("{}: a disk has not answered for {:.0f} s", who, now.device_silence_s));
  return troubles;
}

std::string label_of(const std::string& label, Uuid id) { return label.empty() ? id.to_string() : label; }

void append_moves(std::vector<TopLine>& lines, const TopPool& pool, std::size_t width) {
  append_text(
      lines,
      fmt::format("pool '{}': {}", label_of(pool.moves.label, pool.moves.pool), moves_text(pool.moves, pool.rate)),
      Look::kPlain, width);
  const std::vector<std::string> obstacles = obstacles_of(pool.moves);
  const std::size_t shown = std::min(obstacles.size(), kObstaclesMax);
  // One line each: 'cenote pool rebuild status' has all of it.
  for (std::size_t i = 0; i < shown; ++i)
    append_text(lines, cut("  waiting: " + obstacles[i], width), Look::kTrouble, width);
  if (shown < obstacles.size())
    append_text(lines,
                fmt::format("  and {} more: 'cenote pool rebuild status {}'", obstacles.size() - shown,
                            label_of(pool.moves.label, pool.moves.pool)),
                Look::kTrouble, width);
}

void append_pools(std::vector<TopLine>& lines, const TopView& view, std::size_t width) {
  if (view.stopped_since_s != 0)
    append_text(lines,
                fmt::format("the system is stopped since {}: 'cenote system start' lets it go on",
                            local_time_text(view.stopped_since_s)),
                Look::kTrouble, width);
  for (const TopPool& pool : view.moving) append_moves(lines, pool, width);
  const auto is_moving = [&](const PoolTrouble& pool) {
    return std::ranges::any_of(view.moving, [&](const TopPool& each) { return each.moves.pool == pool.id; });
  };
  for (const PoolTrouble& pool : view.degraded)
    if (!is_moving(pool))
      append_text(lines, fmt::format("pool '{}': {}", label_of(pool.label, pool.id), pool.state), Look::kTrouble,
                  width);
  if (view.moving.empty() && view.degraded.empty() && view.trouble.empty())
    lines.push_back({"pools: none is degraded, no data moves"});
}

const char* name_of(Reached reached) {
  switch (reached) {
    case Reached::kYes:
      return "yes";
    case Reached::kNoAnswer:
      return "no answer";
    case Reached::kNoPort:
      return "no control port";
    case Reached::kNotAsked:
      break;
  }
  return "not asked";
}

/// About four digits.
std::string scaled(double number, double step, std::string_view units) {
  std::size_t unit = 0;
  while (number >= 999.5 && unit + 1 < units.size()) {
    number /= step;
    ++unit;
  }
  const int decimals = number < 9.995 ? 2 : number < 99.95 ? 1 : 0;
  return fmt::format("{:.{}f}{}", number, decimals, units[unit]);
}

bool is_number(double number) { return std::isfinite(number) && number >= 0 && number < 1e24; }

}  // namespace

std::string short_count(double count) {
  if (!is_number(count)) return kUnknown;
  const bool whole = count == std::floor(count);
  if (count < 9999.5 && (whole || count >= 9.95)) return fmt::format("{:.0f}", count);
  return count < 9.95 ? fmt::format("{:.1f}", count) : scaled(count / 1000, 1000, "kMGTPEZ");
}

std::string short_bytes(double bytes) {
  if (!is_number(bytes)) return kUnknown;
  return bytes < 999.5 ? fmt::format("{:.0f}", bytes) : scaled(bytes / 1024, 1024, "KMGTPEZ");
}

std::string short_time(double seconds) {
  if (!is_number(seconds)) return kUnknown;
  const auto digits = [](double number, const char* unit) {
    return fmt::format("{:.{}f}{}", number, number < 9.95 ? 1 : 0, unit);
  };
  if (seconds < 999.5e-6) return digits(seconds * 1e6, "us");
  return seconds < 999.5e-3 ? digits(seconds * 1e3, "ms") : digits(seconds, "s");
}

EngineFigures TopView::total() const {
  EngineFigures total;
  for (const TopEngine& engine : engines)
    if (engine.figures) add_figures(total, *engine.figures);
  return total;
}

std::vector<TopLine> top_lines(const TopView& view, std::size_t columns) {
  // A narrower one shows parts of lines; broken into as little, no text could be read.
  const std::size_t width = std::max(columns, kNarrowest);
  const EngineFigures total = view.total();
  const std::vector<Row> rows = rows_of(view, total);
  std::vector<TopLine> lines{{head_of(view, width)}, {""}};
  std::vector<Group> all = load_groups();
  std::ranges::move(state_groups(), std::back_inserter(all));
  if (width_of(all) <= width) {
    append_table(lines, all, rows, States::kShown);
  } else {
    append_table(lines, load_groups(), rows, States::kShown);
    lines.push_back({""});
    append_table(lines, state_groups(), rows, States::kLeftOut);
  }
  lines.push_back({""});
  if (!view.trouble.empty()) append_text(lines, view.trouble, Look::kTrouble, width);
  for (const TopEngine& engine : view.engines) {
    for (std::string& trouble : troubles_of(engine))
      append_text(lines, std::move(trouble), in_trouble(engine) ? Look::kTrouble : Look::kPlain, width);
  }
  append_pools(lines, view, width);
  return lines;
}

Json top_json(const TopView& view) {
  Json engines = Json::array();
  for (const TopEngine& engine : view.engines) {
    Json json = engine.figures ? figures_json(*engine.figures) : Json::object();
    json["engine"] = engine.info.rank;
    json["id"] = engine.info.id.to_string();
    json["state"] = engine.info.state;
    json["leader"] = engine.info.leader;
    json["answers"] = name_of(engine.reached);
    if (!engine.reason.empty()) json["reason"] = engine.reason;
    engines.push_back(std::move(json));
  }
  Json moving = Json::array();
  for (const TopPool& pool : view.moving) moving.push_back(moves_json(pool.moves, pool.rate));
  Json degraded = Json::array();
  for (const PoolTrouble& pool : view.degraded)
    degraded.push_back({{"id", pool.id.to_string()}, {"label", pool.label}, {"state", pool.state}});
  Json document{{"at_s", view.at_s},
                {"interval_s", std::chrono::duration<double>(view.interval).count()},
                {"system", view.id.to_string()},
                {"name", view.system},
                {"engines", std::move(engines)},
                {"total", figures_json(view.total())},
                {"moving_pools", std::move(moving)},
                {"degraded_pools", std::move(degraded)},
                {"stopped_since_s", view.stopped_since_s}};
  if (!view.trouble.empty()) document["trouble"] = view.trouble;
  return document;
}

}  // namespace cenote::cli
