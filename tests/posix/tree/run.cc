#include "tree/run.h"

#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <deque>
#include <filesystem>
#include <map>
#include <memory>

#include "kit/files.h"
#include "tree/drawer.h"
#include "tree/journal.h"
#include "tree/place.h"

namespace cenote::posix_tests {

namespace {

constexpr std::size_t kShown = 30;
/// Steps between looks at which names there are.
constexpr std::uint64_t kLookEvery = 8;

/// What a mount says whose server is gone: no answer to the question.
bool is_interruption(int error) {
  constexpr int kErrors[] = {EIO, ENOTCONN, ECONNABORTED, ECONNRESET, ESHUTDOWN, ETIMEDOUT, EHOSTDOWN, ENODEV};
  return std::ranges::find(kErrors, error) != std::end(kErrors);
}

/// Linux and POSIX allow either.
bool are_alike(int actual, int expected) {
  const auto plain = [](int error) { return error == EEXIST ? ENOTEMPTY : error; };
  return plain(actual) == plain(expected);
}

class Run {
 public:
  explicit Run(const TreeOptions& options)
      : options_(options),
        judged_(tree_of(options.directory, options.seed), durability(options)),
        reference_(tree_of(options.reference, options.seed)),
        drawer_({.seed = options.seed, .owners = ::geteuid() == 0, .held = options.journal.empty()}) {
    make_directory(judged_.top());
    make_directory(reference_.top());
    if (!options.journal.empty()) journal_ = std::make_unique<JournalWriter>(options.journal, options.seed);
  }

  TreeVerdict work() {
    std::vector<std::string> paths;
    for (std::uint64_t i = 0; i < options_.operations; ++i) {
      if (i % kLookEvery == 0) paths = paths_of(reference_.top());
      const TreeVerdict verdict = one_step(drawer_.next(paths));
      if (verdict != TreeVerdict::kRight) return verdict;
      const bool last = i + 1 == options_.operations;
      if (!last && i % options_.check_every != options_.check_every - 1) continue;
      if (!is_same()) return TreeVerdict::kWrong;
    }
    print_outcomes();
    return TreeVerdict::kRight;
  }

 private:
  static Durability durability(const TreeOptions& options) {
    if (options.journal.empty()) return Durability::kNone;
    return options.sync_all ? Durability::kSyncAll : Durability::kData;
  }

  TreeVerdict one_step(const Step& step) {
    log_.push_back(step.to_line());
    if (log_.size() > kShown) log_.pop_front();
    if (options_.verbose) fmt::print("{}\n", step.to_line());
    const int expected = reference_.perform(step);
    if (journal_ != nullptr) journal_->begin(step);
    const int actual = judged_.perform(step);
    if (actual != expected && is_interruption(actual)) {
      fmt::print("interrupted: {} at {}\n", error_name(actual), step.to_line());
      return TreeVerdict::kInterrupted;
    }
    if (!are_alike(actual, expected)) {
      report(fmt::format("expected {}, got {}", error_name(expected), error_name(actual)));
      return TreeVerdict::kWrong;
    }
    if (journal_ != nullptr) journal_->end(step, actual);
    ++outcomes_[error_name(actual)];
    log_.back() += fmt::format("\t: {}", error_name(actual));
    return TreeVerdict::kRight;
  }

  bool is_same() {
    std::vector<std::string> found = differences(take_snapshot(judged_.top(), options_.snapshot),
                                                 take_snapshot(reference_.top(), options_.snapshot));
    const auto actual = judged_.held(), expected = reference_.held();
    for (std::size_t i = 0; i < kHeldFiles; ++i) {
      if (actual[i] != expected[i]) {
        found.push_back(fmt::format("open file {}: expected {}, got {}", i, show(expected[i]), show(actual[i])));
      }
    }
    if (found.empty()) return true;
    report(fmt::format("the trees differ:\n    {}", fmt::join(found, "\n    ")));
    return false;
  }

  /// A run in which little was done shows little.
  void print_outcomes() const {
    std::string text = fmt::format("passed: {} operations", options_.operations);
    for (const auto& [name, count] : outcomes_) text += fmt::format(", {} {}", count, name);
    fmt::print("{}\n", text);
  }

  void report(const std::string& what) {
    fmt::print("failed: {}\n  the last steps:\n    {}\n", what, fmt::join(log_, "\n    "));
  }

  const TreeOptions& options_;
  Place judged_, reference_;
  Drawer drawer_;
  std::unique_ptr<JournalWriter> journal_;
  std::deque<std::string> log_;
  std::map<std::string, std::uint64_t> outcomes_;
};

}  // namespace

std::string tree_of(const std::string& directory, std::uint64_t seed) {
  return fmt::format("{}/posix_tree.{}", directory, seed);
}

TreeVerdict run_tree(const TreeOptions& options) {
  const TreeVerdict verdict = Run(options).work();
  if (verdict != TreeVerdict::kRight || options.keep || !options.journal.empty()) return verdict;
  for (const std::string& directory : {options.directory, options.reference}) {
    std::filesystem::remove_all(tree_of(directory, options.seed));
  }
  return verdict;
}

}  // namespace cenote::posix_tests
