// Runs workloads: one seed for a look at it, or many, each in a process of its own, so that a crash, too, is a failure
// with a seed and the others go on.

#include <fmt/format.h>
#include <sys/wait.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <map>
#include <random>
#include <string>
#include <vector>

#include "workloads.h"

namespace cenote::sim {
namespace {

struct Job {
  const Workload* workload;
  std::uint64_t seed;
};

struct Arguments {
  std::string workload;
  std::uint64_t seed = 0;
  bool has_seed = false;
  std::uint64_t seeds = 0;
  std::uint64_t first_seed = 0;
  bool fixed = false;
  bool list = false;
  std::uint32_t jobs = 1;
  std::uint32_t limit_s = 300;
  std::string json;
  Options options;
};

/// The seeds of every run of the test suite: few, and others than those that a `--seeds` run is likely to draw.
constexpr std::uint64_t kFixedSeeds = 3;

std::vector<Job> jobs_of(const Arguments& arguments) {
  std::vector<Job> jobs;
  const std::uint64_t first = arguments.has_seed ? arguments.seed : arguments.fixed ? 1 : arguments.first_seed;
  const std::uint64_t count = arguments.has_seed ? 1 : arguments.fixed ? kFixedSeeds : arguments.seeds;
  for (std::uint64_t i = 0; i < count; ++i) {
    for (const Workload& workload : workloads()) {
      if (arguments.workload.empty() || arguments.workload == workload.name) jobs.push_back({&workload, first + i});
    }
  }
  return jobs;
}

std::string replay(const Job& job) {
  return fmt::format("./x sim --seed {} --workload {}", job.seed, job.workload->name);
}

/// Runs in a child process; what it counted goes through `result`.
int run_job(const Job& job, const Options& options, std::FILE* result) {
  const Outcome outcome = job.workload->run(job.seed, options);
  for (const auto& [name, value] : outcome.counts) fmt::print(result, "{} {}\n", name, value);
  fmt::print(result, "digest {}\n", outcome.digest);
  std::fflush(result);
  if (outcome.failure.empty()) return 0;
  fmt::print(stderr, "{} FAILED with seed {}: {}\n", job.workload->name, job.seed, outcome.failure);
  std::fflush(stderr);
  // What a failed run leaves behind is not to be judged, too.
  std::_Exit(1);
}

struct Finished {
  bool good = false;
  std::map<std::string, std::uint64_t> counts;
};

/// Collects what children wrote and how they ended.
class Children {
 public:
  explicit Children(const Arguments& arguments) : arguments_(arguments) {}

  bool full() const { return running_.size() >= arguments_.jobs; }
  bool empty() const { return running_.empty(); }
  void start(const Job& job);
  /// Waits for one to end.
  std::pair<Job, Finished> wait_for_one();

