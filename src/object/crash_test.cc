#include <map>
#include <set>

#include "cenote/object/examine.h"
#include "cenote/runtime/scope.h"
#include "target_test_kit.h"

namespace cenote::object {
namespace {

constexpr std::uint32_t kWorkers = 4;
const ObjectId kObject = ObjectId::make(ObjectClass::kSX, KeyFlavour::kUint64, KeyFlavour::kLexical, 1, 1);

/// How far each worker is: its request number `started` was sent, `acknowledged` was answered or its effect shown to a
/// reader.
struct Progress {
  std::array<std::uint64_t, kWorkers> started{}, acknowledged{};
  bool done = false;
  /// Snapshots that were acknowledged, each with what it shows of every worker, and the one in the making or going.
  using Shown = std::array<std::uint64_t, kWorkers>;
  std::map<std::uint64_t, Shown> snapshots;
  std::optional<std::uint64_t> in_doubt;
};

/// What the medium would hold if the power had failed before one device write, and what had been answered by then.
struct Image {
  std::uint64_t write = 0;
  std::unique_ptr<media::SimMedium> medium;
  Progress progress;
};

bool is_punch(std::uint64_t number) { return number % 5 == 4; }
/// Punches the worker's dkey, writes it anew as an update does, and puts its number under another dkey.
bool is_transaction(std::uint64_t number) { return number % 5 == 2; }

// The three akeys of a worker's dkey, all written by each of its updates: inline, stored and in part copied, array.
constexpr std::string_view kAkeys[] = {"inline", "stored", "array"};
Bytes value_of(std::uint32_t worker, std::uint64_t number, std::size_t akey) {
  const std::size_t bytes[] = {90 + number % 7, 5000 + number * 100 % 3000, 12'288};
  const std::uint64_t seed = worker * 1000 + number * 10 + akey;
  return worker % 2 == 0 ? mixture(seed, bytes[akey]) : pattern(seed, bytes[akey]);
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

KeyBytes mirror_of(std::uint32_t worker) { return key_of(kWorkers + worker); }

Task<Result<UpdateReply>> send_transaction(TestTarget& target, std::uint32_t worker, std::uint64_t number) {
  Bytes payload;
  CommitRequest request;
  request.container = target.container;
  request.id = id_of(target, worker, number);
  request.punches.push_back(punch_of(target, worker, number));
  request.updates.push_back(update_of(target, worker, number, payload));
  Bytes mirrored(8);
  store_le(mirrored.data(), number);
  request.updates.push_back(target.single(kObject, mirror_of(worker), key_of("number"), mirrored));
  payload.insert(payload.end(), mirrored.begin(), mirrored.end());
  request.punches[0].id = request.updates[0].id = {};
  media::Buffer buffer = target.buffer_of(payload);
  co_return co_await target.objects->commit(std::move(request), std::move(buffer), payload.size(), Until::forever());
}

Task<Result<UpdateReply>> send(TestTarget& target, std::uint32_t worker, std::uint64_t number) {
  if (is_transaction(number)) co_return co_await send_transaction(target, worker, number);
  if (is_punch(number)) co_return co_await target.objects->punch(punch_of(target, worker, number), Until::forever());
  Bytes payload;
  UpdateRequest request = update_of(target, worker, number, payload);
  media::Buffer buffer = target.buffer_of(payload);
  co_return co_await target.objects->update(request, std::move(buffer), payload.size(), Until::forever());
}

Task<> work(TestTarget& target, std::uint32_t worker, std::uint64_t count, Progress& progress) {
  for (std::uint64_t number = 1; number <= count; ++number) {
    progress.started[worker] = number;
    const auto reply = co_await send(target, worker, number);
    EXPECT_TRUE(reply) << reply.error().to_string();
    progress.acknowledged[worker] = std::max(progress.acknowledged[worker], number);
    // Merging runs between, so that what it removes and releases is cut at every write, too.
    if (worker == 0 && number % 3 == 0) EXPECT_TRUE(co_await target.objects->aggregate(target.objects->now()));
  }
}

FetchRequest fetch_of(const TestTarget& target, std::uint32_t worker, Epoch epoch = kEpochLatest) {
  FetchRequest request = target.fetch_single(kObject, key_of(worker), key_of(kAkeys[0]), epoch);
  request.akeys[0].max_bytes = 10'000;
  request.akeys.push_back({.akey = key_of(kAkeys[1]), .ranges = {}, .max_bytes = 10'000});
  request.akeys.push_back({.akey = key_of(kAkeys[2]),
                           .kind = ValueKind::kArray,
                           .ranges = {{kArrayWindowBytes - 4096, 12'288}},
                           .max_bytes = 12'288});
  return request;
}

/// The request in [from, to] whose effect a worker's dkey shows; all akeys must show the same. nullopt: a mixture.
std::optional<std::uint64_t> effect_in(const Fetched& fetched, std::uint32_t worker, std::uint64_t from,
                                       std::uint64_t to) {
  const Bytes payload = joined(fetched);
  for (std::uint64_t number = from; number <= to; ++number) {
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

/// Reads all the time. What it was shown must survive as if it had been acknowledged.
Task<> watch(TestTarget& target, std::uint32_t worker, Progress& progress) {
  while (!progress.done) {
    const std::uint64_t before = progress.acknowledged[worker];
    const auto fetched = co_await TestTarget::fetch_of(*target.objects, fetch_of(target, worker));
    EXPECT_TRUE(fetched) << fetched.error().to_string();
    if (!fetched) co_return;
    const auto number = effect_in(*fetched, worker, before, progress.started[worker]);
    EXPECT_TRUE(number) << "worker " << worker << " shows a mixture, or something older than " << before;
    progress.acknowledged[worker] = std::max(progress.acknowledged[worker], number.value_or(0));
    // What is absent or inline is read without waiting; simulated time must move.
    co_await target.node.sleep_for(std::chrono::microseconds(30));
  }
}

/// Makes snapshots and removes them again, three at a time. What each shows is read when it was made and must stay.
Task<> keep_snapshots(TestTarget& target, Progress& progress) {
  while (!progress.done) {
    const Epoch epoch(target.objects->now().value() + 2);  // odd, as the clock shows
    const Progress before = progress;
    progress.in_doubt = epoch.value();
    const auto added = co_await target.objects->add_snapshot(target.container, epoch);
    EXPECT_TRUE(added) << added.error().to_string();
    Progress::Shown shown{};
    for (std::uint32_t worker = 0; worker < kWorkers; ++worker) {
      const auto fetched = co_await TestTarget::fetch_of(*target.objects, fetch_of(target, worker, epoch));
      EXPECT_TRUE(fetched) << fetched.error().to_string();
      if (!fetched) co_return;
      const auto number = effect_in(*fetched, worker, before.acknowledged[worker], progress.started[worker]);
      EXPECT_TRUE(number) << "snapshot of a mixture";
      shown[worker] = number.value_or(0);
    }
    progress.snapshots.emplace(epoch.value(), shown);
    progress.in_doubt.reset();
    co_await target.node.sleep_for(std::chrono::microseconds(200));
    if (progress.snapshots.size() < 3) continue;
    progress.in_doubt = progress.snapshots.begin()->first;
    progress.snapshots.erase(progress.snapshots.begin());
    EXPECT_TRUE(co_await target.objects->remove_snapshot(target.container, Epoch(*progress.in_doubt)));
    progress.in_doubt.reset();
  }
}

Task<> work_all(TestTarget& target, std::uint64_t count, Progress& progress) {
  Scope workers(target.node), watchers(target.node);
  for (std::uint32_t worker = 0; worker < kWorkers; ++worker) {
    workers.spawn(work(target, worker, count, progress));
    watchers.spawn(watch(target, worker, progress));
  }
  watchers.spawn(keep_snapshots(target, progress));
  co_await workers.drain();
  progress.done = true;
  co_await watchers.drain();
}

std::optional<std::uint64_t> shown(TestTarget& target, std::uint32_t worker, const Progress& progress) {
  const auto fetched = target.fetch(fetch_of(target, worker));
  EXPECT_TRUE(fetched) << fetched.error().to_string();
  if (!fetched) return std::nullopt;
  return effect_in(*fetched, worker, progress.acknowledged[worker], progress.started[worker]);
}

/// The number of the last transaction that took effect, as far as its other dkey says.
std::uint64_t mirrored(TestTarget& target, std::uint32_t worker) {
  const auto fetched = target.fetch(target.fetch_single(kObject, mirror_of(worker), key_of("number")));
  EXPECT_TRUE(fetched) << fetched.error().to_string();
  if (!fetched || !fetched->reply.akeys[0].exists) return 0;
  return load_le<std::uint64_t>(joined(*fetched).data());
}

/// What an offline check says of the medium as the crash left it. A superblock whose writing was cut is no more than a
/// warning.
void examine(TestTarget& target) {
  target.power_on();
  TargetCheckOptions options;
  options.key = target.open_options.key;
  options.cache_bytes = target.open_options.cache_bytes;
  options.found = [](const TargetFinding& found) {
    EXPECT_EQ(found.finding.kind, store::FindingKind::kSuperblock) << found.finding.message;
    EXPECT_EQ(found.finding.severity, store::Severity::kWarning) << found.finding.message;
  };
  const auto report = target.block_on(check_target(target.node, store::Devices::one(*target.device), options));
  ASSERT_TRUE(report) << report.error().to_string();
  EXPECT_TRUE(report->recovered);
  EXPECT_EQ(report->verified_bytes, report->inline_bytes + report->stored_bytes);
}

/// Those that were acknowledged are there and show what they showed, before and after aggregation; then they go.
void verify_snapshots(TestTarget& target, const Progress& progress) {
  for (const bool merged : {false, true}) {
    if (merged) ASSERT_TRUE(target.block_on(target.objects->aggregate(target.objects->now())));
    for (const auto& [epoch, shown] : progress.snapshots) {
      for (std::uint32_t worker = 0; worker < kWorkers; ++worker) {
        const auto fetched = target.fetch(fetch_of(target, worker, Epoch(epoch)));
        ASSERT_TRUE(fetched) << fetched.error().to_string();
        EXPECT_TRUE(effect_in(*fetched, worker, shown[worker], shown[worker]))
            << "snapshot " << epoch << " shows something else of worker " << worker;
      }
    }
  }
  const auto listed = target.block_on(target.objects->list_snapshots(target.container));
  ASSERT_TRUE(listed);
  std::set<std::uint64_t> epochs;
  for (const Epoch epoch : *listed) epochs.insert(epoch.value());
  if (progress.in_doubt) epochs.erase(*progress.in_doubt);
  EXPECT_EQ(epochs.size(), progress.snapshots.size());
  for (const Epoch epoch : *listed)
    EXPECT_TRUE(target.block_on(target.objects->remove_snapshot(target.container, epoch)));
  EXPECT_TRUE(target.block_on(target.objects->aggregate(target.objects->now())));
  target.check();
}

void verify(Image& image, std::uint64_t seed) {
  SCOPED_TRACE(testing::Message() << "seed " << seed << ", cut before device write " << image.write);
  TestTarget target(seed);
  if (seed % 4 < 2) target.encrypt();
  target.medium = std::move(image.medium);
  ASSERT_NO_FATAL_FAILURE(examine(target));
  ASSERT_NO_FATAL_FAILURE(target.open());
  target.check();
  for (std::uint32_t worker = 0; worker < kWorkers; ++worker) {
    const auto number = shown(target, worker, image.progress);
    ASSERT_TRUE(number) << "worker " << worker << " shows neither " << image.progress.acknowledged[worker] << " nor "
                        << image.progress.started[worker];
    std::uint64_t transaction = *number;
    while (transaction > 0 && !is_transaction(transaction)) --transaction;
    ASSERT_EQ(mirrored(target, worker), transaction) << "half a transaction of worker " << worker;
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
  verify_snapshots(target, image.progress);
}

class CrashTest : public testing::TestWithParam<std::uint64_t> {};

TEST_P(CrashTest, EveryDeviceWrite) {
  const std::uint64_t seed = GetParam();
  std::vector<Image> images;
  {
    TestTarget target(seed);
    target.device_options.prefers_durable_writes = seed % 2 == 0;
    target.properties.compression = static_cast<Compression>(seed % 3);
    target.properties.encrypted = seed % 4 < 2;
    if (target.properties.encrypted) target.encrypt();
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
