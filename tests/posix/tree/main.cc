// posix_tree: random operations on a directory tree and on a reference at once. See README.md.

#include <fmt/format.h>
#include <sys/stat.h>

#include <CLI/CLI.hpp>
#include <chrono>
#include <cstdio>
#include <filesystem>

#include "kit/check.h"
#include "tree/run.h"

namespace {

using namespace cenote::posix_tests;

std::string command_of(const TreeOptions& options) {
  std::string command = fmt::format("posix_tree {} {} --seed {} --ops {} --check-every {}", options.directory,
                                    options.reference, options.seed, options.operations, options.check_every);
  if (!options.snapshot.directory_links) command += " --no-directory-links";
  if (!options.journal.empty()) command += " --journal " + options.journal;
  if (options.sync_all) command += " --syncfs";
  return command;
}

int run(const TreeOptions& options, const std::string& journal_to_verify) {
  ::umask(022);
  TreeVerdict verdict = TreeVerdict::kWrong;
  try {
    if (!journal_to_verify.empty()) return static_cast<int>(verify_tree(options, journal_to_verify));
    fmt::print("{}\n", command_of(options));
    std::fflush(stdout);
    verdict = run_tree(options);
  } catch (const Failure& failure) {
    fmt::print("failed: {}\n", failure.what);
  } catch (const std::filesystem::filesystem_error& error) {
    fmt::print("failed: {}\n", error.what());
  }
  if (verdict == TreeVerdict::kWrong && journal_to_verify.empty()) {
    fmt::print("  again: {}\n  the trees: {} and {}\n", command_of(options), tree_of(options.directory, options.seed),
               tree_of(options.reference, options.seed));
  }
  return static_cast<int>(verdict);
}

}  // namespace

int main(int argc, char** argv) {
  TreeOptions options;
  options.seed =
      static_cast<std::uint64_t>(std::chrono::system_clock::now().time_since_epoch().count()) % 1'000'000'000;
  std::string journal_to_verify;
  bool no_directory_links = false;
  CLI::App app(
      "Random operations on a tree and on a reference. Exit codes: 0 as it must be, 1 not, 2 the file system went "
      "away.",
      "posix_tree");
  app.add_option("DIR", options.directory, "the directory to judge")->required()->check(CLI::ExistingDirectory);
  app.add_option("REFERENCE", options.reference, "a directory of a file system that is right")
      ->required()
      ->check(CLI::ExistingDirectory);
  app.add_option("--seed", options.seed, "of the operations; another one each time by default, and printed");
  app.add_option("--ops", options.operations, "operations");
  app.add_option("--check-every", options.check_every, "operations between comparisons of the whole trees")
      ->check(CLI::PositiveNumber);
  app.add_option("--journal", options.journal, "write what is done to this new file, which outlives a crash");
  app.add_flag("--syncfs", options.sync_all, "with --journal: syncfs before an operation counts as acknowledged");
  app.add_option("--verify", journal_to_verify, "compare DIR with what this journal tells")->check(CLI::ExistingFile);
  app.add_flag("--partial-data", options.partial_data, "with --verify: a write in flight may be there in part");
  app.add_flag("--no-directory-links", no_directory_links, "do not compare st_nlink of directories");
  app.add_flag("--keep", options.keep, "leave the trees");
  app.add_flag("--verbose", options.verbose, "print each operation before it is done");
  CLI11_PARSE(app, argc, argv);
  options.snapshot.directory_links = !no_directory_links;
  return run(options, journal_to_verify);
}
