#include "clone_test_kit.h"

namespace cenote::object {
namespace {

constexpr std::uint64_t kNoLimit = SpaceAccount::kNoLimit;

class FlattenTest : public CloneFixture {
 protected:
  explicit FlattenTest(std::uint64_t mib = 96) : CloneFixture(33, mib) {
    target_.options.inline_bytes = 512;
    target_.create();
  }

  Result<> flatten(const Uuid& container) { return target_.block_on(target_.objects->flatten(container)); }
  bool is_clone(const Uuid& container) {
    return target_.block_on(target_.objects->clone_source(container)).value().has_value();
  }
  Result<UpdateReply> write(std::uint64_t first, std::uint64_t records, std::uint64_t seed) {
    const Bytes data = pattern(seed, records);
    return target_.update(target_.array(kCloneObject, key_of("d"), key_of("array"), 1, {{first, records}}, data), data);
  }
  Bytes read(std::uint64_t first, std::uint64_t records) {
    FetchRequest request = target_.fetch_array(kCloneObject, key_of("d"), key_of("array"), {{first, records}});
    request.akeys[0].max_bytes = records;
    const auto fetched = target_.fetch(request);
    EXPECT_TRUE(fetched) << fetched.error().to_string();
    return fetched ? joined(*fetched) : Bytes();
  }
  Usage measure(const Uuid& container) {
    return target_.block_on(target_.objects->measure_flattening(container, std::chrono::hours(1))).value();
  }
  void pass_time(Duration duration) {
    const auto sleep = [](Reactor& reactor, Duration time) -> Task<Result<>> {
      co_await reactor.sleep_until(reactor.now() + time);
      co_return Result<>();
    };
    ASSERT_TRUE(target_.block_on(sleep(target_.node, duration)));
  }
  /// Flips a bit of the block that begins like `data`.
  void damage(ByteView data) const {
    Bytes block(media::kBlockBytes);
    const media::BlockNo end(target_.medium->block_count());
    for (media::BlockNo at = target_.medium->next_written(media::BlockNo(0), end); at < end;
         at = target_.medium->next_written(media::BlockNo(at.value() + 1), end)) {
      target_.medium->read_block(at, block);
      if (!equal(block, data.first(media::kBlockBytes))) continue;
      block[17] ^= std::byte{4};
      target_.medium->write_block(at, block);
      return;
    }
    FAIL() << "the data lies nowhere";
  }
};

TEST_F(FlattenTest, ACloneStandsAloneAndItsDestroyedSourceGoes) {
  put("a", 1);
  put("b", 2);
  ASSERT_TRUE(write(10, 9000, 3));
  const Uuid child = clone(1);
  put("a", 4);
  use(child);
  put("b", 5);
  const Bytes array = read(0, 10'000);
  ASSERT_TRUE(destroy(parent_));
  aggregate();
  EXPECT_EQ(measure(child), (Usage{59'000, 0})) << "its own value hides that of the source";
  ASSERT_TRUE(flatten(child));
  EXPECT_FALSE(is_clone(child));
  EXPECT_EQ(used(child), 109'000u);
  for (const bool reopened : {false, true}) {
    if (reopened) target_.reopen();
    aggregate();
    target_.check();
    EXPECT_EQ(target_.block_on(target_.objects->list_containers())->size(), 1u) << "what was kept for it goes";
    EXPECT_TRUE(shows("a", 1) && shows("b", 5));
    EXPECT_EQ(read(0, 10'000), array);
  }
  ASSERT_TRUE(flatten(child)) << "one that is no clone is no error";
  EXPECT_EQ(measure(child), Usage());
}

TEST_F(FlattenTest, PunchesOfTheCloneStayAndHideNothingForEver) {
  put("a", 1);
  put("b", 2);
  const Uuid child = clone(1);
  use(child);
  const Epoch before = snapshot();
  punch();
  put("b", 3);
  ASSERT_TRUE(flatten(child));
  aggregate();
  EXPECT_TRUE(absent("a") && shows("b", 3));
  EXPECT_TRUE(shows("a", 1, before) && shows("b", 2, before));
  ASSERT_TRUE(target_.block_on(target_.objects->remove_snapshot(child, before)));
  aggregate();
  EXPECT_TRUE(absent("a") && shows("b", 3));
  EXPECT_EQ(used(child), 50'000u);
  EXPECT_EQ(target_.entries(), 1u) << "the punch hides nothing any more";
}

TEST_F(FlattenTest, TheMiddleOfAChainAndItsEnd) {
  put("a", 1);
  ASSERT_TRUE(write(0, 200'000, 1));
  const Uuid middle = clone(1);
  use(middle);
  put("b", 2);
  ASSERT_TRUE(write(50'000, 1000, 2));
  const Uuid last = clone(2);
  use(last);
  ASSERT_TRUE(write(120'000, 10, 3));
  const Bytes array = read(0, 200'000);
  use(middle);
  put("a", 6);
  aggregate();  // so that nobody sees what the middle has written over
  for (const Uuid& container : {middle, last}) {
    ASSERT_TRUE(flatten(container));
    for (const bool reopened : {false, true}) {
      if (reopened) target_.reopen();
      aggregate();
      target_.check();
      use(middle);
      EXPECT_TRUE(shows("a", 6) && shows("b", 2));
      use(last);
      EXPECT_TRUE(shows("a", 1) && shows("b", 2));
      EXPECT_EQ(read(0, 200'000), array);
      // The first change of an array that was taken over, by whoever knows it from memory.
      ASSERT_TRUE(write(120'000, 10, 3));
    }
  }
  EXPECT_FALSE(is_clone(middle) || is_clone(last));
  ASSERT_TRUE(destroy(parent_));
  ASSERT_TRUE(destroy(middle));
  aggregate();
  EXPECT_EQ(read(0, 200'000), array);
}

TEST_F(FlattenTest, AnOlderReaderThatComesToBeIsServed) {
  put("a", 1);
  put("b", 2);
  const Uuid child = clone(1);
  const Epoch cloned_at = target_.block_on(target_.objects->clone_source(child)).value()->epoch;
  use(child);
  put("a", 3);
  aggregate();
  const auto account = std::make_shared<SpaceAccount>("container 'p/c'");
  target_.objects->charge_to(child, account);
  account->set_limit({used(child) + 40'000, kNoLimit});
  EXPECT_EQ(code_of(flatten(child)), Code::kQuotaExceeded);
  // Back to where it began: what it overwrote is seen again.
  ASSERT_TRUE(roll_back(cloned_at, 1));
  account->set_limit({kNoLimit, kNoLimit});
  ASSERT_TRUE(flatten(child));
  ASSERT_TRUE(destroy(parent_));
  aggregate();
  EXPECT_TRUE(shows("a", 1) && shows("b", 2));
  EXPECT_EQ(account->used(), (Usage{100'000, 1}));
  EXPECT_EQ(used(child), 100'000u);
  EXPECT_EQ(code_of(roll_back(cloned_at, 2)), Code::kEpochTooOld) << "nobody keeps that moment any more";
}

TEST_F(FlattenTest, ASnapshotOfTheFirstMomentWhileItIsUnderWay) {
  for (std::uint64_t i = 0; i < 8; ++i) put("a" + std::to_string(i), i);
  // Of an epoch that can still be a snapshot's when it is past.
  const Uuid child = Uuid::from_random(9, 1);
  const Epoch cloned_at((target_.objects->now().value() + 1) | 1);
  ASSERT_TRUE(target_.block_on(target_.objects->add_snapshot(parent_, cloned_at)));
  ASSERT_TRUE(clone_as(child, parent_, cloned_at));
  use(child);
  for (std::uint64_t i = 0; i < 4; ++i) put("a" + std::to_string(i), 10 + i);
  aggregate();
  ASSERT_TRUE(target_.block_on(target_.objects->start_flattening(child, std::nullopt)));
  // The first values, which it need not copy so far, lie behind it by now.
  while (used(child) < 6 * 50'000) pass_time(std::chrono::microseconds(10));
  ASSERT_TRUE(is_clone(child));
  ASSERT_TRUE(target_.block_on(target_.objects->add_snapshot(child, cloned_at)));
  while (is_clone(child)) pass_time(std::chrono::milliseconds(10));
  ASSERT_TRUE(destroy(parent_));
  aggregate();
  for (std::uint64_t i = 0; i < 8; ++i) {
    EXPECT_TRUE(shows("a" + std::to_string(i), i, cloned_at)) << i;
    EXPECT_TRUE(shows("a" + std::to_string(i), i < 4 ? 10 + i : i)) << i;
  }
  target_.check();
}

TEST_F(FlattenTest, WhatCannotBeReadIsNotCopiedAndKeepsTheLink) {
  put("a", 1);
  put("b", 2);
  ASSERT_TRUE(write(0, 300'000, 3));
  ASSERT_TRUE(write(100'000, 5000, 4));
  const Uuid child = clone(1);
  use(child);
  damage(value_of(1));
  damage(pattern(4, 5000));
  const auto flattened = flatten(child);
  ASSERT_EQ(code_of(flattened), Code::kCorrupt);
  EXPECT_NE(flattened.error().to_string().find("akey"), std::string::npos) << flattened.error().to_string();
  EXPECT_TRUE(is_clone(child));
  EXPECT_EQ(used(child), 50'000u + 295'000u) << "all else is there";
  for (const std::string_view akey : {"a", "b"}) {
    const auto fetched = target_.fetch(target_.fetch_single(kCloneObject, key_of("d"), key_of(akey)));
    EXPECT_EQ(code_of(fetched), akey == "a" ? Code::kCorrupt : Code::kOk) << "damaged data must stay damaged";
  }
  EXPECT_EQ(code_of(flatten(child)), Code::kCorrupt);
  // What the clone has instead, once nobody reads the past, is all that it needs.
  put("a", 5);
  ASSERT_TRUE(write(100'000, 5000, 6));
  aggregate();
  ASSERT_TRUE(flatten(child));
  ASSERT_TRUE(destroy(parent_));
  aggregate();
  target_.check();
  EXPECT_TRUE(shows("a", 5) && shows("b", 2));
}

TEST_F(FlattenTest, CrowdedArraysAreCopiedInPieces) {
  // More small versions in one window than one step looks at, with holes, over one large one.
  ASSERT_TRUE(write(0, 100'000, 1));
  Bytes expected = pattern(1, 100'000);
  for (std::uint64_t i = 0; i < 1500; ++i) {
    ASSERT_TRUE(write(20'000 + 3 * i, 2, i));
    const Bytes data = pattern(i, 2);
    std::copy(data.begin(), data.end(), expected.begin() + 20'000 + static_cast<std::ptrdiff_t>(3 * i));
  }
  const Uuid child = clone(1);
  use(child);
  ASSERT_TRUE(flatten(child));
  ASSERT_TRUE(destroy(parent_));
  aggregate();
  target_.check();
  EXPECT_EQ(read(0, 100'000), expected);
  EXPECT_EQ(used(child), 100'000u);
}

class SmallFlattenTest : public FlattenTest {
 protected:
  SmallFlattenTest() : FlattenTest(48) {}
};

TEST_F(SmallFlattenTest, AFullTargetIsAReasonToWait) {
  // A third of the target, and what leaves a fifth.
  std::vector<Bytes> values;
  for (std::uint64_t i = 0; i < 30; ++i) {
    values.push_back(pattern(100 + i, 400'000));
    const auto updated = target_.update(target_.single(kCloneObject, key_of(i), key_of("v"), values[i]), values[i]);
    ASSERT_TRUE(updated) << updated.error().to_string();
  }
  const Uuid child = clone(1);
  const auto free = [&] { return target_.store->status().data_blocks_free; };
  std::uint64_t more = 0;
  for (; free() > target_.store->status().data_blocks_total / 5; ++more) {
    const Bytes& value = values[more % values.size()];
    const auto updated = target_.update(target_.single(kCloneObject, key_of(100 + more), key_of("v"), value), value);
    ASSERT_TRUE(updated) << updated.error().to_string();
  }
  EXPECT_EQ(code_of(flatten(child)), Code::kNoSpace);
  EXPECT_TRUE(is_clone(child));
  target_.check();
  const std::uint64_t copied = used(child);
  EXPECT_GT(copied, 500'000u);
  target_.reopen();
  EXPECT_EQ(code_of(flatten(child)), Code::kNoSpace);
  EXPECT_EQ(used(child), copied) << "what is there is not copied again";
  ASSERT_TRUE(target_.block_on(target_.objects->start_flattening(child, measure(child))));
  pass_time(std::chrono::seconds(1));
  const auto status = target_.block_on(target_.objects->flattening(child)).value();
  ASSERT_TRUE(status);
  EXPECT_EQ(status->left.bytes, 30u * 400'000 - copied);
  EXPECT_NE(status->obstacle.find("left to requests"), std::string::npos) << status->obstacle;
  for (std::uint64_t i = 0; i < more; ++i) {
    PunchRequest punch{
        .container = parent_, .object = kCloneObject, .dkey = key_of(100 + i), .akeys = {}, .ranges = {}, .id = {}};
    punch.level = PunchLevel::kDkey;
    ASSERT_TRUE(target_.punch(punch));
  }
  aggregate();
  pass_time(std::chrono::seconds(20));
  EXPECT_FALSE(is_clone(child)) << "it goes on when there is space";
  target_.check();
  use(child);
  for (std::uint64_t i = 0; i < 30; ++i) {
    const auto fetched = target_.fetch(target_.fetch_single(kCloneObject, key_of(i), key_of("v")));
    ASSERT_TRUE(fetched && joined(*fetched) == values[i]);
  }
}

}  // namespace
}  // namespace cenote::object
