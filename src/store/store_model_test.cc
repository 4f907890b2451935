#include "store_test_kit.h"
#include "store_workload.h"

namespace cenote::store {
namespace {

/// Long runs against the model, reopened now and then, on one small device with the smallest cache.
class StoreModel : public ::testing::TestWithParam<std::uint64_t> {};

TEST_P(StoreModel, HoldsWhatTheModelHolds) {
  const std::uint64_t seed = GetParam();
  SCOPED_TRACE(::testing::Message() << "seed " << seed);
  StoreBench bench(seed, 128);
  bench.device_options.prefers_durable_writes = seed % 2 == 0;
  bench.format_store();
  History history;
  for (std::uint64_t life = 0; life < 4; ++life) {
    bench.open();
    EXPECT_EQ(bench.block_on(verify_store(*bench.store, history)), "");
    WorkloadOptions options;
    options.seed = seed * 100 + life;
    options.steps = 600;
    options.clients = 1 + static_cast<std::uint32_t>(seed % 8);
    options.keys = seed % 3 == 0 ? 20000 : 400;  // sparse trees, dense trees
    options.value_bytes = seed % 4 == 0 ? kMaxValueBytes : 900;
    Workload workload(*bench.store, history, options);
    bench.block_on(workload.run());
    ASSERT_EQ(workload.problem(), "");
    EXPECT_EQ(bench.block_on(verify_store(*bench.store, history)), "");
    if (life % 2 == 0) {
      const auto closed = bench.block_on(bench.store->close());
      EXPECT_TRUE(closed) << closed.error().to_string();
    } else {
      bench.crash();
    }
    bench.power_off();
  }
}

INSTANTIATE_TEST_SUITE_P(Seeds, StoreModel, ::testing::Range<std::uint64_t>(1, 13));

}  // namespace
}  // namespace cenote::store
