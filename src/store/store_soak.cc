#include <fmt/format.h>

#include <cstdlib>

#include "store_crash.h"

/// Runs the crash test for many seeds: `cenote_store_soak FIRST_SEED SEEDS [STEPS [CUT_EVERY [KEYS [SEALED]]]]`. Prints
/// what was counted as one line of JSON, each seed that fails and how to run it again on standard error, and ends with
/// 1 if there was one.
int main(int argc, char** argv) {
  const auto argument = [&](int index, std::uint32_t otherwise) {
    return argc > index ? static_cast<std::uint32_t>(std::strtoul(argv[index], nullptr, 10)) : otherwise;
  };
  const std::uint32_t first = argument(1, 1);
  const std::uint32_t seeds = argument(2, 100);
  cenote::store::CrashTestOutcome total;
  int failures = 0;
  for (std::uint32_t seed = first; seed < first + seeds; ++seed) {
    cenote::store::CrashTestOptions options;
    options.seed = seed;
    options.steps = argument(3, options.steps);
    options.cut_every = argument(4, options.cut_every);
    options.keys = argument(5, options.keys);
    // Half of them, unless it is said.
    options.sealed = argc > 6 ? argument(6, 0) != 0 : seed % 4 >= 2;
    const auto outcome = cenote::store::run_crash_test(options);
    total.writes += outcome.writes;
    total.cuts += outcome.cuts;
    total.crashes += outcome.crashes;
    total.verified += outcome.verified;
    if (outcome.problem.empty()) continue;
    fmt::print(stderr, "FAILED {}\n  again: {} {} 1 {} {} {} {}\n", outcome.problem, argv[0], seed, options.steps,
               options.cut_every, options.keys, options.sealed ? 1 : 0);
    ++failures;
  }
  fmt::print(R"({{"seeds": {}, "writes": {}, "cuts": {}, "crashes": {}, "verified": {}, "failures": {}}})"
             "\n",
             seeds, total.writes, total.cuts, total.crashes, total.verified, failures);
  return failures == 0 ? 0 : 1;
}
