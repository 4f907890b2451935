#include "store_test_kit.h"
#include "store_workload.h"

namespace cenote::store {
namespace {

enum class Sealing { kNever, kAlways, kLater };

/// Long runs against the model, reopened now and then, on one small device with the smallest cache.
void run_model(std::uint64_t seed, Sealing sealing) {
  SCOPED_TRACE(::testing::Message() << "seed " << seed);
  StoreBench bench(seed, 128);
  bench.device_options.prefers_durable_writes = seed % 2 == 0;
  if (sealing == Sealing::kAlways) bench.encrypt();
  bench.format_store();
  History history;
  for (std::uint64_t life = 0; life < 4; ++life) {
    if (sealing == Sealing::kLater && life == 2) bench.options.key = test_key(1);
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

class StoreModel : public ::testing::TestWithParam<std::uint64_t> {};
TEST_P(StoreModel, HoldsWhatTheModelHolds) { run_model(GetParam(), Sealing::kNever); }
INSTANTIATE_TEST_SUITE_P(Seeds, StoreModel, ::testing::Range<std::uint64_t>(1, 13));

// 3: sparse trees; 4: the largest values, and so the fullest pages.
TEST(SealedStoreModel, HoldsWhatTheModelHolds) {
  for (std::uint64_t seed : {3, 4, 17}) run_model(seed, Sealing::kAlways);
}
TEST(SealedStoreModel, HoldsWhatTheModelHoldsWhenItIsSealedLater) {
  for (std::uint64_t seed : {6, 8, 19}) run_model(seed, Sealing::kLater);
}

}  // namespace
}  // namespace cenote::store
