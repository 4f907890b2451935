#include "harness/runner.h"

#include <unistd.h>

#include <algorithm>
#include <nlohmann/json.hpp>
#include <optional>
#include <utility>

#include "cenote/base/format.h"
#include "harness/costs.h"
#include "harness/isolate.h"
#include "harness/machine.h"

namespace cenote::bench {
namespace {

using nlohmann::json;

// A window is stretched by preparation, warm-up and accounting; whoever takes this long hangs.
constexpr auto kComparisonLimit = std::chrono::seconds(120);

/// A folder that is gone when this is.
class ScratchFolder {
 public:
  explicit ScratchFolder(std::filesystem::path path) : path_(std::move(path)) {
    std::filesystem::create_directories(path_);
  }
  ~ScratchFolder() {
    std::error_code ignored;
    std::filesystem::remove_all(path_, ignored);
  }
  ScratchFolder(const ScratchFolder&) = delete;
  ScratchFolder& operator=(const ScratchFolder&) = delete;
  const std::filesystem::path& path() const { return path_; }

 private:
  std::filesystem::path path_;
};

struct NamedSide {
  std::string name;
  std::unique_ptr<Side> side;
};

Result<std::vector<NamedSide>> make_sides(const Comparison& comparison, const Setting& setting) {
  std::vector<NamedSide> sides;
  for (const SideSpec& spec : comparison.sides) {
    Setting own = setting;
    own.directory /= spec.name;
    std::filesystem::create_directories(own.directory);
    auto side = spec.make(own);
    if (!side) return fail(side.error().with_context(spec.name));
    sides.push_back({spec.name, *std::move(side)});
  }
  return sides;
}

Result<std::vector<Round>> run_rounds(std::vector<NamedSide>& sides, unsigned rounds, Duration window) {
  for (NamedSide& side : sides) {
    auto warm = side.side->measure(window / 4);
    if (!warm) return fail(warm.error().with_context(side.name));
  }
  std::vector<Round> done;
  for (unsigned i = 0; i < rounds; ++i) {
    Round round;
    for (NamedSide& side : sides) {
      TRY(round[side.name], side.side->measure(window));
    }
    done.push_back(std::move(round));
  }
  return done;
}

using Details = std::map<std::string, double>;

void add_medians(const std::vector<Round>& rounds, Details& details) {
  std::map<std::string, std::vector<double>> values;
  for (const Round& round : rounds) {
    for (const auto& [side, measured] : round) {
      for (const auto& [name, value] : measured.details) values[fmt::format("{}.{}", side, name)].push_back(value);
    }
  }
  for (const auto& [name, of_rounds] : values) details[name] = summarize(of_rounds).median;
}

// The driving thread is the client's, all others the server's; a side with one thread has no others.
void add_costs(const std::string& prefix, const CostMeter& meter, double operations, Details& details) {
  const auto add = [&](const std::string& who, const Costs& costs) {
    if (meter.counts_system_calls()) details[prefix + who + "calls/op"] = double(costs.system_calls) / operations;
    details[prefix + who + "allocations/op"] = double(costs.allocations) / operations;
    details[prefix + who + "copied_bytes/op"] = double(costs.payload_copied_bytes) / operations;
  };
  const Costs others = meter.of_process() - meter.of_thread();
  add("", meter.of_thread());
  if (others.system_calls + others.allocations > 0) add("others_", others);
}

Result<> account(std::vector<NamedSide>& sides, CostMeter& meter, Duration window, Details& details) {
  for (NamedSide& side : sides) {
    meter.start();
    Result<double> operations = side.side->account(window);
    meter.stop();
    if (!operations) return fail(operations.error().with_context(side.name));
    if (*operations > 0) add_costs(side.name + ".", meter, *operations, details);
  }
  return {};
}

RowResult row_of(const Comparison& comparison, const RowSpec& spec) {
  RowResult row;
  row.name = spec.name;
  row.unit = comparison.unit;
  row.medium = medium_name(comparison.medium);
  row.reference_name = spec.reference;
  row.goal = spec.goal;
  return row;
}

void fill(RowResult& row, const RowSpec& spec, const std::vector<Round>& rounds) {
  std::vector<double> values;
  std::vector<double> references;
  std::vector<double> ratios;
  for (const Round& round : rounds) {
    values.push_back(round.at(spec.subject).value);
    if (spec.reference.empty()) continue;
    references.push_back(spec.formula ? spec.formula(round) : round.at(spec.reference).value);
    ratios.push_back(references.back() == 0 ? 0 : values.back() / references.back());
  }
  row.cenote = summarize(values);
  if (!references.empty()) {
    row.reference = summarize(references);
    row.ratio = summarize(ratios);
  }
  row.rounds = static_cast<unsigned>(rounds.size());
}

Result<> warm(const Comparison& comparison, const Setting& setting) {
  if (comparison.medium != Medium::kMemory || comparison.warm_bytes == 0 || setting.quick) return {};
  return warm_memory(setting.directory, comparison.warm_bytes);
}

// Runs in the isolated process.
Result<std::vector<RowResult>> compare(const Comparison& comparison, const RunOptions& options,
                                       const Setting& setting) {
  CHECK_OK(warm(comparison, setting));
  if (comparison.one_core) CHECK_OK(confine_to_one_core());
  CostMeter meter;  // first: threads made later are counted
  std::optional<KeepAwake> awake;
  if (comparison.keep_awake) awake.emplace();
  TRY(auto sides, make_sides(comparison, setting));
  const Disturbance disturbance;
  TRY(const auto measured, run_rounds(sides, options.rounds, setting.window));
  const double steal = disturbance.steal_percent();
  const double foreign = disturbance.foreign_percent();
  Details details;
  add_medians(measured, details);
  CHECK_OK(account(sides, meter, setting.window / 4, details));
  for (NamedSide& side : sides) {
    if (auto closed = side.side->close(); !closed) return fail(closed.error().with_context(side.name + ": close"));
  }

  std::vector<RowResult> rows;
  for (const RowSpec& spec : comparison.rows) {
    RowResult row = row_of(comparison, spec);
    fill(row, spec, measured);
    row.steal_percent = steal;
    row.foreign_percent = foreign;
    row.details = details;
    rows.push_back(std::move(row));
  }
  return rows;
}

Result<std::string> compare_to_json(const Comparison& comparison, const RunOptions& options, const Setting& setting) {
  TRY(const auto rows, compare(comparison, options, setting));
  json array = json::array();
  for (const RowResult& row : rows) array.push_back(to_json(row));
  return array.dump();
}

}  // namespace

std::vector<RowResult> run_comparison(const Comparison& comparison, const RunOptions& options) {
  const auto& folder = comparison.medium == Medium::kMemory ? options.memory_folder : options.disk_folder;
  const ScratchFolder scratch(folder / fmt::format("cenote-bench-{}", ::getpid()));
  Setting setting{.directory = scratch.path(), .window = options.window, .quick = options.quick};
  if (comparison.window > Duration::zero() && !options.quick) setting.window = comparison.window;

  const Result<std::string> text =
      run_isolated([&] { return compare_to_json(comparison, options, setting); }, kComparisonLimit);
  std::vector<RowResult> rows;
  if (text) {
    for (const json& object : json::parse(*text)) rows.push_back(row_from_json(object));
    return rows;
  }
  for (const RowSpec& spec : comparison.rows) {
    RowResult row = row_of(comparison, spec);
    row.failure = text.error().message();
    rows.push_back(std::move(row));
  }
  return rows;
}

}  // namespace cenote::bench
