#include "cenote/runtime/scope.h"
#include "target_test_kit.h"

namespace cenote::object {
namespace {

constexpr std::uint32_t kWorkers = 4;
const ObjectId kObject = ObjectId::make(ObjectClass::kSX, KeyFlavour::kUint64, KeyFlavour::kLexical, 1, 1);

/// How far each worker is: its request number `started` was sent, `acknowledged` was answered.
struct Progress {
  std::array<std::uint64_t, kWorkers> started{}, acknowledged{};
};

/// What the medium would hold if the power had failed before one device write, and what had been answered by then.
struct Image {
  std::uint64_t write = 0;
  std::unique_ptr<media::SimMedium> medium;
  Progress progress;
};

bool is_punch(std::uint64_t number) { return number % 5 == 4; }

// The three akeys of a worker's dkey, all written by each of its updates: inline, stored and in part copied, array.
constexpr std::string_view kAkeys[] = {"inline", "stored", "array"};
Bytes value_of(std::uint32_t worker, std::uint64_t number, std::size_t akey) {
  const std::size_t bytes[] = {90 + number % 7, 5000 + number * 100 % 3000, 12'288};
  return pattern(worker * 1000 + number * 10 + akey, bytes[akey]);
}

RequestId id_of(const TestTarget& target, std::uint32_t worker, std::uint64_t number) {
  return {.session = worker + 1,
          .sequence = number,
          .expiry = target.node.wall_now() + std::chrono::seconds(1000),
          .acknowledged = number > 4 ? number - 4 : 0};
}

UpdateRequest update_of(const TestTarget& target, std::uint32_t worker, std::uint64_t number, Bytes& payload) {
  UpdateRequest request{
      .container = target.container, .object = kObject, .dkey = key_of(worker), .akeys = {}, .id = {}};
  request.id = id_of(target, worker, number);
  for (std::size_t i = 0; i < std::size(kAkeys); ++i) {
    const Bytes value = value_of(worker, number, i);
    const KeyBytes akey = key_of(kAkeys[i]);
    request.akeys.push_back((i < 2 ? target.single(kObject, {}, akey, value)
                                   : target.array(kObject, {}, akey, 1, {{kArrayWindowBytes - 4096, 12'288}}, value))
                                .akeys[0]);
    payload.insert(payload.end(), value.begin(), value.end());
  }
  return request;
}

PunchRequest punch_of(const TestTarget& target, std::uint32_t worker, std::uint64_t number) {
  return {.container = target.container,
          .object = kObject,
          .level = PunchLevel::kDkey,
          .dkey = key_of(worker),
          .akeys = {},
          .ranges = {},
          .id = id_of(target, worker, number)};
}

Task<Result<UpdateReply>> send(TestTarget& target, std::uint32_t worker, std::uint64_t number) {
  if (is_punch(number)) co_return co_await target.objects->punch(punch_of(target, worker, number), Until::forever());
  Bytes payload;
  UpdateRequest request = update_of(target, worker, number, payload);
  media::Buffer buffer = target.buffer_of(payload);
  co_return co_await target.objects->update(std::move(request), std::move(buffer), payload.size(), Until::forever());
}

Task<> work(TestTarget& target, std::uint32_t worker, std::uint64_t count, Progress& progress) {
  for (std::uint64_t number = 1; number <= count; ++number) {
    progress.started[worker] = number;
    const auto reply = co_await send(target, worker, number);
    EXPECT_TRUE(reply) << reply.error().to_string();
    progress.acknowledged[worker] = number;
    // Merging runs between, so that what it removes and releases is cut at every write, too.
    if (worker == 0 && number % 3 == 0) EXPECT_TRUE(co_await target.objects->aggregate(target.objects->now()));
  }
}

Task<> work_all(TestTarget& target, std::uint64_t count, Progress& progress) {
  Scope scope(target.node);
  for (std::uint32_t worker = 0; worker < kWorkers; ++worker) scope.spawn(work(target, worker, count, progress));
  co_await scope.drain();
}

/// Which request's effect a worker's dkey shows; all akeys must show the same. nullopt: a mixture.
std::optional<std::uint64_t> shown(TestTarget& target, std::uint32_t worker, const Progress& progress) {
  FetchRequest request = target.fetch_single(kObject, key_of(worker), key_of(kAkeys[0]));
  request.akeys[0].max_bytes = 10'000;
  request.akeys.push_back({.akey = key_of(kAkeys[1]), .ranges = {}, .max_bytes = 10'000});
  request.akeys.push_back({.akey = key_of(kAkeys[2]),
                           .kind = ValueKind::kArray,
                           .ranges = {{kArrayWindowBytes - 4096, 12'288}},
                           .max_bytes = 12'288});
  const auto fetched = target.fetch(request);
  EXPECT_TRUE(fetched) << fetched.error().to_string();
  if (!fetched) return std::nullopt;
  const Bytes payload = joined(*fetched);
  for (std::uint64_t number = progress.acknowledged[worker]; number <= progress.started[worker]; ++number) {
    Bytes expected;
    if (number > 0 && !is_punch(number))
      for (std::size_t i = 0; i < std::size(kAkeys); ++i) {
        const Bytes value = value_of(worker, number, i);
        expected.insert(expected.end(), value.begin(), value.end());
      }
    if (payload == expected) return number;
  }
  return std::nullopt;
}

void verify(Image& image, std::uint64_t seed) {
  SCOPED_TRACE(testing::Message() << "seed " << seed << ", cut before device write " << image.write);
  TestTarget target(seed);
  target.medium = std::move(image.medium);
  ASSERT_NO_FATAL_FAILURE(target.open());
  target.check();
  for (std::uint32_t worker = 0; worker < kWorkers; ++worker) {
    const auto number = shown(target, worker, image.progress);
    ASSERT_TRUE(number) << "worker " << worker << " shows neither " << image.progress.acknowledged[worker] << " nor "
                        << image.progress.started[worker];
    // The client did not hear of its last request and sends it again: it takes effect once.
    const std::uint64_t last = image.progress.started[worker];
    if (last == 0) continue;
    const std::uint64_t repeated = target.objects->counters().repeated;
    const auto reply = target.block_on(send(target, worker, last));
    ASSERT_TRUE(reply) << reply.error().to_string();
    if (*number == last && !is_punch(last)) {
      EXPECT_EQ(target.objects->counters().repeated, repeated + 1);
    }
    Progress done = image.progress;
    done.acknowledged[worker] = last;
    EXPECT_EQ(shown(target, worker, done), last);
    const auto again = target.block_on(send(target, worker, last));
    ASSERT_TRUE(again);
    EXPECT_EQ(again->epoch, reply->epoch);
  }
  target.check();
}

class CrashTest : public testing::TestWithParam<std::uint64_t> {};

TEST_P(CrashTest, EveryDeviceWrite) {
  const std::uint64_t seed = GetParam();
  std::vector<Image> images;
  {
    TestTarget target(seed);
    target.device_options.prefers_durable_writes = seed % 2 == 0;
    target.create();
    Progress progress;
    std::uint64_t writes = 0;
    target.device->set_write_hook([&](std::uint64_t, const media::IoRequest&) {
      images.push_back({++writes, target.device->crash_image({}), progress});
    });
    target.block_on(work_all(target, 12, progress));
    EXPECT_TRUE(target.block_on(target.store->checkpoint()));
    target.device->set_write_hook(nullptr);
    for (std::uint32_t worker = 0; worker < kWorkers; ++worker) EXPECT_EQ(progress.acknowledged[worker], 12u);
  }
  ASSERT_GT(images.size(), 50u);
  // Each seed looks at a third of the writes, the seeds together at all kinds of them.
  for (std::size_t i = seed % 3; i < images.size() && !testing::Test::HasFailure(); i += 3) verify(images[i], seed);
}

INSTANTIATE_TEST_SUITE_P(Seeds, CrashTest, testing::Range<std::uint64_t>(1, 5));

}  // namespace
}  // namespace cenote::object
