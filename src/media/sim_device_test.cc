#include "cenote/media/sim_device.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <set>

#include "cenote/runtime/scope.h"
#include "device_test_support.h"

namespace cenote::media {
namespace {

using namespace std::chrono_literals;

class SimDeviceTest : public testing::TestWithParam<std::uint64_t> {
 protected:
  Code run(Task<Result<>> operation) { return code_of(world.block_on(node, std::move(operation))); }
  std::byte stored(std::uint64_t block) {
    std::array<std::byte, kBlockBytes> contents;
    medium.read_block(BlockNo(block), contents);
    return contents[0];
  }
  std::byte seen(SimDevice& device, std::uint64_t block) {
    Blocks into(1);
    EXPECT_EQ(run(read(device, block, into.span())), Code::kOk);
    return into.mark(0);
  }

  SimWorld world{GetParam()};
  SimReactor& node = world.add_node("node");
  Scope scope{node};
  SimMedium medium{64};
};
INSTANTIATE_TEST_SUITE_P(Seeds, SimDeviceTest, testing::Values(1, 2, 3));

TEST_P(SimDeviceTest, PlainWritesBecomeDurableByAFlush) {
  SimDevice device(node, "disk", medium);
  Blocks data(2, 10);
  EXPECT_EQ(run(write(device, 4, data.span(), Durability::kCached)), Code::kOk);
  EXPECT_EQ(seen(device, 5), std::byte{11});
  EXPECT_FALSE(medium.written(BlockNo(4)));
  EXPECT_EQ(run(flush(device)), Code::kOk);
  EXPECT_EQ(stored(4), std::byte{10});
  EXPECT_EQ(stored(5), std::byte{11});
  device.check_invariants();
  device.crash({.keep_random = false});
  EXPECT_EQ(stored(5), std::byte{11});
}

TEST_P(SimDeviceTest, ADurableWriteIsOnTheMediumWhenItCompletesAndSupersedesEarlierOnes) {
  SimDevice device(node, "disk", medium);
  Blocks old_data(3, 10), new_data(1, 20);
  EXPECT_EQ(run(write(device, 0, old_data.span(), Durability::kCached)), Code::kOk);
  EXPECT_EQ(run(write(device, 1, new_data.span(), Durability::kDurable)), Code::kOk);
  EXPECT_EQ(stored(1), std::byte{20});
  device.check_invariants();
  EXPECT_FALSE(medium.written(BlockNo(0)));
  // Whatever becomes of the cached write, it is older than the durable one.
  device.crash({});
  EXPECT_EQ(stored(1), std::byte{20});
}

TEST_P(SimDeviceTest, AFlushDoesNotCoverWritesThatWereInFlightWhenItBegan) {
  SimDevice device(node, "disk", medium, {.write_latency = 1ms, .flush_latency = 5ms});
  Blocks data(1, 10);
  std::vector<Code> log;
  scope.spawn(note(write(device, 0, data.span(), Durability::kCached), log));
  scope.spawn(note(flush(device), log));
  world.block_on(node, scope.drain());
  EXPECT_EQ(log, (std::vector{Code::kOk, Code::kOk}));
  EXPECT_FALSE(medium.written(BlockNo(0)));
  device.crash({.keep_random = false});
  EXPECT_FALSE(medium.written(BlockNo(0)));
}

TEST_P(SimDeviceTest, AWriteTakesItsDataWhenItIsSubmitted) {
  SimDevice device(node, "disk", medium);
  Blocks data(1, 10);
  std::vector<Code> log;
  scope.spawn(note(write(device, 0, data.span(), Durability::kDurable), log));
  world.run_until([&] { return device.counters().writes == 1; });
  data = Blocks(1, 99);
  world.block_on(node, scope.drain());
  EXPECT_EQ(stored(0), std::byte{10});
}

TEST_P(SimDeviceTest, WritesOfOneBlockTakeEffectInSubmissionOrder) {
  SimDevice device(node, "disk", medium, {.latency_jitter = 20});
  Blocks first(1, 1), second(1, 2);
  std::vector<Code> log;
  scope.spawn(note(write(device, 0, first.span(), Durability::kCached), log));
  scope.spawn(note(write(device, 0, second.span(), Durability::kDurable), log));
  world.block_on(node, scope.drain());
  EXPECT_EQ(seen(device, 0), std::byte{2});
  device.check_invariants();
  EXPECT_EQ(run(flush(device)), Code::kOk);
  EXPECT_EQ(stored(0), std::byte{2});
}

TEST_P(SimDeviceTest, NeverCompletesInsideSubmitAndReordersCompletions) {
  SimDevice device(node, "disk", medium, {.latency_jitter = 5});
  struct Recorder final : IoRequest {
    void complete(Result<> result) override { order->emplace_back(id, code_of(result)); }
    std::vector<std::pair<int, Code>>* order = nullptr;
    int id = 0;
  };
  std::vector<std::pair<int, Code>> order;
  std::vector<Recorder> requests(32);
  Blocks data(1);
  for (int i = 0; i < 32; ++i) {
    requests[i].order = &order;
    requests[i].id = i;
    requests[i].kind = IoKind::kWrite;
    requests[i].data = data.span().data();
    requests[i].bytes = i == 7 ? 100 : kBlockBytes;
    requests[i].first = BlockNo(i);
    device.submit(requests[i]);
    EXPECT_TRUE(order.empty());
  }
  world.run_until_idle();
  ASSERT_EQ(order.size(), 32u);
  EXPECT_FALSE(std::ranges::is_sorted(order));
  for (auto [id, code] : order) EXPECT_EQ(code, id == 7 ? Code::kMisaligned : Code::kOk);
}

TEST_P(SimDeviceTest, RefusesWhatIsMisalignedOrOutOfRange) {
  SimDevice device(node, "disk7", medium);
  Blocks data(3);
  EXPECT_EQ(run(write(device, 0, data.span().first(100), Durability::kCached)), Code::kMisaligned);
  EXPECT_EQ(run(write(device, 0, data.span().subspan(8, kBlockBytes), Durability::kCached)), Code::kMisaligned);
  EXPECT_EQ(run(read(device, 0, {})), Code::kMisaligned);
  EXPECT_EQ(run(read(device, 0, data.span().first(0))), Code::kOutOfRange);
  EXPECT_EQ(run(read(device, 62, data.span())), Code::kOutOfRange);
  EXPECT_EQ(run(read(device, UINT64_MAX - 1, data.span())), Code::kOutOfRange);
  EXPECT_EQ(run(discard(device, 60, 5)), Code::kOutOfRange);
  EXPECT_EQ(run(discard(device, 60, 4)), Code::kOk);
  const Result<> error = world.block_on(node, read(device, 62, data.span()));
  EXPECT_NE(error.error().message().find("disk7: read of blocks 62-64"), std::string::npos) << error.error().message();
}

TEST_P(SimDeviceTest, UnwrittenBlocksReadAsTheSameNoiseEverywhere) {
  SimDevice device(node, "disk", medium);
  Blocks once(4), again(4);
  EXPECT_EQ(run(read(device, 8, once.span())), Code::kOk);
  EXPECT_EQ(run(read(device, 8, again.span())), Code::kOk);
  EXPECT_TRUE(equal(once.span(), again.span()));
  EXPECT_TRUE(std::ranges::any_of(once.span(), [](std::byte byte) { return byte != std::byte{0}; }));
  EXPECT_FALSE(equal(once.span().first(kBlockBytes), once.span().last(kBlockBytes)));
}

TEST_P(SimDeviceTest, ACrashEndsWhatIsPendingWithoutEffect) {
  SimDevice device(node, "disk", medium);
  Blocks data(1, 10), into(1, 77);
  std::vector<Code> log;
  scope.spawn(note(write(device, 0, data.span(), Durability::kDurable), log));
  scope.spawn(note(read(device, 0, into.span()), log));
  scope.spawn(note(flush(device), log));
  world.run_until(
      [&] { return device.counters().flushes == 1 && device.counters().reads == 1 && device.counters().writes == 1; });
  device.crash({.keep_random = false});
  EXPECT_TRUE(log.empty());
  world.block_on(node, scope.drain());
  EXPECT_EQ(log, std::vector(3, Code::kDeviceDead));
  EXPECT_EQ(into.mark(0), std::byte{77});
  EXPECT_FALSE(medium.written(BlockNo(0)));
  EXPECT_EQ(run(write(device, 0, data.span(), Durability::kDurable)), Code::kDeviceDead);
  EXPECT_TRUE(device.dead());
  device.check_invariants();

  SimDevice reopened(node, "disk", medium);
  EXPECT_EQ(run(write(reopened, 0, data.span(), Durability::kDurable)), Code::kOk);
}

TEST_P(SimDeviceTest, TheHookCutsAtEveryWriteBeforeItsEffect) {
  for (std::uint64_t cut = 1; cut <= 4; ++cut) {
    SimMedium fresh(64);
    SimDevice device(node, "disk", fresh);
    std::vector<IoKind> kinds;
    device.set_write_hook([&](std::uint64_t number, const IoRequest& request) {
      kinds.push_back(request.kind);
      EXPECT_EQ(number, kinds.size());
      if (number == cut) device.crash({.keep_random = false});
    });
    Blocks data(1, 10);
    std::vector<Code> log;
    log.push_back(run(write(device, 0, data.span(), Durability::kDurable)));
    log.push_back(run(write(device, 1, data.span(), Durability::kCached)));
    log.push_back(run(flush(device)));
    log.push_back(run(write(device, 2, data.span(), Durability::kDurable)));
    for (std::uint64_t i = 0; i < log.size(); ++i) EXPECT_EQ(log[i], i + 1 < cut ? Code::kOk : Code::kDeviceDead);
    EXPECT_EQ(kinds.size(), cut);
    EXPECT_EQ(fresh.written(BlockNo(0)), cut > 1);
    EXPECT_EQ(fresh.written(BlockNo(1)), cut > 3);
    EXPECT_FALSE(fresh.written(BlockNo(2)));
  }
}

TEST_P(SimDeviceTest, ACrashImageLeavesTheDeviceRunning) {
  SimDevice device(node, "disk", medium);
  Blocks data(1, 10);
  EXPECT_EQ(run(write(device, 0, data.span(), Durability::kCached)), Code::kOk);
  std::set<bool> outcomes;
  for (int i = 0; i < 100; ++i) outcomes.insert(device.crash_image({})->written(BlockNo(0)));
  EXPECT_EQ(outcomes.size(), 2u);
  EXPECT_FALSE(medium.written(BlockNo(0)));
  EXPECT_EQ(run(flush(device)), Code::kOk);
  EXPECT_TRUE(device.crash_image({})->written(BlockNo(0)));
}

TEST_P(SimDeviceTest, ACrashTearsAtBlocksAndAtSectors) {
  SimDevice device(node, "disk", medium);
  Blocks old_data(4, 10), new_data(4, 20);
  EXPECT_EQ(run(write(device, 0, old_data.span(), Durability::kDurable)), Code::kOk);
  EXPECT_EQ(run(write(device, 0, new_data.span(), Durability::kCached)), Code::kOk);
  int whole = 0, untouched = 0, mixed_blocks = 0, torn_blocks = 0;
  for (int i = 0; i < 300; ++i) {
    const auto image = device.crash_image({});
    int kept = 0, torn = 0;
    for (std::uint64_t block = 0; block < 4; ++block) {
      std::array<std::byte, kBlockBytes> contents;
      image->read_block(BlockNo(block), contents);
      int changes = 0;
      for (std::size_t at = 1; at < kBlockBytes; ++at) {
        if (contents[at] == contents[at - 1]) continue;
        EXPECT_EQ(at % 512, 0u);
        ++changes;
      }
      EXPECT_LE(changes, 1);
      torn += changes;
      kept += changes == 0 && contents[0] == static_cast<std::byte>(20 + block) ? 1 : 0;
    }
    whole += kept == 4 ? 1 : 0;
    untouched += kept == 0 && torn == 0 ? 1 : 0;
    mixed_blocks += kept > 0 && kept + torn < 4 ? 1 : 0;
    torn_blocks += torn;
  }
  EXPECT_GT(whole, 0);
  EXPECT_GT(untouched, 0);
  EXPECT_GT(mixed_blocks, 0);
  EXPECT_GT(torn_blocks, 0);
}

TEST_P(SimDeviceTest, InjectedErrorsAreReported) {
  SimDevice device(node, "disk", medium, {.read_error_ppm = 1'000'000, .write_error_ppm = 1'000'000});
  Blocks data(1, 10);
  EXPECT_EQ(run(read(device, 0, data.span())), Code::kIoError);
  EXPECT_EQ(run(write(device, 0, data.span(), Durability::kDurable)), Code::kIoError);
  EXPECT_EQ(device.counters().errors, 2u);
  device.options() = {};
  EXPECT_EQ(run(write(device, 0, data.span(), Durability::kDurable)), Code::kOk);
  EXPECT_EQ(seen(device, 0), std::byte{10});
}

TEST_P(SimDeviceTest, LostWritesAreAcknowledgedAndGone) {
  SimDevice device(node, "disk", medium);
  Blocks old_data(1, 10), new_data(1, 20);
  EXPECT_EQ(run(write(device, 0, old_data.span(), Durability::kDurable)), Code::kOk);
  device.options().lost_write_ppm = 1'000'000;
  EXPECT_EQ(run(write(device, 0, new_data.span(), Durability::kDurable)), Code::kOk);
  EXPECT_EQ(seen(device, 0), std::byte{10});
}

TEST_P(SimDeviceTest, MisdirectedWritesLandElsewhere) {
  SimDevice device(node, "disk", medium, {.misdirected_write_ppm = 1'000'000});
  Blocks data(2, 10);
  for (int i = 0; i < 8; ++i) EXPECT_EQ(run(write(device, 5, data.span(), Durability::kDurable)), Code::kOk);
  int written = 0;
  for (std::uint64_t block = 0; block < 64; ++block) written += medium.written(BlockNo(block)) ? 1 : 0;
  EXPECT_GT(written, 2);
}

TEST_P(SimDeviceTest, CorruptWritesDifferInOneBit) {
  SimDevice device(node, "disk", medium, {.corrupt_write_ppm = 1'000'000});
  Blocks data(4, 10), into(4);
  EXPECT_EQ(run(write(device, 0, data.span(), Durability::kDurable)), Code::kOk);
  EXPECT_EQ(run(read(device, 0, into.span())), Code::kOk);
  int bits = 0;
  for (std::size_t i = 0; i < into.span().size(); ++i) {
    bits += std::popcount(std::to_integer<unsigned>(data.span()[i] ^ into.span()[i]));
  }
  EXPECT_EQ(bits, 1);
}

TEST_P(SimDeviceTest, AFullDeviceRefusesWritesOnly) {
  SimDevice device(node, "disk", medium);
  Blocks data(1, 10);
  device.set_full(true);
  EXPECT_EQ(run(write(device, 0, data.span(), Durability::kDurable)), Code::kDeviceFull);
  EXPECT_EQ(run(read(device, 0, data.span())), Code::kOk);
  EXPECT_EQ(run(flush(device)), Code::kOk);
  device.set_full(false);
  EXPECT_EQ(run(write(device, 0, data.span(), Durability::kDurable)), Code::kOk);
}

TEST_P(SimDeviceTest, TimeFollowsLatencyBandwidthAndSlowdown) {
  SimDevice device(node, "disk", medium, {.read_latency = 100us, .latency_jitter = 0, .bytes_per_second = 4096 * 1000});
  Blocks data(10);
  auto elapsed = [&](Instant since) { return world.now() - since; };
  Instant start = world.now();
  EXPECT_EQ(run(read(device, 0, data.span())), Code::kOk);
  EXPECT_EQ(elapsed(start), 10ms + 100us);
  // Two at once share the bandwidth and overlap their latencies.
  std::vector<Code> log;
  Blocks more(10);
  start = world.now();
  scope.spawn(note(read(device, 0, data.span()), log));
  scope.spawn(note(read(device, 10, more.span()), log));
  world.run_until([&] { return log.size() == 2; });
  EXPECT_EQ(elapsed(start), 20ms + 100us);
  device.set_slowdown(3);
  start = world.now();
  EXPECT_EQ(run(read(device, 0, data.span())), Code::kOk);
  EXPECT_EQ(elapsed(start), 30ms + 300us);
  world.block_on(node, scope.drain());
}

TEST_P(SimDeviceTest, CloseWaitsAndLaterOperationsFail) {
  SimDevice device(node, "disk", medium);
  Blocks data(1, 10);
  std::vector<Code> log;
  scope.spawn(note(write(device, 0, data.span(), Durability::kCached), log));
  world.run_until([&] { return device.counters().writes == 1; });
  world.block_on(node, device.close());
  EXPECT_EQ(log, std::vector{Code::kOk});
  EXPECT_EQ(stored(0), std::byte{10});
  EXPECT_EQ(run(flush(device)), Code::kDeviceDead);
  world.block_on(node, scope.drain());
}

TEST_P(SimDeviceTest, DiscardIsAHintThatACrashMayUndo) {
  SimDevice device(node, "disk", medium);
  Blocks data(4, 10);
  std::set<bool> forgotten;
  for (int i = 0; i < 30; ++i) {
    EXPECT_EQ(run(write(device, 0, data.span(), Durability::kDurable)), Code::kOk);
    EXPECT_EQ(run(discard(device, 1, 2)), Code::kOk);
    EXPECT_EQ(seen(device, 0), std::byte{10});
    forgotten.insert(seen(device, 1) != std::byte{11});
    EXPECT_TRUE(medium.written(BlockNo(1)));
    device.check_invariants();
  }
  EXPECT_EQ(forgotten.size(), 2u);
}

TEST_P(SimDeviceTest, ATebibyteCostsNothing) {
  constexpr std::uint64_t kBlocks = (1ull << 40) / kBlockBytes;
  SimMedium large(kBlocks);
  SimDevice device(node, "disk", large);
  Blocks data(1, 10);
  EXPECT_EQ(run(write(device, kBlocks - 1, data.span(), Durability::kDurable)), Code::kOk);
  EXPECT_EQ(run(discard(device, 0, kBlocks)), Code::kOk);
  EXPECT_EQ(large.next_written(BlockNo(0), BlockNo(kBlocks)), BlockNo(kBlocks - 1));
  const auto copy = large.clone();
  EXPECT_EQ(run(write(device, 0, data.span(), Durability::kDurable)), Code::kOk);
  EXPECT_FALSE(copy->written(BlockNo(0)));
  EXPECT_TRUE(copy->written(BlockNo(kBlocks - 1)));
}

}  // namespace
}  // namespace cenote::media
