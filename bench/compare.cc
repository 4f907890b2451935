// The program behind './x bench': runs named comparisons, prints one table, writes results.json.

#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <cstdio>
#include <filesystem>
#include <fstream>
#include <string>
#include <vector>

#include "files/rows.h"
#include "harness/machine.h"
#include "harness/runner.h"
#include "object/rows.h"
#include "process/rows.h"
#include "replicas/rows.h"
#include "stack/rows.h"
#include "store/rows.h"

namespace {

using namespace cenote;
using namespace cenote::bench;

struct Options {
  std::vector<std::string> selected;
  bool list = false;
  bool details = false;
  bool gate = false;
  std::filesystem::path output = "build/bench";
  std::filesystem::path cenote;  // the program itself, for rows about whole processes
  std::filesystem::path tools;   // where nullfs and fs_load are
  RunOptions run;
};

Suite all_comparisons(const Options& options) {
  Suite suite;
  add_store_rows(suite);
  add_object_rows(suite);
  add_stack_rows(suite);
  add_process_rows(suite, options.cenote.string());
  add_replica_rows(suite, options.cenote.string());
  add_file_rows(suite,
                {options.cenote.string(), (options.tools / "nullfs").string(), (options.tools / "fs_load").string()});
  return suite;
}

bool is_selected(const Comparison& comparison, const Options& options) {
  const auto matches = [&](const std::string& word) { return comparison.name.find(word) != std::string::npos; };
  if (options.selected.empty()) return !(comparison.slow && options.run.quick);
  return std::ranges::any_of(options.selected, matches);
}

void list(const Suite& suite) {
  for (const Comparison& comparison : suite) {
    for (const RowSpec& row : comparison.rows) {
      fmt::print("{:<44} {:<10} {}\n", row.name, comparison.unit, row.goal.to_string());
    }
  }
}

void write_json(const std::vector<RowResult>& rows, const std::filesystem::path& folder) {
  nlohmann::json array = nlohmann::json::array();
  for (const RowResult& row : rows) array.push_back(to_json(row));
  std::filesystem::create_directories(folder);
  std::ofstream(folder / "results.json") << array.dump(2) << "\n";
}

int run(Options& options) {
  const Suite suite = all_comparisons(options);
  if (options.list) {
    list(suite);
    return 0;
  }
  options.run.disk_folder = options.output;
  if (options.run.quick) {
    options.run.rounds = 2;
    options.run.window = std::chrono::milliseconds(50);
  }
  const Disturbance disturbance;
  std::vector<RowResult> rows;
  for (const Comparison& comparison : suite) {
    if (!is_selected(comparison, options)) continue;
    fmt::print(stderr, "running {} ...\n", comparison.name);
    std::ranges::move(run_comparison(comparison, options.run), std::back_inserter(rows));
  }
  if (rows.empty()) {
    fmt::print(stderr, "nothing is called that: see --list\n");
    return 2;
  }
  write_json(rows, options.output);
  const auto passes = std::ranges::count_if(rows, [](const RowResult& row) { return row.pass() == true; });
  const auto judged = std::ranges::count_if(rows, [](const RowResult& row) { return row.pass().has_value(); });
  fmt::print("{}\n{} of {} goals reached; steal {:.1f} %, other processes {:.1f} % of all cores; {}\n",
             to_table(rows, options.details), passes, judged, disturbance.steal_percent(),
             disturbance.foreign_percent(), (options.output / "results.json").string());
  const bool failed = std::ranges::any_of(rows, [](const RowResult& row) { return !row.failure.empty(); });
  return failed || (options.gate && passes < judged) ? 1 : 0;
}

}  // namespace

int main(int argc, char** argv) {
  Options options;
  CLI::App app("Compares Cenote with its references, in turn and in one run; see docs/performance.md.", "compare");
  app.add_option("rows", options.selected, "only comparisons whose name holds one of these words");
  app.add_flag("--list", options.list, "print the rows and their goals, run nothing");
  app.add_flag("--quick", options.run.quick, "smoke run: two rounds of short windows; the numbers mean nothing");
  app.add_flag("--details", options.details, "print latencies, costs per operation and disturbances below each row");
  app.add_flag("--gate", options.gate, "exit with 1 when a goal is missed, not only when a row fails");
  app.add_option("--rounds", options.run.rounds, "runs of each side")->check(CLI::Range(1, 100));
  app.add_option("--memory", options.run.memory_folder, "folder on a memory-backed file system");
  app.add_option("--output", options.output, "folder of results.json and of the files on the disk");
  options.tools = std::filesystem::path(argv[0]).parent_path();
  options.cenote = std::filesystem::path(argv[0]).parent_path() / "../bin/cenote";
  app.add_option("--cenote", options.cenote, "the cenote program, for rows about whole processes");
  CLI11_PARSE(app, argc, argv);
  return run(options);
}
