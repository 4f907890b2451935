#include "cenote/object/object_store.h"

#include "cenote/object/space_account.h"
#include "cenote/runtime/scope.h"
#include "target_test_kit.h"

namespace cenote::object {
namespace {

constexpr std::uint64_t kNoLimit = SpaceAccount::kNoLimit;

const ObjectId kObject = ObjectId::make(ObjectClass::kSX, KeyFlavour::kLexical, KeyFlavour::kLexical, 1, 1);
const ObjectId kFile = ObjectId::make(ObjectClass::kSX, KeyFlavour::kUint64, KeyFlavour::kLexical, 1, 2);

TEST(ObjectStore, SmallAndLargeValuesComeBack) {
  TestTarget target(1);
  target.create();
  for (const std::size_t bytes : {0, 1, 100, 2048, 2049, 4096, 5000, 100'000, 1 << 20}) {
    const KeyBytes akey = key_of("value " + std::to_string(bytes));
    const Bytes value = pattern(bytes, bytes);
    const auto updated = target.update(target.single(kObject, key_of("d"), akey, value), value);
    ASSERT_TRUE(updated) << updated.error().to_string();
    for (int round = 0; round < 2; ++round) {
      if (round == 1) target.reopen();
      const auto fetched = target.fetch(target.fetch_single(kObject, key_of("d"), akey));
      ASSERT_TRUE(fetched) << fetched.error().to_string();
      EXPECT_TRUE(fetched->reply.akeys[0].exists);
      EXPECT_EQ(fetched->reply.akeys[0].bytes, bytes);
      EXPECT_EQ(fetched->reply.epoch, updated->epoch);
      EXPECT_TRUE(joined(*fetched) == value) << bytes;
      Checksums expected;
      append_checksums(value, expected);
      EXPECT_EQ(fetched->reply.akeys[0].checksums, expected);
    }
  }
}

TEST(ObjectStore, AbsentThingsAreNoError) {
  TestTarget target(2);
  target.create();
  const auto single = target.fetch(target.fetch_single(kObject, key_of("d"), key_of("a")));
  ASSERT_TRUE(single);
  EXPECT_FALSE(single->reply.akeys[0].exists);
  const auto array = target.fetch(target.fetch_array(kObject, key_of("d"), key_of("a"), {{5, 10}}));
  ASSERT_TRUE(array);
  EXPECT_FALSE(array->reply.akeys[0].exists);
  EXPECT_EQ(array->reply.akeys[0].holes, (RecordRanges{{5, 10}}));
  FetchRequest other = target.fetch_single(kObject, key_of("d"), key_of("a"));
  other.container = Uuid::from_random(9, 9);
  EXPECT_EQ(code_of(target.fetch(other)), Code::kContainerNotFound);
}

TEST(ObjectStore, ARangeOverWindowsWithHolesComesBack) {
  TestTarget target(3);
  target.create();
  const KeyBytes dkey = key_of(7u);
  const std::uint64_t start = kArrayWindowBytes - 10'000;
  const Bytes data = pattern(3, 30'000);
  ASSERT_TRUE(target.update(target.array(kFile, dkey, key_of("a"), 1, {{start, 30'000}}, data), data));
  const Bytes patch = pattern(4, 3000);
  ASSERT_TRUE(target.update(target.array(kFile, dkey, key_of("a"), 1, {{start + 50'000, 3000}}, patch), patch));

  const auto fetched = target.fetch(target.fetch_array(kFile, dkey, key_of("a"), {{start - 5, 100'000}}));
  ASSERT_TRUE(fetched) << fetched.error().to_string();
  Bytes expected(5 + 50'000 + 3000);
  std::ranges::copy(data, expected.begin() + 5);
  std::ranges::copy(patch, expected.begin() + 5 + 50'000);
  EXPECT_TRUE(joined(*fetched) == expected);
  const AkeyFetched& akey = fetched->reply.akeys[0];
  EXPECT_EQ(akey.range_bytes, (SmallVector<std::uint64_t, 2>{expected.size()}));
  EXPECT_EQ(akey.holes, (RecordRanges{{start - 5, 5}, {start + 30'000, 20'000}, {start + 53'000, 100'000 - 53'005}}));
  Checksums checksums;
  append_checksums(expected, checksums);
  EXPECT_EQ(akey.checksums, checksums);
}

TEST(ObjectStore, ManyAkeysGoInOneUpdate) {
  TestTarget target(4);
  target.create();
  UpdateRequest request{.container = target.container, .object = kObject, .dkey = key_of("d"), .akeys = {}, .id = {}};
  Bytes payload;
  for (std::uint32_t i = 0; i < kMaxAkeysPerRequest; ++i) {
    const Bytes value = pattern(i, i * 150 + 1);
    const UpdateRequest one =
        i % 2 == 0 ? target.single(kObject, key_of("d"), key_of("a" + std::to_string(i)), value)
                   : target.array(kObject, key_of("d"), key_of("a" + std::to_string(i)), 1, {{i, value.size()}}, value);
    request.akeys.push_back(one.akeys[0]);
    payload.insert(payload.end(), value.begin(), value.end());
  }
  ASSERT_TRUE(target.update(request, payload));
  EXPECT_GT(target.objects->counters().copied_bytes, 0u);
  for (std::uint32_t i = 0; i < kMaxAkeysPerRequest; ++i) {
    const KeyBytes akey = key_of("a" + std::to_string(i));
    const auto fetched = target.fetch(i % 2 == 0 ? target.fetch_single(kObject, key_of("d"), akey)
                                                 : target.fetch_array(kObject, key_of("d"), akey, {{i, i * 150 + 1}}));
    ASSERT_TRUE(fetched) << fetched.error().to_string();
    EXPECT_TRUE(joined(*fetched) == pattern(i, i * 150 + 1)) << i;
  }
}

// The largest update that the limits allow fits one batch of the store.
TEST(ObjectStore, TheLargestUpdateFits) {
  TestTarget target(5);
  target.create();
  const std::string long_key(kMaxAkeyBytes - 2, 'k');
  UpdateRequest request{
      .container = target.container,
      .object = kObject,
      .dkey = key_of(std::string(kMaxDkeyBytes, 'd')),
      .akeys = {},
      .id = {.session = 1, .sequence = 1, .expiry = target.node.wall_now() + std::chrono::seconds(9)}};
  Bytes payload;
  const std::uint32_t pieces = kMaxPiecesPerUpdate;
  for (std::uint32_t i = 0; i < kMaxAkeysPerRequest; ++i) {
    const std::uint32_t ranges = pieces / kMaxAkeysPerRequest + (i < pieces % kMaxAkeysPerRequest ? 1 : 0);
    RecordRanges wanted;
    for (std::uint32_t r = 0; r < ranges; ++r) wanted.push_back({r * 3000ull, 2000});
    const Bytes data = pattern(i, ranges * 2000);
    request.akeys.push_back(
        target.array(kObject, key_of("d"), key_of(long_key + std::to_string(i % 90 + 10)), 1, wanted, data).akeys[0]);
    payload.insert(payload.end(), data.begin(), data.end());
  }
  const auto updated = target.update(request, payload);
  ASSERT_TRUE(updated) << updated.error().to_string();
}

TEST(ObjectStore, ConditionsAreCheckedAndApplied) {
  TestTarget target(6);
  target.create();
  const Bytes value = pattern(1, 50);
  UpdateRequest insert = target.single(kObject, key_of("d"), key_of("a"), value);
  insert.akeys[0].condition = Precondition::kPresent;
  EXPECT_EQ(code_of(target.update(insert, value)), Code::kConditionFailed);
  insert.akeys[0].condition = Precondition::kAbsent;
  EXPECT_EQ(code_of(target.update(insert, value)), Code::kOk);
  EXPECT_EQ(code_of(target.update(insert, value)), Code::kConditionFailed);
  insert.akeys[0].akey = key_of("b");
  insert.dkey_condition = Precondition::kAbsent;
  EXPECT_EQ(code_of(target.update(insert, value)), Code::kConditionFailed);
  insert.dkey_condition = Precondition::kPresent;
  EXPECT_EQ(code_of(target.update(insert, value)), Code::kOk);

  FetchRequest fetch = target.fetch_single(kObject, key_of("d"), key_of("c"));
  fetch.akeys[0].condition = Precondition::kPresent;
  EXPECT_EQ(code_of(target.fetch(fetch)), Code::kConditionFailed);
  fetch.akeys[0].condition = Precondition::kNone;
  fetch.dkey_condition = Precondition::kPresent;
  EXPECT_EQ(code_of(target.fetch(fetch)), Code::kOk);
  fetch.dkey = key_of("e");
  EXPECT_EQ(code_of(target.fetch(fetch)), Code::kConditionFailed);

  PunchRequest punch{.container = target.container,
                     .object = kObject,
                     .level = PunchLevel::kDkey,
                     .condition = Precondition::kPresent,
                     .dkey = key_of("d"),
                     .akeys = {},
                     .ranges = {},
                     .id = {}};
  EXPECT_EQ(code_of(target.punch(punch)), Code::kOk);
  EXPECT_EQ(code_of(target.punch(punch)), Code::kConditionFailed);
  insert.dkey_condition = Precondition::kAbsent;
  EXPECT_EQ(code_of(target.update(insert, value)), Code::kOk);
}

TEST(ObjectStore, TypesAreFixedForTheLifeOfAnAkey) {
  TestTarget target(7);
  target.create();
  const Bytes data = pattern(1, 64);
  ASSERT_TRUE(target.update(target.array(kObject, key_of("d"), key_of("a"), 8, {{0, 8}}, data), data));
  EXPECT_EQ(code_of(target.update(target.array(kObject, key_of("d"), key_of("a"), 16, {{0, 4}}, data), data)),
            Code::kTypeMismatch);
  EXPECT_EQ(code_of(target.update(target.single(kObject, key_of("d"), key_of("a"), data), data)), Code::kTypeMismatch);
  EXPECT_EQ(code_of(target.fetch(target.fetch_single(kObject, key_of("d"), key_of("a")))), Code::kTypeMismatch);
  PunchRequest punch{.container = target.container,
                     .object = kObject,
                     .level = PunchLevel::kAkey,
                     .dkey = key_of("d"),
                     .akeys = {key_of("a")},
                     .ranges = {},
                     .id = {}};
  ASSERT_TRUE(target.punch(punch));
  // A new life, of another type; the old one is still what earlier epochs see.
  const Epoch before = target.objects->now();
  EXPECT_EQ(code_of(target.update(target.single(kObject, key_of("d"), key_of("a"), data), data)), Code::kOk);
  EXPECT_EQ(code_of(target.update(target.array(kObject, key_of("d"), key_of("a"), 8, {{0, 8}}, data), data)),
            Code::kTypeMismatch);
  const auto earlier = target.fetch(target.fetch_single(kObject, key_of("d"), key_of("a"), before));
  ASSERT_TRUE(earlier);
  EXPECT_FALSE(earlier->reply.akeys[0].exists);
}

TEST(ObjectStore, DamageOnTheWayIsRefused) {
  TestTarget target(8);
  target.create();
  Bytes value = pattern(1, 10'000);
  const UpdateRequest request = target.single(kObject, key_of("d"), key_of("a"), value);
  value[9000] ^= std::byte{1};
  const auto updated = target.update(request, value);
  ASSERT_EQ(code_of(updated), Code::kChecksumMismatch);
  EXPECT_NE(updated.error().message().find("akey 'a'"), std::string::npos) << updated.error().message();
  const auto fetched = target.fetch(target.fetch_single(kObject, key_of("d"), key_of("a")));
  ASSERT_TRUE(fetched);
  EXPECT_FALSE(fetched->reply.akeys[0].exists);
}

TEST(ObjectStore, DamagedBlocksAreNamedNeverReturned) {
  TestTarget target(9);
  target.create();
  const Bytes value = pattern(1, 20'000);
  ASSERT_TRUE(target.update(target.single(kObject, key_of("d"), key_of("victim"), value), value));
  // Finds the block by its contents and flips a bit.
  std::uint32_t damaged = 0;
  Bytes block(media::kBlockBytes);
  target.power_off();
  const media::BlockNo end(target.medium->block_count());
  for (media::BlockNo at = target.medium->next_written(media::BlockNo(0), end); at < end;
       at = target.medium->next_written(media::BlockNo(at.value() + 1), end)) {
    target.medium->read_block(at, block);
    if (!equal(block, ByteView(value).subspan(8192, media::kBlockBytes))) continue;
    block[17] ^= std::byte{4};
    target.medium->write_block(at, block);
    ++damaged;
  }
  ASSERT_EQ(damaged, 1u);
  target.open();
  const auto fetched = target.fetch(target.fetch_single(kObject, key_of("d"), key_of("victim")));
  ASSERT_EQ(code_of(fetched), Code::kCorrupt);
  const std::string& message = fetched.error().message();
  EXPECT_NE(message.find(kObject.to_string()), std::string::npos) << message;
  EXPECT_NE(message.find("victim"), std::string::npos) << message;
  EXPECT_NE(message.find("8192"), std::string::npos) << message;
}

// Punches the one object that was written and gives its space back.
void remove_everything(TestTarget& target) {
  const PunchRequest punch{
      .container = target.container, .object = kFile, .dkey = {}, .akeys = {}, .ranges = {}, .id = {}};
  ASSERT_TRUE(target.punch(punch));
  const auto merged = target.block_on(target.objects->aggregate(target.objects->now()));
  ASSERT_TRUE(merged) << merged.error().to_string();
  EXPECT_EQ(target.block_on(target.objects->container_usage(target.container))->bytes, 0u);
  ASSERT_TRUE(target.block_on(target.store->checkpoint()));
}

TEST(ObjectStore, AFullTargetRefusesAndRecovers) {
  TestTarget target(10, 48);
  target.create();
  const Bytes value = pattern(1, 1 << 20);
  std::uint64_t capacity = 0;
  for (int round = 0; round < 3; ++round) {
    std::uint64_t stored = 0;
    Result<UpdateReply> updated = UpdateReply{};
    while (true) {
      updated = target.update(target.single(kFile, key_of(stored), key_of("a"), value), value);
      if (!updated) break;
      ASSERT_LT(++stored, 100u);
    }
    ASSERT_EQ(code_of(updated), Code::kNoSpace);
    EXPECT_NE(updated.error().message().find("delete"), std::string::npos) << updated.error().message();
    if (round == 0) capacity = stored;
    EXPECT_GE(stored + 2, capacity) << "round " << round;
    // Nothing was lost, and deleting works.
    for (std::uint64_t i = 0; i < stored; ++i) {
      const auto fetched = target.fetch(target.fetch_single(kFile, key_of(i), key_of("a")));
      ASSERT_TRUE(fetched) << fetched.error().to_string();
      EXPECT_TRUE(joined(*fetched) == value);
    }
    ASSERT_NO_FATAL_FAILURE(remove_everything(target));
    target.check();
  }
  ASSERT_GT(capacity, 10u);
}

// Space that a round loses is missed sooner or later, and so is a way in which being full stays. Most rounds fill up
// with extents of all sizes, some with what lies in the tree alone.
TEST(ObjectStore, FillsUpAHundredTimes) {
  TestTarget target(17, 40);
  target.create();
  const Bytes source = pattern(1, 1 << 20);
  std::mt19937_64 random(17);
  std::uint64_t capacity[2] = {UINT64_MAX, UINT64_MAX};  // the least that fitted, by kind of round
  for (int round = 0; round < 100; ++round) {
    SCOPED_TRACE(round);
    const bool is_inline = round % 50 == 49;
    std::vector<ByteView> stored;
    std::uint64_t bytes = 0;
    Result<UpdateReply> updated = UpdateReply{};
    while (true) {
      const std::size_t size = is_inline ? 2000 : 1 + random() % source.size();
      const ByteView value = ByteView(source).subspan(random() % (source.size() - size + 1), size);
      updated = target.update(target.single(kFile, key_of(stored.size()), key_of("a"), value), value);
      if (!updated) break;
      stored.push_back(value);
      bytes += size;
    }
    ASSERT_EQ(code_of(updated), Code::kNoSpace) << updated.error().to_string();
    // Large values leave gaps of up to one of them.
    std::uint64_t& least = capacity[is_inline ? 1 : 0];
    if (least == UINT64_MAX) least = bytes - bytes / 4 - (is_inline ? 0 : source.size());
    EXPECT_GE(bytes, least);
    for (std::size_t key = 0; key < stored.size(); key += 1 + random() % 32) {
      const auto fetched = target.fetch(target.fetch_single(kFile, key_of(key), key_of("a")));
      ASSERT_TRUE(fetched) << fetched.error().to_string();
      ASSERT_TRUE(equal(joined(*fetched), stored[key])) << "key " << key;
    }
    if (round % 10 == 3) target.reopen();
    ASSERT_NO_FATAL_FAILURE(remove_everything(target));
    if (round % 10 == 9) target.check();
  }
}

// Pages of the tree are fetched and evicted under every operation.
TEST(ObjectStore, MoreMetadataThanTheCacheHolds) {
  TestTarget target(15, 256);
  target.create();
  constexpr std::uint64_t kKeys = 30'000;
  const auto value_of = [](std::uint64_t i) { return Bytes(1000, static_cast<std::byte>(i * 131 >> 3)); };
  const auto write = [](TestTarget& t, std::uint64_t from, std::uint64_t step, auto make) -> Task<> {
    for (std::uint64_t i = from; i < kKeys; i += step) {
      const Bytes value = make(i);
      UpdateRequest request = t.single(kFile, key_of(i), key_of("a"), value);
      request.dkey_condition = Precondition::kAbsent;
      const auto updated = co_await t.objects->update(request, t.buffer_of(value), value.size(), Until::forever());
      EXPECT_TRUE(updated) << updated.error().to_string();
    }
  };
  const auto write_all = [](TestTarget& t, auto worker, auto make) -> Task<> {
    Scope scope(t.node);
    for (std::uint64_t i = 0; i < 16; ++i) scope.spawn(worker(t, i, 16, make));
    co_await scope.drain();
  };
  target.block_on(write_all(target, write, value_of));
  target.reopen();
  std::mt19937_64 random(15);
  for (int i = 0; i < 500; ++i) {
    const std::uint64_t key = random() % kKeys;
    const auto fetched = target.fetch(target.fetch_single(kFile, key_of(key), key_of("a")));
    ASSERT_TRUE(fetched) << fetched.error().to_string();
    ASSERT_TRUE(joined(*fetched) == value_of(key)) << key;
  }
  ASSERT_GT(target.store->status().page_reads, 100u);
  ListRequest request{
      .container = target.container, .object = kFile, .dkey = {}, .akey = {}, .anchor = {}, .prefix = {}};
  std::uint64_t listed = 0;
  while (true) {
    const auto keys = target.list(request);
    ASSERT_TRUE(keys) << keys.error().to_string();
    for (const ListedKey& key : keys->keys) ASSERT_EQ(key.key, key_of(listed++));
    if (keys->anchor.empty()) break;
    request.anchor = keys->anchor;
  }
  EXPECT_EQ(listed, kKeys);
  ASSERT_TRUE(target.block_on(target.objects->aggregate(target.objects->now())));
  target.reopen();
  target.check();
  ASSERT_TRUE(target.block_on(target.objects->destroy_container(target.container)));
  ASSERT_TRUE(target.block_on(target.objects->aggregate(kEpochZero)));
  target.check();
}

TEST(ObjectStore, AContainerWithoutChecksumsKeepsNone) {
  TestTarget target(16);
  target.create();
  target.container = Uuid::from_random(77, 78);
  ASSERT_TRUE(target.block_on(target.objects->create_container(target.container, {.checksums = false})));
  Bytes value = pattern(1, 9000);
  UpdateRequest request = target.single(kObject, key_of("d"), key_of("a"), value);
  ASSERT_TRUE(target.update(request, value));
  const auto fetched = target.fetch(target.fetch_single(kObject, key_of("d"), key_of("a")));
  ASSERT_TRUE(fetched);
  EXPECT_TRUE(joined(*fetched) == value);
  EXPECT_TRUE(fetched->reply.akeys[0].checksums.empty());
  // What a client sends all the same is verified.
  value[5] ^= std::byte{1};
  EXPECT_EQ(code_of(target.update(request, value)), Code::kChecksumMismatch);
  request.akeys[0].checksums.clear();
  EXPECT_EQ(code_of(target.update(request, value)), Code::kOk);
}

// The target checksums what a client sends without.
TEST(ObjectStore, ChecksumsAreMadeWhereTheClientSendsNone) {
  TestTarget target(17);
  target.create();
  const Bytes value = pattern(1, 9000);
  UpdateRequest request = target.single(kObject, key_of("d"), key_of("a"), value);
  const Checksums expected = request.akeys[0].checksums;
  request.akeys[0].checksums.clear();
  ASSERT_TRUE(target.update(request, value));
  EXPECT_EQ(target.fetch(target.fetch_single(kObject, key_of("d"), key_of("a")))->reply.akeys[0].checksums, expected);
}

TEST(ObjectStore, RoomThatIsTooSmallIsSaid) {
  TestTarget target(18);
  target.create();
  const Bytes value = pattern(1, 9000);
  ASSERT_TRUE(target.update(target.single(kObject, key_of("d"), key_of("a"), value), value));
  FetchRequest fetch = target.fetch_single(kObject, key_of("d"), key_of("a"));
  fetch.akeys[0].max_bytes = 8999;
  const auto fetched = target.fetch(fetch);
  ASSERT_EQ(code_of(fetched), Code::kOutOfRange);
  EXPECT_NE(fetched.error().message().find("9000"), std::string::npos) << fetched.error().message();
}

TEST(ObjectStore, AClosedStoreRefuses) {
  TestTarget target(19);
  target.create();
  ASSERT_TRUE(target.block_on(target.objects->close()));
  EXPECT_EQ(code_of(target.fetch(target.fetch_single(kObject, key_of("d"), key_of("a")))), Code::kStopped);
  EXPECT_EQ(code_of(target.block_on(target.objects->aggregate(kEpochZero))), Code::kStopped);
}

TEST(ObjectStore, DestroyingAContainerReturnsItsSpace) {
  TestTarget target(11);
  target.create();
  ASSERT_TRUE(target.block_on(target.store->checkpoint()));
  const std::uint64_t free_before = target.store->status().data_blocks_free;
  const Bytes value = pattern(1, 100'000);
  for (std::uint64_t i = 0; i < 200; ++i)
    ASSERT_TRUE(target.update(target.single(kFile, key_of(i), key_of("a"), value), value));
  EXPECT_EQ(target.block_on(target.objects->container_usage(target.container))->bytes, 200u * 100'000);
  ASSERT_TRUE(target.block_on(target.objects->destroy_container(target.container)));
  EXPECT_EQ(code_of(target.fetch(target.fetch_single(kFile, key_of(1u), key_of("a")))), Code::kContainerNotFound);
  EXPECT_EQ(code_of(target.block_on(target.objects->destroy_container(target.container))), Code::kContainerNotFound);
  // The same name is free at once, also while the old contents are being reclaimed, and after a restart in between.
  target.reopen();
  ASSERT_TRUE(target.block_on(target.objects->list_containers())->empty());
  ASSERT_TRUE(target.block_on(target.objects->create_container(target.container, {.checksums = false})));
  EXPECT_FALSE(target.fetch(target.fetch_single(kFile, key_of(1u), key_of("a")))->reply.akeys[0].exists);
  ASSERT_TRUE(target.block_on(target.objects->aggregate(target.objects->now())));
  ASSERT_TRUE(target.block_on(target.store->checkpoint()));
  ASSERT_TRUE(target.block_on(target.store->checkpoint()));
  EXPECT_EQ(target.store->status().data_blocks_free, free_before);
  EXPECT_FALSE(target.block_on(target.objects->container_properties(target.container))->checksums);
}

TEST(ObjectStore, ListsAreCutByAnchorsAndPrefixes) {
  TestTarget target(12);
  target.create();
  const Bytes value = pattern(1, 10);
  for (int i = 0; i < 50; ++i)
    ASSERT_TRUE(
        target.update(target.single(kObject, key_of("name-" + std::to_string(100 + i)), key_of("a"), value), value));
  ListRequest request{.container = target.container,
                      .level = ListLevel::kDkeys,
                      .object = kObject,
                      .dkey = {},
                      .akey = {},
                      .anchor = {},
                      .prefix = key_of("name-11"),
                      .limit = 4};
  std::vector<std::string> names;
  while (true) {
    const auto listed = target.list(request);
    ASSERT_TRUE(listed) << listed.error().to_string();
    EXPECT_LE(listed->keys.size(), 4u);
    for (const ListedKey& key : listed->keys) names.push_back(to_text(key.key));
    if (listed->anchor.empty()) break;
    request.anchor = listed->anchor;
    // An anchor that is gone still marks its place.
    ASSERT_TRUE(target.punch({.container = target.container,
                              .object = kObject,
                              .level = PunchLevel::kDkey,
                              .dkey = listed->anchor,
                              .akeys = {},
                              .ranges = {},
                              .id = {}}));
    target.reopen();
  }
  ASSERT_EQ(names.size(), 10u);
  for (int i = 0; i < 10; ++i) EXPECT_EQ(names[static_cast<std::size_t>(i)], "name-" + std::to_string(110 + i));
}

TEST(ObjectStore, EpochsNeverGoBackWhateverTheWallClockDoes) {
  TestTarget target(13);
  target.create();
  const Bytes value = pattern(1, 10);
  Epoch last;
  for (const auto skew :
       {std::chrono::hours(0), std::chrono::hours(-1), std::chrono::hours(-5), std::chrono::hours(1)}) {
    target.node.set_clock_skew(skew);
    for (int i = 0; i < 3; ++i) {
      const auto updated = target.update(target.single(kObject, key_of("d"), key_of("a"), value), value);
      ASSERT_TRUE(updated);
      EXPECT_GT(updated->epoch, last);
      last = updated->epoch;
    }
    target.reopen();
  }
  // What was read at an epoch stays as it was, also after a restart.
  const Epoch soon(last.value() + 500'000'000);
  {
    const auto read = target.fetch(target.fetch_single(kObject, key_of("d"), key_of("a"), soon));
    ASSERT_TRUE(read) << read.error().to_string();
  }
  target.node.set_clock_skew(std::chrono::hours(-9));
  target.reopen();
  const auto updated = target.update(target.single(kObject, key_of("d"), key_of("a"), value), value);
  ASSERT_TRUE(updated);
  EXPECT_GT(updated->epoch, soon);
  const Epoch future(soon.value() + 3'600'000'000'000);
  EXPECT_EQ(code_of(target.fetch(target.fetch_single(kObject, key_of("d"), key_of("a"), future))), Code::kOutOfRange);
}

TEST(ObjectStore, BackgroundAggregationGivesSpaceBack) {
  TestTarget target(14);
  target.options.aggregation = true;
  target.options.retention = std::chrono::seconds(2);
  target.create();
  const Bytes value = pattern(1, 100'000);
  for (int i = 0; i < 20; ++i)
    ASSERT_TRUE(target.update(target.single(kObject, key_of("d"), key_of("a"), value), value));
  EXPECT_EQ(target.block_on(target.objects->container_usage(target.container))->bytes, 20u * 100'000);
  const Epoch old = target.objects->now();
  target.world.run_until([&target] { return target.objects->counters().merged_entries >= 19; },
                         std::chrono::seconds(30));
  EXPECT_EQ(target.block_on(target.objects->container_usage(target.container))->bytes, 100'000u);
  const auto fetched = target.fetch(target.fetch_single(kObject, key_of("d"), key_of("a")));
  ASSERT_TRUE(fetched);
  EXPECT_TRUE(joined(*fetched) == value);
  EXPECT_EQ(code_of(target.fetch(target.fetch_single(kObject, key_of("d"), key_of("a"), Epoch(old.value() - 2)))),
            Code::kEpochTooOld);
}

// Of two containers one has a damaged leaf. The other one's space returns all the same, whichever comes first.
class DamagedNeighbour : public testing::TestWithParam<int> {};
INSTANTIATE_TEST_SUITE_P(Either, DamagedNeighbour, testing::Values(0, 1));

TEST_P(DamagedNeighbour, KeepsNobodyElsesSpace) {
  TestTarget target(16);
  target.options.retention = std::chrono::seconds(2);
  target.create();
  const Uuid containers[2] = {target.container, Uuid::from_random(4, 16)};
  ASSERT_TRUE(target.block_on(target.objects->create_container(containers[1], {})));
  const Bytes values[2] = {pattern(1, 1000), pattern(2, 1000)};
  for (int round = 0; round < 20; ++round) {
    for (const int index : {0, 1}) {
      target.container = containers[index];
      ASSERT_TRUE(target.update(target.single(kObject, key_of("d"), key_of("a"), values[index]), values[index]));
    }
  }
  // So that the pages are on the medium and the log is not needed.
  ASSERT_TRUE(target.block_on(target.store->checkpoint()));
  target.power_off();
  std::uint32_t damaged = 0;
  Bytes block(media::kBlockBytes);
  const media::BlockNo end(target.medium->block_count());
  for (media::BlockNo at = target.medium->next_written(media::BlockNo(0), end); at < end;
       at = target.medium->next_written(media::BlockNo(at.value() + 1), end)) {
    target.medium->read_block(at, block);
    const auto found = std::ranges::search(block, ByteView(values[GetParam()]).first(100));
    if (found.empty()) continue;
    *found.begin() ^= std::byte{1};
    target.medium->write_block(at, block);
    ++damaged;
  }
  ASSERT_GT(damaged, 0u);
  target.options.aggregation = true;
  target.open();
  const auto merged = [&target] { return target.objects->counters().merged_entries >= 19; };
  EXPECT_TRUE(target.world.run_until(merged, std::chrono::seconds(30)));
  EXPECT_GE(target.objects->counters().background_failures, 1u);
}

class FullTarget : public testing::TestWithParam<bool> {};
INSTANTIATE_TEST_SUITE_P(Restarted, FullTarget, testing::Bool());

TEST_P(FullTarget, WhatIsPunchedReturnsLongBeforeTheRetentionEnds) {
  TestTarget target(15);
  target.options.aggregation = true;
  target.options.retention = std::chrono::hours(10);
  target.create();
  const Bytes value = pattern(1, 1u << 20);
  const auto put = [&](std::uint64_t key) {
    return code_of(target.update(target.single(kFile, key_of(key), key_of("a"), value), value));
  };
  std::uint64_t kept = 0;
  while (put(kept) == Code::kOk) ++kept;
  ASSERT_GT(kept, 8);
  EXPECT_EQ(put(kept), Code::kNoSpace);
  for (std::uint64_t key = 0; key < kept / 2; ++key) {
    ASSERT_TRUE(target.punch({.container = target.container,
                              .object = kFile,
                              .level = PunchLevel::kDkey,
                              .dkey = key_of(key),
                              .akeys = {},
                              .ranges = {},
                              .id = {}}));
  }
  if (GetParam()) target.reopen();
  const Instant begun = target.node.now();
  while (put(kept) == Code::kNoSpace && target.node.now() - begun < std::chrono::seconds(8))
    target.world.run_until([] { return false; }, std::chrono::seconds(1));
  EXPECT_EQ(put(kept), Code::kOk);
}

TEST(ObjectStore, AQuotaIsExactAndSpaceComesBack) {
  TestTarget target(18);
  target.create();
  const auto account = std::make_shared<SpaceAccount>("container 'p/c'");
  account->set_limit({1'000'000, kNoLimit});
  const Bytes value = pattern(1, 100'000);
  const auto put = [&](std::uint64_t key) {
    return target.update(target.single(kFile, key_of(key), key_of("a"), value), value);
  };
  // What is there already counts.
  ASSERT_TRUE(put(0));
  target.objects->charge_to(target.container, account);
  EXPECT_EQ(account->used().bytes, 100'000u);
  for (std::uint64_t key = 1; key < 10; ++key) ASSERT_TRUE(put(key));
  const auto refused = put(10);
  ASSERT_EQ(code_of(refused), Code::kQuotaExceeded);
  EXPECT_NE(refused.error().message().find("container 'p/c'"), std::string::npos) << refused.error().message();
  EXPECT_EQ(account->used().bytes, 1'000'000u) << "what was refused is not charged";
  // Reading and deleting go on, and what was deleted counts until it has been merged away.
  EXPECT_TRUE(joined(*target.fetch(target.fetch_single(kFile, key_of(3u), key_of("a")))) == value);
  ASSERT_TRUE(target.punch({.container = target.container,
                            .object = kFile,
                            .level = PunchLevel::kDkey,
                            .dkey = key_of(3u),
                            .akeys = {},
                            .ranges = {},
                            .id = {}}));
  EXPECT_EQ(code_of(put(10)), Code::kQuotaExceeded);
  ASSERT_TRUE(target.block_on(target.objects->aggregate(target.objects->now())));
  EXPECT_EQ(account->used().bytes, 900'000u);
  EXPECT_TRUE(put(10));
  // Targets that open again find the same.
  target.reopen();
  const auto fresh = std::make_shared<SpaceAccount>("container 'p/c'");
  fresh->set_limit({1'000'000, kNoLimit});
  target.objects->charge_to(target.container, fresh);
  EXPECT_EQ(fresh->used().bytes, 1'000'000u);
  EXPECT_EQ(code_of(put(11)), Code::kQuotaExceeded);
  fresh->set_limit({1'100'000, kNoLimit});
  EXPECT_TRUE(put(11));
  ASSERT_TRUE(target.block_on(target.objects->destroy_container(target.container)));
  EXPECT_EQ(fresh->used().bytes, 0u);
}

// Overwriting holds space until old versions are merged; near a limit they are merged soon.
TEST(ObjectStore, NearAQuotaOldVersionsGoSoon) {
  TestTarget target(19);
  target.options.aggregation = true;
  target.options.retention = std::chrono::hours(10);
  target.create();
  const auto account = std::make_shared<SpaceAccount>("container 'p/c'");
  account->set_limit({1'000'000, kNoLimit});
  target.objects->charge_to(target.container, account);
  const Bytes value = pattern(1, 100'000);
  const auto put = [&] { return code_of(target.update(target.single(kFile, key_of(1u), key_of("a"), value), value)); };
  while (put() == Code::kOk) continue;
  EXPECT_EQ(put(), Code::kQuotaExceeded);
  target.world.run_until([&account] { return account->used().bytes <= 100'000; }, std::chrono::seconds(20));
  EXPECT_EQ(account->used().bytes, 100'000u);
  EXPECT_EQ(put(), Code::kOk);
}

}  // namespace
}  // namespace cenote::object
