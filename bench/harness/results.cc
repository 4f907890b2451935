#include "harness/results.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cmath>

namespace cenote::bench {
namespace {

using nlohmann::json;

json to_json(const Summary& summary) {
  return {{"median", summary.median}, {"low", summary.low}, {"high", summary.high}};
}

Summary summary_from_json(const json& object) {
  return {.median = object.at("median"), .low = object.at("low"), .high = object.at("high")};
}

json median_or_null(const std::optional<Summary>& summary) { return summary ? json(summary->median) : json(nullptr); }

// Four significant digits, with a factor for large numbers: 12.34k, 1.234M.
std::string number(double value) {
  constexpr std::array<std::pair<double, const char*>, 3> kFactors{{{1e9, "G"}, {1e6, "M"}, {1e3, "k"}}};
  for (const auto& [factor, letter] : kFactors) {
    if (std::abs(value) >= factor * 10 || (factor > 1e3 && std::abs(value) >= factor)) {
      return fmt::format("{:.4g}{}", value / factor, letter);
    }
  }
  return fmt::format("{:.4g}", value);
}

std::string with_spread(const Summary& summary) {
  return fmt::format("{} ±{:.0f}%", number(summary.median), summary.spread_percent());
}

using Cells = std::vector<std::string>;

std::string verdict(const RowResult& row) {
  if (!row.failure.empty()) return "FAILED";
  const std::optional<bool> pass = row.pass();
  if (!pass) return "";
  return *pass ? "pass" : "MISS";
}

Cells cells_of(const RowResult& row) {
  return {row.name,
          row.unit,
          row.failure.empty() ? with_spread(row.cenote) : "-",
          row.reference ? with_spread(*row.reference) : "-",
          row.reference_name,
          row.ratio ? fmt::format("{:.2f} ({:.2f}-{:.2f})", row.ratio->median, row.ratio->low, row.ratio->high) : "-",
          row.goal.to_string(),
          verdict(row)};
}

// Counts characters, not bytes: the cells hold "±".
std::size_t width_of(const std::string& text) {
  return static_cast<std::size_t>(std::ranges::count_if(text, [](char c) { return (c & 0xc0) != 0x80; }));
}

std::string line_of(const Cells& cells, const std::vector<std::size_t>& widths) {
  std::string line;
  for (std::size_t i = 0; i < cells.size(); ++i) {
    line += cells[i];
    if (i + 1 < cells.size()) line.append(widths[i] - width_of(cells[i]) + 2, ' ');
  }
  return line + "\n";
}

std::string details_of(const RowResult& row) {
  std::string text = fmt::format("    rounds {}, steal {:.1f} %, other processes {:.1f} %\n", row.rounds,
                                 row.steal_percent, row.foreign_percent);
  std::string side;
  for (const auto& [name, value] : row.details) {
    const std::size_t dot = name.find('.');
    if (const std::string owner = name.substr(0, dot); owner != side) {
      text += fmt::format("{}    {}:", side.empty() ? "" : "\n", owner);
      side = owner;
    }
    text += fmt::format(" {}={}", name.substr(dot + 1), number(value));
  }
  return side.empty() ? text : text + "\n";
}

}  // namespace

std::optional<bool> RowResult::pass() const {
  if (goal.kind == Goal::Kind::kNone) return std::nullopt;
  return failure.empty() && goal.met_by(judged());
}

json to_json(const RowResult& row) {
  const std::optional<bool> pass = row.pass();
  const bool measured = row.failure.empty();
  json object = {
      {"name", row.name},
      {"unit", row.unit},
      {"medium", row.medium},
      {"cenote", measured ? json(row.cenote.median) : json(nullptr)},
      {"reference", median_or_null(row.reference)},
      {"reference_name", row.reference_name},
      {"ratio", median_or_null(row.ratio)},
      {"goal", row.goal.kind == Goal::Kind::kNone ? json(nullptr) : json(row.goal.to_string())},
      {"pass", pass ? json(*pass) : json(nullptr)},
      {"rounds", row.rounds},
      {"steal_percent", row.steal_percent},
      {"foreign_percent", row.foreign_percent},
      {"details", row.details},
      {"failure", row.failure},
      {"summary", {{"cenote", to_json(row.cenote)}}},
      {"bound", {{"kind", row.goal.kind}, {"value", row.goal.bound}}},
  };
  if (row.reference) object["summary"]["reference"] = to_json(*row.reference);
  if (row.ratio) object["summary"]["ratio"] = to_json(*row.ratio);
  return object;
}

RowResult row_from_json(const json& object) {
  const json& summary = object.at("summary");
  RowResult row{
      .name = object.at("name"),
      .unit = object.at("unit"),
      .medium = object.at("medium"),
      .reference_name = object.at("reference_name"),
      .cenote = summary_from_json(summary.at("cenote")),
      .reference = std::nullopt,
      .ratio = std::nullopt,
      .goal = {.kind = object.at("bound").at("kind"), .bound = object.at("bound").at("value")},
      .rounds = object.at("rounds"),
      .steal_percent = object.at("steal_percent"),
      .foreign_percent = object.at("foreign_percent"),
      .details = object.at("details"),
      .failure = object.at("failure"),
  };
  if (summary.contains("reference")) row.reference = summary_from_json(summary.at("reference"));
  if (summary.contains("ratio")) row.ratio = summary_from_json(summary.at("ratio"));
  return row;
}

std::string to_table(const std::vector<RowResult>& rows, bool details) {
  std::vector<Cells> lines{{"name", "unit", "cenote", "reference", "of", "ratio (low-high)", "goal", "pass"}};
  std::ranges::transform(rows, std::back_inserter(lines), cells_of);
  std::vector<std::size_t> widths(lines.front().size(), 0);
  for (const Cells& cells : lines) {
    for (std::size_t i = 0; i < cells.size(); ++i) widths[i] = std::max(widths[i], width_of(cells[i]));
  }
  std::string table = line_of(lines.front(), widths);
  for (std::size_t i = 0; i < rows.size(); ++i) {
    table += line_of(lines[i + 1], widths);
    if (!rows[i].failure.empty()) table += fmt::format("    {}\n", rows[i].failure);
    const bool last_of_comparison = i + 1 == rows.size() || rows[i + 1].details != rows[i].details;
    if (details && rows[i].failure.empty() && last_of_comparison) table += details_of(rows[i]);
  }
  return table;
}

}  // namespace cenote::bench
