#include "store_crash.h"

#include <gtest/gtest.h>

#include "store_test_kit.h"
#include "store_workload.h"

namespace cenote::store {
namespace {

class StoreCrash : public ::testing::TestWithParam<std::uint64_t> {};

TEST_P(StoreCrash, EveryCutKeepsWhatWasAcknowledged) {
  const CrashTestOutcome outcome = run_crash_test({.seed = GetParam()});
  EXPECT_EQ(outcome.problem, "");
  EXPECT_GT(outcome.cuts, 20u);
}

INSTANTIATE_TEST_SUITE_P(Seeds, StoreCrash, ::testing::Range<std::uint64_t>(1, 9));

/// What the crash test promises a reader: an absent key waits for who took it away, not for who found nothing to take.
TEST(StoreCrashModel, AnEraseOfNothingChangesNothing) {
  History history;
  history.add({.create = std::pair("tree", TreeId(9)), .drop = {}, .entries = {}});
  const auto change = [&](std::optional<std::string> value) {
    history.add({.create = {}, .drop = {}, .entries = {{.tree = "tree", .key = "key", .value = std::move(value)}}});
    return history.last_change("tree", "key");
  };
  EXPECT_EQ(change(std::nullopt), 0u);
  EXPECT_EQ(change("value"), 3u);
  EXPECT_EQ(change(std::nullopt), 4u);
  EXPECT_EQ(change(std::nullopt), 4u);
  history.cut_to(3);
  EXPECT_EQ(history.last_change("tree", "key"), 3u);
}

TEST(SealedStoreCrash, EveryCutKeepsWhatWasAcknowledgedAndNoNonceComesTwice) {
  for (const auto& [seed, layout] : {std::pair{31u, StoreBench::Layout::kOneDevice},
                                     {32u, StoreBench::Layout::kOneDevice},
                                     {33u, StoreBench::Layout::kThreeDevices}}) {
    const CrashTestOutcome outcome = run_crash_test({.seed = seed, .sealed = true, .layout = layout});
    EXPECT_EQ(outcome.problem, "");
    EXPECT_GT(outcome.cuts, 20u);
    EXPECT_GT(outcome.nonces, 50u);
  }
}

using Layout = StoreBench::Layout;
class StoreCrashOfRoles : public ::testing::TestWithParam<std::tuple<Layout, std::uint64_t>> {};

/// The cut comes before each write and flush of each device, and each device loses on its own.
TEST_P(StoreCrashOfRoles, EveryCutKeepsWhatWasAcknowledged) {
  const auto [layout, seed] = GetParam();
  const CrashTestOutcome outcome = run_crash_test({.seed = seed, .layout = layout});
  EXPECT_EQ(outcome.problem, "");
  EXPECT_GT(outcome.cuts, 20u);
}

INSTANTIATE_TEST_SUITE_P(Layouts, StoreCrashOfRoles,
                         ::testing::Combine(::testing::Values(Layout::kThreeDevices, Layout::kOwnWal, Layout::kOwnData,
                                                              Layout::kWalWithData),
                                            ::testing::Values<std::uint64_t>(21, 23, 24)));

/// The devices become larger and the store takes them into use while the workload runs.
class StoreCrashOfGrowth : public ::testing::TestWithParam<std::tuple<Layout, std::uint64_t>> {};

TEST_P(StoreCrashOfGrowth, EveryCutLeavesTheOldOrTheNewSize) {
  const auto [layout, seed] = GetParam();
  const CrashTestOutcome outcome = run_crash_test({.seed = seed, .steps = 30, .grow_mib = 40, .layout = layout});
  EXPECT_EQ(outcome.problem, "");
  EXPECT_GT(outcome.cuts, 20u);
}

INSTANTIATE_TEST_SUITE_P(Layouts, StoreCrashOfGrowth,
                         ::testing::Combine(::testing::Values(Layout::kOneDevice, Layout::kThreeDevices,
                                                              Layout::kOwnWal, Layout::kOwnData, Layout::kWalWithData),
                                            ::testing::Values<std::uint64_t>(31, 33, 34)));

/// A discard leaves noise, now or after a crash: nothing that is readable may have been discarded. Even seeds fill the
/// store first, so that what is freed is handed out again while discards run.
class StoreCrashOfDiscards : public ::testing::TestWithParam<std::tuple<Layout, std::uint64_t>> {};

TEST_P(StoreCrashOfDiscards, EveryCutKeepsWhatWasAcknowledged) {
  const auto [layout, seed] = GetParam();
  const CrashTestOutcome outcome =
      run_crash_test({.seed = seed, .steps = 160, .cut_every = 7, .discard = true, .layout = layout});
  EXPECT_EQ(outcome.problem, "");
  EXPECT_GT(outcome.cuts, 20u);
  EXPECT_GT(outcome.discarded_blocks, 0u);
}

INSTANTIATE_TEST_SUITE_P(Layouts, StoreCrashOfDiscards,
                         ::testing::Combine(::testing::Values(Layout::kOneDevice, Layout::kThreeDevices,
                                                              Layout::kWalWithData),
                                            ::testing::Values<std::uint64_t>(41, 42)));

class StoreCrashOfRepair : public ::testing::TestWithParam<std::tuple<Layout, std::uint64_t>> {};

TEST_P(StoreCrashOfRepair, EveryCutLeavesTheStoreAsItWasOrRepaired) {
  const auto [layout, seed] = GetParam();
  const RepairCrashOutcome outcome =
      run_repair_crash_test({.seed = seed, .steps = 200, .keys = 300, .sealed = seed % 2 == 0, .layout = layout});
  EXPECT_EQ(outcome.problem, "");
  EXPECT_GT(outcome.damaged, 3u);
  EXPECT_GT(outcome.before, 5u);
  EXPECT_GT(outcome.repaired, 0u);
}

INSTANTIATE_TEST_SUITE_P(Layouts, StoreCrashOfRepair,
                         ::testing::Combine(::testing::Values(Layout::kOneDevice, Layout::kThreeDevices),
                                            ::testing::Values<std::uint64_t>(41, 42, 43)));

TEST(StoreFormat, CutAtAnyWriteLeavesNoStoreOrTheNewOne) {
  StoreBench bench(5, 64);
  bench.format_store();  // what was there before
  std::vector<std::unique_ptr<media::SimMedium>> images;
  bench.device->set_write_hook([&](std::uint64_t, const media::IoRequest&) {
    for (int i = 0; i < 4; ++i) images.push_back(bench.device->crash_image({}));
  });
  bench.format.overwrite = true;
  bench.format.target = Uuid::from_random(77, 77);
  bench.format_store();
  bench.power_off();
  for (const auto& image : images) {
    StoreBench cut(6, 64);
    cut.medium = image->clone();
    const auto opened = cut.try_open();
    EXPECT_TRUE(opened || opened.error() == Code::kNotFound || opened.error() == Code::kCorrupt)
        << opened.error().to_string();
  }
}

}  // namespace
}  // namespace cenote::store
