#include <fmt/format.h>

#include <cstdlib>

#include "store_crash.h"

/// Runs the crash test for many seeds: `cenote_store_soak FIRST_SEED SEEDS [STEPS [CUT_EVERY [KEYS]]]`. Prints each
/// seed that fails and ends with 1 if there was one.
int main(int argc, char** argv) {
  const auto argument = [&](int index, std::uint32_t otherwise) {
    return argc > index ? static_cast<std::uint32_t>(std::strtoul(argv[index], nullptr, 10)) : otherwise;
  };
  const std::uint32_t first = argument(1, 1);
  const std::uint32_t seeds = argument(2, 100);
  std::uint64_t cuts = 0;
  int failures = 0;
  for (std::uint32_t seed = first; seed < first + seeds; ++seed) {
    cenote::store::CrashTestOptions options;
    options.seed = seed;
    options.steps = argument(3, options.steps);
    options.cut_every = argument(4, options.cut_every);
    options.keys = argument(5, options.keys);
    const auto outcome = cenote::store::run_crash_test(options);
    cuts += outcome.cuts;
    if (outcome.problem.empty()) continue;
    fmt::print("FAILED {}\n", outcome.problem);
    ++failures;
  }
  fmt::print("{} seeds, {} cuts, {} failures\n", seeds, cuts, failures);
  return failures == 0 ? 0 : 1;
}
