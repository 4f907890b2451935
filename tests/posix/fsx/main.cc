// posix_fsx: random operations on one file, against a model in memory. See README.md.

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/socket.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <chrono>
#include <cstdio>
#include <deque>
#include <memory>

#include "fsx/client.h"
#include "kit/files.h"
#include "kit/process.h"

namespace {

using namespace cenote::posix_tests;

constexpr std::size_t kShown = 30;

struct Options {
  std::vector<std::string> directories;
  std::vector<std::string> without;
  std::uint64_t operations = 10'000;
  std::uint64_t check_every = 200;
  bool keep = false;
  bool verbose = false;
  Plan plan;
};

/// One process of the run. Every process computes every operation and keeps the model; each does the operations of its
/// own client, and gives the turn to the next by a byte, with the file closed in between.
class Turn {
 public:
  Turn(const Options& options, std::string path, unsigned mine, std::vector<int> turns)
      : options_(options), client_(std::move(path)), mine_(mine), turns_(std::move(turns)) {}

  void run() {
    Sequence sequence(options_.plan);
    for (std::uint64_t i = 0; i < options_.operations; ++i) {
      const Operation operation = sequence.next(model_.size());
      hand_over(operation.client);
      if (operation.client == mine_) perform(operation);
      model_.apply(operation);
    }
    hand_over(0);
    if (mine_ == 0) check("at the end");
  }

 private:
  /// Waits for the turn where it becomes this process's, gives it away where it was.
  void hand_over(unsigned next) {
    if (has_turn_of_ == next) return;
    if (has_turn_of_ == mine_) {
      client_.close();
      // The others wait in read for a byte with their number.
      const char byte = 0;
      if (::write(turns_[next * 2 + 1], &byte, 1) != 1) fail("the other process is gone");
    } else if (next == mine_) {
      char byte = 0;
      if (has_turn_of_ != kNobody && ::read(turns_[mine_ * 2], &byte, 1) != 1) fail("the other process is gone");
    }
    has_turn_of_ = next;
    if (next == mine_) client_.open();
  }

  void perform(const Operation& operation) {
    try {
      log_.push_back(operation.describe());
      if (log_.size() > kShown) log_.pop_front();
      if (options_.verbose) fmt::print("{}\n", operation.describe());
      client_.perform(operation, model_);
      if (operation.number % options_.check_every != options_.check_every - 1) return;
      Model after = model_;
      after.apply(operation);
      client_.check(after);
    } catch (const Failure& failure) {
      report(failure);
    }
  }

  void check(std::string_view when) {
    try {
      log_.emplace_back(when);
      client_.check(model_);
    } catch (const Failure& failure) {
      report(failure);
    }
  }

  [[noreturn]] void report(const Failure& failure) {
    std::string text = failure.what + "\n  the last operations of this client:\n";
    for (const std::string& line : log_) text.append("    ").append(line).append("\n");
    throw Failure{std::move(text)};
  }

  static constexpr unsigned kNobody = ~0U;

  const Options& options_;
  Client client_;
  Model model_;
  unsigned mine_;
  unsigned has_turn_of_ = kNobody;
  std::vector<int> turns_;  ///< a pipe for each client: its reading end, its writing end
  std::deque<std::string> log_;
};

std::string command_of(const Options& options) {
  std::string command =
      fmt::format("posix_fsx {} --seed {} --ops {} --clients {} --size {} --length {} --check-every {}",
                  fmt::join(options.directories, " "), options.plan.seed, options.operations, options.plan.clients,
                  options.plan.size_max, options.plan.length_max, options.check_every);
  for (const std::string& name : options.without) command.append(" --without ").append(name);
  return command;
}

/// All processes of the run; the first failure that tells something of its own.
std::string run_clients(const Options& options, const std::string& name) {
  std::vector<int> turns;
  for (unsigned i = 0; i < options.plan.clients; ++i) {
    int ends[2];
    ok(::pipe(ends));
    turns.insert(turns.end(), {ends[0], ends[1]});
  }
  std::vector<std::unique_ptr<Process>> processes;
  for (unsigned i = 0; i < options.plan.clients; ++i) {
    const std::string& directory = options.directories[i % options.directories.size()];
    processes.push_back(std::make_unique<Process>([&, i] {
      // Who waits for a turn must see that nobody can give it any more.
      for (unsigned other = 0; other < options.plan.clients; ++other) {
        ::close(other == i ? turns[other * 2 + 1] : turns[other * 2]);
      }
      Turn(options, fmt::format("{}/{}", directory, name), i, turns).run();
    }));
  }
  for (const int end : turns) ::close(end);
  std::string failure;
  for (const auto& process : processes) {
    const Outcome outcome = process->outcome();
    if (outcome.kind == Outcome::Kind::kPassed) continue;
    const bool follows = outcome.what.find("the other process is gone") != std::string::npos;
    if (failure.empty() || !follows) failure = outcome.what;
  }
  return failure;
}

int run(Options& options) {
  const std::string name = fmt::format("posix_fsx.{}", options.plan.seed);
  const std::string path = options.directories[0] + "/" + name;
  ::unlink(path.c_str());
  options.plan.actions = offered_actions(options.directories[0]);
  std::erase_if(options.plan.actions, [&](Action action) {
    return std::ranges::find(options.without, to_string(action)) != options.without.end();
  });
  fmt::print("{}\n", command_of(options));
  std::fflush(stdout);
  const std::string failure = run_clients(options, name);
  if (!failure.empty()) {
    fmt::print("failed: {}\n  again: {}\n  the file: {}\n", failure, command_of(options), path);
    return 1;
  }
  if (!options.keep) ::unlink(path.c_str());
  fmt::print("passed: {} operations of {} clients, {} of {} actions offered\n", options.operations,
             options.plan.clients, options.plan.actions.size(), kActions);
  return 0;
}

}  // namespace

int main(int argc, char** argv) {
  Options options;
  options.plan.seed =
      static_cast<std::uint64_t>(std::chrono::system_clock::now().time_since_epoch().count()) % 1'000'000'000;
  CLI::App app(
      "Random operations on one file, against a model. Exit codes: 0 as it must be, 1 not, 2 could not be asked.",
      "posix_fsx");
  app.add_option("DIR", options.directories, "a directory, or one for each client that show the same file system")
      ->required();
  app.add_option("--seed", options.plan.seed, "of the sequence; another one each time by default, and printed");
  app.add_option("--ops", options.operations, "operations");
  app.add_option("--clients", options.plan.clients, "processes that take turns, with close and open between")
      ->check(CLI::Range(1, 16));
  app.add_option("--size", options.plan.size_max, "largest size of the file in bytes")->check(CLI::Range(1, 1 << 30));
  app.add_option("--length", options.plan.length_max, "largest length of an operation in bytes")
      ->check(CLI::Range(1, 1 << 30));
  app.add_option("--without", options.without, "leave out an action, as mapped-write; may be given again")
      ->check(
          [](const std::string& name) { return action_of(name) < 0 ? "there is no action " + name : std::string(); });
  app.add_option("--check-every", options.check_every, "operations between comparisons of all")
      ->check(CLI::PositiveNumber);
  app.add_flag("--keep", options.keep, "leave the file");
  app.add_flag("--verbose", options.verbose, "print each operation before it is done");
  CLI11_PARSE(app, argc, argv);
  try {
    return run(options);
  } catch (const Failure& failure) {
    fmt::print(stderr, "{}\n", failure.what);
    return 2;
  }
}
