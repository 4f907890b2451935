#include "slot_table.h"

#include <gtest/gtest.h>

#include <numeric>
#include <random>
#include <set>

#include "map_examples.h"
#include "replacements.h"

namespace cenote::cluster {
namespace {

using map_examples::engine;
using map_examples::map_of;
using map_examples::racks_of_engines;

constexpr std::uint64_t kTiB = std::uint64_t{1} << 40;

std::vector<std::uint32_t> all_targets(const FaultTree& tree) {
  std::vector<std::uint32_t> targets(tree.target_count());
  std::iota(targets.begin(), targets.end(), 0u);
  return targets;
}

PoolMap uneven_map(std::uint32_t seed) {
  std::mt19937 random(seed);
  std::vector<EngineSpec> engines = racks_of_engines(2 + seed % 4, 1 + seed % 3, 1);
  for (EngineSpec& spec : engines) {
    spec.target_bytes.resize(1 + random() % 6);
    for (std::uint64_t& bytes : spec.target_bytes) bytes = kTiB / 7 * (1 + random() % 5) + random() % 1000;
  }
  return map_of(engines);
}

TEST(Shares, AddUpAndFillNoDomainTwice) {
  for (std::uint32_t seed = 1; seed <= 20; ++seed) {
    SCOPED_TRACE(fmt::format("seed {}", seed));
    const FaultTree tree(uneven_map(seed));
    const std::vector<std::uint32_t> targets = all_targets(tree);
    for (std::uint32_t group_size = 1; group_size <= std::min<std::size_t>(targets.size(), 6); ++group_size) {
      const Shares shares = compute_shares(tree, targets, group_size);
      EXPECT_EQ(std::accumulate(shares.of_target.begin(), shares.of_target.end(), std::uint64_t{0}), group_size * kOne);
      std::vector<std::uint64_t> of_domain(tree.domain_bound(shares.separation));
      for (const std::uint32_t target : targets)
        of_domain[tree.domain_of(shares.separation, target)] += shares.of_target[target];
      for (const std::uint64_t share : of_domain) EXPECT_LE(share, kOne);
    }
  }
}

// Weights 1, 1, 1, 5: the large domain is in each group of three, and the others share what is left.
TEST(Shares, ALargeDomainIsInEveryGroup) {
  std::vector<EngineSpec> engines;
  for (std::uint32_t rank = 0; rank < 4; ++rank)
    engines.push_back(engine(fmt::format("r{}/n", rank), rank, 1, rank == 3 ? 5 * kTiB : kTiB));
  const FaultTree tree(map_of(engines));
  const Shares shares = compute_shares(tree, all_targets(tree), 3);
  EXPECT_EQ(shares.of_target[3], kOne);
  for (std::uint32_t target = 0; target < 3; ++target)
    EXPECT_NEAR(static_cast<double>(shares.of_target[target]) / kOne, 2.0 / 3, 1e-6);
}

TEST(SlotTable, RoundsRepeatNoTargetAndEntriesFollowShares) {
  for (std::uint32_t seed = 1; seed <= 12; ++seed) {
    SCOPED_TRACE(fmt::format("seed {}", seed));
    const FaultTree tree(uneven_map(seed));
    const std::vector<std::uint32_t> targets = all_targets(tree);
    for (const std::uint32_t group_size : {1u, 2u, 3u}) {
      if (group_size > targets.size()) continue;
      SlotTableBuilder builder(tree, group_size);
      builder.add(targets);
      const SlotTable& table = builder.table();
      EXPECT_EQ(rows_without_repetition(table, targets.size()), table.rows);
      std::vector<double> entries(targets.size());
      for (const std::uint32_t target : table.entries) entries[target] += 1;
      const Shares shares = compute_shares(tree, targets, group_size);
      for (const std::uint32_t target : targets) {
        const double share =
            static_cast<double>(shares.of_target[target]) / kOne * static_cast<double>(table.all_rows());
        EXPECT_NEAR(entries[target], share, 2) << "target " << target << ", groups of " << group_size;
      }
    }
  }
}

// The numbers of rounds double on the way; what did not go to the new targets stays where it was.
TEST(SlotTable, LaterTargetsTakeEntriesAndChangeNoOthers) {
  const FaultTree tree(map_of(racks_of_engines(6, 4, 4)));
  const std::vector<std::uint32_t> targets = all_targets(tree);
  SlotTableBuilder builder(tree, 3);
  builder.add(std::span(targets).first(48));
  for (std::size_t count = 48; count < targets.size(); count += 16) {
    const SlotTable before = builder.table();
    const std::span<const std::uint32_t> joined = std::span(targets).subspan(count, 16);
    builder.add(joined);
    const SlotTable& after = builder.table();
    std::size_t taken = 0;
    for (std::uint32_t round = 0; round < after.rounds; ++round) {
      for (std::uint32_t row = 0; row < after.rows; ++row) {
        const auto old_group = before.row(round % before.rounds, row);
        const auto new_group = after.row(round, row);
        for (std::uint32_t i = 0; i < 3; ++i) {
          if (new_group[i] == old_group[i]) continue;
          EXPECT_GE(new_group[i], joined.front());
          ++taken;
        }
      }
    }
    const double share = 16 / static_cast<double>(count + 16);
    EXPECT_NEAR(static_cast<double>(taken) / static_cast<double>(after.entries.size()), share, share / 100);
  }
}

}  // namespace
}  // namespace cenote::cluster
