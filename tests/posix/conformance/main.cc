// posix_conformance: does a directory behave as POSIX and Linux say? See README.md.

#include <fmt/format.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <cstdio>
#include <filesystem>
#include <nlohmann/json.hpp>
#include <set>

#include "choices.h"
#include "runner.h"

namespace {

using namespace cenote::posix_tests;

struct Options {
  RunOptions run;
  std::vector<std::string> filters;
  std::string choices;
  bool list = false;
  bool json = false;
  bool verbose = false;
};

bool is_selected(const Case& subject, const Options& options) {
  const auto matches = [&](const std::string& filter) { return subject.name.find(filter) != std::string::npos; };
  return options.filters.empty() || std::ranges::any_of(options.filters, matches);
}

void print_line(const CaseResult& result, const Options& options) {
  const bool quiet = result.verdict == Verdict::kPassed || result.verdict == Verdict::kLeftOut;
  if (options.json || (quiet && !options.verbose)) return;
  fmt::print("{:<12} {}: {}{}{}\n", to_string(result.verdict), result.subject->name, result.subject->proves,
             result.detail.empty() ? "" : ": ", result.detail);
  std::fflush(stdout);
}

std::size_t count(const std::vector<CaseResult>& results, Verdict verdict) {
  return static_cast<std::size_t>(std::ranges::count(results, verdict, &CaseResult::verdict));
}

constexpr Verdict kVerdicts[] = {Verdict::kPassed, Verdict::kFailed,     Verdict::kDiffers,
                                 Verdict::kStale,  Verdict::kNotOffered, Verdict::kLeftOut};

void print_summary(const std::vector<CaseResult>& results) {
  fmt::print("{} cases", results.size());
  for (const Verdict verdict : kVerdicts) {
    const std::size_t number = count(results, verdict);
    if (number > 0) fmt::print(", {} {}", number, to_string(verdict));
  }
  fmt::print("\n");
}

void print_json(const std::vector<CaseResult>& results) {
  nlohmann::json document;
  document["cases"] = nlohmann::json::array();
  for (const CaseResult& result : results) {
    document["cases"].push_back({{"name", result.subject->name},
                                 {"area", result.subject->area()},
                                 {"proves", result.subject->proves},
                                 {"verdict", to_string(result.verdict)},
                                 {"detail", result.detail},
                                 {"seconds", result.seconds}});
  }
  for (const Verdict verdict : kVerdicts) document["counts"][std::string(to_string(verdict))] = count(results, verdict);
  fmt::print("{}\n", document.dump(2, ' ', false, nlohmann::json::error_handler_t::replace));
}

int list(const Cases& cases, const Options& options) {
  for (const Case& subject : cases) {
    if (is_selected(subject, options)) fmt::print("{:<44} {}\n", subject.name, subject.proves);
  }
  return 0;
}

/// A choice about no case is a choice nobody checks.
bool are_known(const Choices& choices, const Cases& cases) {
  bool known = true;
  for (const auto& [name, reason] : choices) {
    if (std::ranges::find(cases, name, &Case::name) != cases.end()) continue;
    fmt::print(stderr, "there is no case '{}', which is listed as a choice\n", name);
    known = false;
  }
  return known;
}

int run(Options options) {
  const Cases cases = all_cases();
  if (options.list) return list(cases, options);
  if (options.run.top.empty()) {
    fmt::print(stderr, "which directory? see --help\n");
    return 2;
  }
  if (::geteuid() != 0 && !options.run.unprivileged) {
    fmt::print(stderr, "only root can act as other users: --unprivileged leaves these cases out\n");
    return 2;
  }
  // Cases change their directory.
  options.run.top = std::filesystem::absolute(options.run.top).string();
  if (!options.run.read_only.empty()) options.run.read_only = std::filesystem::absolute(options.run.read_only).string();
  Choices choices;
  if (!options.choices.empty()) {
    auto read = read_choices(options.choices);
    if (!read || !are_known(*read, cases)) return 2;
    choices = std::move(*read);
  }
  Runner runner(options.run, choices);
  if (!runner.prepare()) return 2;
  std::vector<CaseResult> results;
  for (const Case& subject : cases) {
    if (!is_selected(subject, options)) continue;
    results.push_back(runner.run(subject));
    print_line(results.back(), options);
  }
  if (results.empty()) {
    fmt::print(stderr, "no case has such a name: see --list\n");
    return 2;
  }
  if (options.json) {
    print_json(results);
  } else {
    print_summary(results);
  }
  return std::ranges::any_of(results, &CaseResult::is_failure) ? 1 : 0;
}

}  // namespace

int main(int argc, char** argv) {
  Options options;
  CLI::App app("Does a directory behave as POSIX and Linux say? Exit codes: 0 yes, 1 no, 2 could not be asked.",
               "posix_conformance");
  app.add_option("DIR", options.run.top, "the directory to judge; everything happens in a directory of its own there");
  app.add_option("--filter", options.filters, "only cases whose name holds one of these words");
  app.add_flag("--list", options.list, "print the cases and what they prove, run nothing");
  app.add_flag("--json", options.json, "print the results as JSON");
  app.add_flag("--verbose", options.verbose, "print a line about every case");
  app.add_option("--choices", options.choices, "what this file system does differently on purpose: NAME REASON lines");
  app.add_option("--uid", options.run.user_ids, "three users to act as, who are not root")->expected(3);
  app.add_flag("--unprivileged", options.run.unprivileged, "leave out the cases that need root");
  app.add_option("--read-only", options.run.read_only, "the same directory through a read-only mount");
  app.add_flag("--slow", options.run.slow, "also the cases that make tens of thousands of names");
  app.add_flag("--keep", options.run.keep, "leave the directories of cases that failed");
  CLI11_PARSE(app, argc, argv);
  if (options.run.user_ids.empty()) options.run.user_ids = {54321, 54322, 54323};
  return run(std::move(options));
}