 private:
  struct Child {
    Job job;
    std::FILE* result;
  };
  const Arguments& arguments_;
  std::map<pid_t, Child> running_;
};

void Children::start(const Job& job) {
  std::FILE* result = std::tmpfile();
  std::fflush(nullptr);
  const pid_t child = result == nullptr ? -1 : fork();
  if (child < 0) {
    std::perror("cenote_sim: no child process");
    std::exit(2);
  }
  if (child == 0) {
    // Ends a run that spins without virtual time moving.
    alarm(arguments_.limit_s);
    std::exit(run_job(job, arguments_.options, result));
  }
  running_.emplace(child, Child{job, result});
}

std::pair<Job, Finished> Children::wait_for_one() {
  int status = 0;
  const pid_t ended = waitpid(-1, &status, 0);
  const auto found = running_.find(ended);
  if (found == running_.end()) {
    std::perror("cenote_sim: waiting for a child process");
    std::exit(2);
  }
  const Child child = found->second;
  running_.erase(found);
  Finished finished{.good = WIFEXITED(status) && WEXITSTATUS(status) == 0, .counts = {}};
  if (WIFSIGNALED(status)) {
    fmt::print(stderr, "{} FAILED with seed {}: {}\n", child.job.workload->name, child.job.seed,
               WTERMSIG(status) == SIGALRM ? fmt::format("it took more than {} s", arguments_.limit_s)
                                           : fmt::format("signal {}", WTERMSIG(status)));
  }
  if (std::fseek(child.result, 0, SEEK_SET) != 0) {
    std::perror("cenote_sim: reading what a child counted");
    std::exit(2);
  }
  char name[64];
  unsigned long value = 0;
  while (std::fscanf(child.result, "%63s %lu", name, &value) == 2) finished.counts[name] += value;
  std::fclose(child.result);
  return {child.job, std::move(finished)};
}

struct Totals {
  std::uint64_t runs = 0, failures = 0;
  std::map<std::string, std::uint64_t> counts;
};

void write_json(const std::string& path, const std::map<std::string_view, Totals>& totals) {
  std::FILE* file = std::fopen(path.c_str(), "w");
  if (file == nullptr) {
    std::perror(path.c_str());
    std::exit(2);
  }
  fmt::print(file, "{{");
  const char* separator = "\n";
  for (const auto& [name, total] : totals) {
    fmt::print(file, "{}  \"{}\": {{\"runs\": {}, \"failures\": {}", separator, name, total.runs, total.failures);
    for (const auto& [what, count] : total.counts) fmt::print(file, ", \"{}\": {}", what, count);
    fmt::print(file, "}}");
    separator = ",\n";
  }
  fmt::print(file, "\n}}\n");
  std::fclose(file);
}

int run_all(const Arguments& arguments) {
  const std::vector<Job> jobs = jobs_of(arguments);
  std::map<std::string_view, Totals> totals;
  Children children(arguments);
  const auto collect = [&] {
    auto [job, finished] = children.wait_for_one();
    Totals& total = totals[job.workload->name];
    ++total.runs;
    finished.counts.erase("digest");
    for (const auto& [name, value] : finished.counts) total.counts[name] += value;
    if (finished.good) return;
    ++total.failures;
    fmt::print(stderr, "  again: {}\n", replay(job));
  };
  for (const Job& job : jobs) {
    if (children.full()) collect();
    children.start(job);
  }
  while (!children.empty()) collect();

  std::uint64_t failures = 0;
  for (const auto& [name, total] : totals) {
    fmt::print("{}: {} runs, {} failed", name, total.runs, total.failures);
    for (const auto& [what, count] : total.counts) fmt::print(", {} {}", what, count);
    fmt::print("\n");
    failures += total.failures;
  }
  if (!arguments.json.empty()) write_json(arguments.json, totals);
  return failures == 0 ? 0 : 1;
}

/// The same seed twice: whatever differs would make every failure a riddle.
int check_determinism(const Arguments& arguments) {
  int differing = 0;
  for (const Job& job : jobs_of(arguments)) {
    std::uint64_t digests[2] = {};
    for (std::uint64_t& digest : digests) {
      Children children(arguments);
      children.start(job);
      digest = children.wait_for_one().second.counts["digest"];
    }
    if (digests[0] == digests[1]) continue;
    ++differing;
    fmt::print(stderr, "{} with seed {} went two ways; it depends on something that is not the seed\n",
               job.workload->name, job.seed);
  }
  return differing == 0 ? 0 : 1;
}

int main_with(int argc, char** argv) {
  Arguments arguments;
  bool twice = false;
  CLI::App app("Whole systems in the simulator (sim/README.md)");
  std::vector<std::string> names;
  for (const Workload& workload : workloads()) names.emplace_back(workload.name);
  app.add_option("--workload", arguments.workload, "only this one")->check(CLI::IsMember(names));
  auto* seed = app.add_option("--seed", arguments.seed, "one run, with this seed");
  app.add_option("--seeds", arguments.seeds, "this many runs of each workload, with fresh seeds");
  auto* first = app.add_option("--first-seed", arguments.first_seed, "the first seed of --seeds");
  app.add_flag("--fixed", arguments.fixed, "the runs of the test suite");
  app.add_flag("--twice", twice, "run everything twice and compare");
  app.add_flag("--list", arguments.list, "what there is");
  app.add_flag("-v,--verbose", arguments.options.verbose, "tell what happens");
  app.add_option("--jobs", arguments.jobs, "processes at a time")->check(CLI::Range(1, 64));
  app.add_option("--limit", arguments.limit_s, "seconds that one run may take");
  app.add_option("--json", arguments.json, "write what was counted to this file");
  CLI11_PARSE(app, argc, argv);

  if (arguments.list) {
    for (const Workload& workload : workloads()) fmt::print("{:10} {}\n", workload.name, workload.what);
    return 0;
  }
  arguments.has_seed = seed->count() > 0;
  if (first->count() == 0) arguments.first_seed = std::random_device()() % 1'000'000'000ULL * 1000;
  if (!arguments.has_seed && !arguments.fixed && arguments.seeds == 0) arguments.seeds = 1;
  return twice ? check_determinism(arguments) : run_all(arguments);
}

}  // namespace
}  // namespace cenote::sim

int main(int argc, char** argv) { return cenote::sim::main_with(argc, argv); }
