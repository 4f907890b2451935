/// Compaction, cut at every device write, while requests go on.
#include <map>

#include "cenote/object/examine.h"
#include "cenote/runtime/scope.h"
#include "target_test_kit.h"

namespace cenote::object {
namespace {

const ObjectId kObject = ObjectId::make(ObjectClass::kSX, KeyFlavour::kUint64, KeyFlavour::kLexical, 1, 1);
constexpr std::uint64_t kKeys = 80;
/// Overwritten and read while the others are moved.
constexpr std::uint64_t kBusyKeys = 6;

/// The number of each key's value, 0 for none; of a write that is under way nobody knows.
struct Known {
  std::array<std::uint64_t, kKeys> acknowledged{}, started{};
  bool done = false;
};

struct Image {
  std::uint64_t write = 0;
  std::unique_ptr<media::SimMedium> medium;
  Known known;
};

std::uint64_t bytes_of(std::uint64_t key) { return 30'000 + key % 5 * 9000; }
Bytes value_of(std::uint64_t key, std::uint64_t number) { return mixture(key * 100 + number, bytes_of(key)); }

/// Every second key's value is an array.
UpdateRequest update_of(const TestTarget& target, std::uint64_t key, ByteView value) {
  if (key % 2 == 0) return target.single(kObject, key_of(key), key_of("a"), value);
  return target.array(kObject, key_of(key), key_of("a"), 1, {{kArrayWindowBytes - 10'000, value.size()}}, value);
}

Task<> put(TestTarget& target, Known& known, std::uint64_t key, std::uint64_t number) {
  known.started[key] = number;
  const Bytes value = value_of(key, number);
  const auto updated = co_await TestTarget::update_of(*target.objects, update_of(target, key, value),
                                                      target.buffer_of(value), value.size());
  EXPECT_TRUE(updated) << updated.error().to_string();
  known.acknowledged[key] = number;
}

FetchRequest fetch_of(const TestTarget& target, std::uint64_t key) {
  const std::uint64_t bytes = bytes_of(key);
  if (key % 2 == 0) return target.fetch_single(kObject, key_of(key), key_of("a"));
  FetchRequest request = target.fetch_array(kObject, key_of(key), key_of("a"), {{kArrayWindowBytes - 10'000, bytes}});
  request.akeys[0].max_bytes = bytes;
  return request;
}

/// The number in [from, to] whose value is shown.
std::optional<std::uint64_t> number_in(const Fetched& fetched, std::uint64_t key, std::uint64_t from,
                                       std::uint64_t to) {
  const Bytes value = joined(fetched);
  if (!fetched.reply.akeys[0].exists || value.empty()) return from == 0 ? std::optional(from) : std::nullopt;
  for (std::uint64_t number = std::max<std::uint64_t>(from, 1); number <= to; ++number)
    if (equal(value, value_of(key, number))) return number;
  return std::nullopt;
}

/// Reads all the time: what is moved is seen whole, before and after.
Task<> watch(TestTarget& target, Known& known, std::uint64_t first) {
  for (std::uint64_t key = first; !known.done; key = (key + 7) % kKeys) {
    const std::uint64_t before = known.acknowledged[key];
    const auto fetched = co_await TestTarget::fetch_of(*target.objects, fetch_of(target, key));
    EXPECT_TRUE(fetched) << fetched.error().to_string();
    if (!fetched) co_return;
    EXPECT_TRUE(number_in(*fetched, key, before, known.started[key])) << "key " << key;
    co_await target.node.sleep_for(std::chrono::microseconds(20));
  }
}

Task<> overwrite(TestTarget& target, Known& known, std::uint64_t key) {
  for (std::uint64_t number = 2; number < 5; ++number) {
    co_await put(target, known, key, number);
    if (key == 1) EXPECT_TRUE(co_await target.objects->aggregate(target.objects->now()));
  }
}

Task<> compact_all(TestTarget& target, Known& known) {
  Scope watchers(target.node), writers(target.node);
  for (std::uint64_t i = 0; i < 3; ++i) watchers.spawn(watch(target, known, i));
  for (std::uint64_t key = 1; key < kBusyKeys; ++key) writers.spawn(overwrite(target, known, key));
  EXPECT_TRUE(co_await target.objects->compact());
  co_await writers.drain();
  EXPECT_TRUE(co_await target.objects->compact());
  known.done = true;
  co_await watchers.drain();
}

/// Values of some hundred kilobytes in a few groups, of which every other one is gone.
void make_holes(TestTarget& target, Known& known) {
  for (std::uint64_t key = 0; key < kKeys; ++key) target.block_on(put(target, known, key, 1));
  for (std::uint64_t key = kBusyKeys; key < kKeys; ++key) {
    if (key % 4 < 2) continue;
    ASSERT_TRUE(target.punch({.container = target.container,
                              .object = kObject,
                              .level = PunchLevel::kDkey,
                              .dkey = key_of(key),
                              .akeys = {},
                              .ranges = {},
                              .id = {}}));
    known.started[key] = known.acknowledged[key] = 0;
  }
  ASSERT_TRUE(target.block_on(target.objects->aggregate(target.objects->now())));
}

/// What an offline check says of the medium as the crash left it: every block is somebody's exactly once. A superblock
/// whose writing was cut is no more than a warning.
void examine(TestTarget& target) {
  target.power_on();
  TargetCheckOptions options;
  options.key = target.open_options.key;
  options.cache_bytes = target.open_options.cache_bytes;
  options.found = [](const TargetFinding& found) {
    EXPECT_EQ(found.finding.kind, store::FindingKind::kSuperblock) << found.finding.message;
  };
  const auto report = target.block_on(check_target(target.node, store::Devices::one(*target.device), options));
  ASSERT_TRUE(report) << report.error().to_string();
  EXPECT_EQ(report->verified_bytes, report->inline_bytes + report->stored_bytes);
}

void verify(Image& image, std::uint64_t seed) {
  SCOPED_TRACE(testing::Message() << "seed " << seed << ", cut before device write " << image.write);
  TestTarget target(seed);
  if (seed % 2 == 0) target.encrypt();
  target.medium = std::move(image.medium);
  ASSERT_NO_FATAL_FAILURE(examine(target));
  ASSERT_NO_FATAL_FAILURE(target.open());
  for (const bool again : {false, true}) {
    // It goes on from whatever the crash left; that takes its time, so not after every one.
    if (again && image.write % 8 != 0) break;
    if (again) ASSERT_TRUE(target.block_on(target.objects->compact()));
    target.check();
    for (std::uint64_t key = 0; key < kKeys; ++key) {
      const auto fetched = target.fetch(fetch_of(target, key));
      ASSERT_TRUE(fetched) << fetched.error().to_string();
      ASSERT_TRUE(number_in(*fetched, key, image.known.acknowledged[key], image.known.started[key])) << "key " << key;
    }
  }
}

class CompactCrashTest : public testing::TestWithParam<std::uint64_t> {};

TEST_P(CompactCrashTest, EveryDeviceWrite) {
  const std::uint64_t seed = GetParam();
  std::vector<Image> images;
  {
    TestTarget target(seed);
    target.device_options.prefers_durable_writes = seed % 4 < 2;
    target.properties.compression = static_cast<Compression>(seed % 3);
    target.properties.encrypted = seed % 2 == 0;
    if (target.properties.encrypted) target.encrypt();
    target.create();
    Known known;
    ASSERT_NO_FATAL_FAILURE(make_holes(target, known));
    std::uint64_t writes = 0;
    target.device->set_write_hook([&](std::uint64_t, const media::IoRequest&) {
      images.push_back({++writes, target.device->crash_image({}), known});
    });
    target.block_on(compact_all(target, known));
    EXPECT_TRUE(target.block_on(target.store->checkpoint()));
    target.device->set_write_hook(nullptr);
    EXPECT_GT(target.objects->counters().compacted_groups, 0u);
    target.check();
  }
  ASSERT_GT(images.size(), 30u);
  for (std::size_t i = 0; i < images.size() && !testing::Test::HasFailure(); ++i) verify(images[i], seed);
}

INSTANTIATE_TEST_SUITE_P(Seeds, CompactCrashTest, testing::Range<std::uint64_t>(1, 3));

}  // namespace
}  // namespace cenote::object
