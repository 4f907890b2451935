#include "files/rows.h"

#include <algorithm>
#include <array>
#include <map>
#include <utility>

#include "cenote/base/format.h"

namespace cenote::bench {
namespace {

using Document = nlohmann::json;

double rate_of(const Document& phases, const char* phase) {
  return phases.at(phase).at("operations_per_second").get<double>();
}

Measured measured(const Document& row) {
  return {.value = row.at("operations_per_second").get<double>(),
          .details = {{"p50_us", row.at("p50_ns").get<double>() / 1000},
                      {"p99_us", row.at("p99_ns").get<double>() / 1000}}};
}

std::vector<std::string> options(std::string_view phases, unsigned depth, Duration window) {
  return {
      "--phases", std::string(phases), "--depth",   std::to_string(depth),
      "--files",  "1000000",           "--seconds", fmt::format("{}", std::chrono::duration<double>(window).count())};
}

/// Of one run of the load, which its first side makes.
struct LibraryRun {
  FilePrograms programs;
  std::shared_ptr<FileSystemUnderTest> system;
  Document phases;
};

class LibraryPhase final : public Side {
 public:
  LibraryPhase(std::shared_ptr<LibraryRun> run, const char* phase, bool first)
      : run_(std::move(run)), phase_(phase), first_(first) {}

  Result<Measured> measure(Duration window) override {
    if (first_) {
      TRY(run_->phases, run_->system->load(options("mdtest", 32, window)));
    }
    return measured(run_->phases.at(phase_));
  }
  Result<> close() override {
    run_->system.reset();  // the first one ends it for all
    return {};
  }

 private:
  std::shared_ptr<LibraryRun> run_;
  const char* phase_;
  bool first_;
};

struct LibraryGoal {
  const char* row;
  const char* phase;
  double per_second;
};
constexpr std::array kLibraryGoals{
    LibraryGoal{"fs/library/create", "mdtest-easy-write", 50e3},
    LibraryGoal{"fs/library/stat", "mdtest-easy-stat", 50e3},
    LibraryGoal{"fs/library/unlink", "mdtest-easy-delete", 50e3},
    LibraryGoal{"fs/library/create-3901-bytes", "mdtest-hard-write", 20e3},
    LibraryGoal{"fs/library/read-3901-bytes", "mdtest-hard-read", 0},
    LibraryGoal{"fs/library/unlink-3901-bytes", "mdtest-hard-delete", 0},
};

void add_library_rows(Suite& suite, const FilePrograms& programs) {
  Comparison comparison{.name = "fs/library", .unit = "per second", .medium = Medium::kMemory, .sides = {}, .rows = {}};
  const auto run = std::make_shared<LibraryRun>(LibraryRun{programs, nullptr, {}});
  for (const LibraryGoal& goal : kLibraryGoals) {
    const bool first = &goal == &kLibraryGoals.front();
    comparison.sides.push_back({goal.phase, [=](const Setting& setting) -> Result<std::unique_ptr<Side>> {
                                  if (run->system == nullptr) {
                                    TRY(run->system, FileSystemUnderTest::start(run->programs, setting.directory));
                                  }
                                  return std::make_unique<LibraryPhase>(run, goal.phase, first);
                                }});
    comparison.rows.push_back({.name = goal.row,
                               .subject = goal.phase,
                               .goal = goal.per_second > 0 ? Goal::at_least(goal.per_second) : Goal::none()});
  }
  suite.push_back(std::move(comparison));
}

constexpr unsigned kMountDepth = 4;
constexpr std::array kMountLoads{"create", "stat", "unlink", "4K write", "4K read", "1M write", "1M read"};

struct MountRun {
  FilePrograms programs;
  std::shared_ptr<FileSystemUnderTest> system;
  std::map<std::string, std::map<std::string, double>> rates;  // by side and load
};

/// Everything of a side is measured in one go, by the first of its loads.
class MountLoad final : public Side {
 public:
  MountLoad(std::shared_ptr<MountRun> run, std::string side, std::string load)
      : run_(std::move(run)), side_(std::move(side)), load_(std::move(load)) {}

  Result<Measured> measure(Duration window) override {
    if (load_ == kMountLoads.front()) {
      CHECK_OK(side_ == "library" ? measure_library(window) : measure_mount(window));
    }
    return Measured{.value = run_->rates[side_][load_], .details = {}};
  }
  Result<> close() override {
    run_->system.reset();  // the first one ends it for all
    return {};
  }

 private:
  Result<> measure_mount(Duration window) {
    TRY(const Document rates, run_->system->load_mount(side_ == "null", kMountDepth, window));
    for (const char* load : kMountLoads) run_->rates[side_][load] = rates.at(load).get<double>();
    return {};
  }

  Result<> measure_library(Duration window) {
    auto& rates = run_->rates[side_];
    TRY(const Document names, run_->system->load(options("mdtest-easy", kMountDepth, window)));
    rates["create"] = rate_of(names, "mdtest-easy-write");
    rates["stat"] = rate_of(names, "mdtest-easy-stat");
    rates["unlink"] = rate_of(names, "mdtest-easy-delete");
    for (const auto& [name, bytes] : {std::pair("4K", "4KiB"), std::pair("1M", "1MiB")}) {
      auto words = options("ior-easy", kMountDepth, window);
      for (const char* word : {"--transfer", bytes, "--file-size", "64MiB"}) words.emplace_back(word);
      TRY(const Document data, run_->system->load(std::move(words)));
      rates[fmt::format("{} write", name)] = rate_of(data, "ior-easy-write");
      rates[fmt::format("{} read", name)] = rate_of(data, "ior-easy-read");
    }
    return {};
  }

  std::shared_ptr<MountRun> run_;
  std::string side_, load_;
};

void add_mount_rows(Suite& suite, const FilePrograms& programs) {
  Comparison comparison{.name = "fs/mount", .unit = "per second", .medium = Medium::kMemory, .sides = {}, .rows = {}};
  comparison.window = std::chrono::milliseconds(200);
  const auto run = std::make_shared<MountRun>(MountRun{programs, nullptr, {}});
  for (const std::string side : {"mount", "null", "library"}) {
    for (const std::string load : kMountLoads) {
      comparison.sides.push_back({side + " " + load, [=](const Setting& setting) -> Result<std::unique_ptr<Side>> {
                                    if (run->system == nullptr) {
                                      TRY(run->system, FileSystemUnderTest::start(run->programs, setting.directory));
                                      CHECK_OK(run->system->mount());
                                    }
                                    return std::make_unique<MountLoad>(run, side, load);
                                  }});
    }
  }
  for (const std::string load : kMountLoads) {
    const bool large = load.starts_with("1M");
    const auto in_turn = [load](const Round& round) {
      return 1 / (1 / round.at("null " + load).value + 1 / round.at("library " + load).value);
    };
    const auto slower = [load](const Round& round) {
      return std::min(round.at("null " + load).value, round.at("library " + load).value);
    };
    std::string name = "fs/mount/" + load;
    std::ranges::replace(name, ' ', '-');
    comparison.rows.push_back({.name = name,
                               .subject = "mount " + load,
                               .reference = large ? "min(F,L)" : "1/(1/F+1/L)",
                               .formula = large ? std::function<double(const Round&)>(slower) : in_turn,
                               .goal = Goal::at_least(large ? 0.8 : 0.7)});
  }
  suite.push_back(std::move(comparison));
}

}  // namespace

void add_file_rows(Suite& suite, const FilePrograms& programs) {
  add_library_rows(suite, programs);
  add_mount_rows(suite, programs);
}

}  // namespace cenote::bench
