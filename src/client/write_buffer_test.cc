#include "write_buffer.h"

#include <gtest/gtest.h>

#include <random>

namespace cenote::async {
namespace {

const ObjectId kObject = ObjectId::make(ObjectClass::kS1, KeyFlavour::kLexical, KeyFlavour::kLexical, 1, 1);
const Uuid kContainer = Uuid::from_random(1, 2);

KeyBytes key(std::string_view text) { return KeyBytes(as_bytes(text)); }

class Changes {
 public:
  Result<> put(std::string_view dkey, std::string_view akey, std::string_view value) {
    UpdateRequest update{.container = kContainer, .object = kObject, .dkey = key(dkey), .akeys = {}, .id = {}};
    update.akeys.push_back({.akey = key(akey), .ranges = {}, .bytes = value.size(), .checksums = {}});
    return buffer.update(update, as_bytes(value));
  }
  Result<> write(std::string_view dkey, std::string_view akey, std::uint64_t first, std::string_view data,
                 std::uint32_t record_bytes = 1) {
    UpdateRequest update{.container = kContainer, .object = kObject, .dkey = key(dkey), .akeys = {}, .id = {}};
    update.akeys.push_back({.akey = key(akey),
                            .kind = ValueKind::kArray,
                            .record_bytes = record_bytes,
                            .ranges = {{first, data.size() / record_bytes}},
                            .bytes = data.size(),
                            .checksums = {}});
    return buffer.update(update, as_bytes(data));
  }
  Result<> punch(PunchLevel level, std::string_view dkey = {}, std::string_view akey = {}, RecordRanges ranges = {}) {
    PunchRequest punch{
        .container = kContainer, .object = kObject, .level = level, .dkey = {}, .akeys = {}, .ranges = {}, .id = {}};
    if (level != PunchLevel::kObject) punch.dkey = key(dkey);
    if (level >= PunchLevel::kAkey) punch.akeys.push_back(key(akey));
    punch.ranges = std::move(ranges);
    return buffer.punch(punch);
  }
  CommitRequest request() {
    CommitRequest request;
    request.container = kContainer;
    payload.clear();
    buffer.add_to(request, payload);
    return request;
  }
  std::string written() const {
    std::string text;
    for (const ByteView part : payload) text += as_text(part);
    return text;
  }

  WriteBuffer buffer;
  std::vector<ByteView> payload;
};

TEST(WriteBuffer, WhatIsLaterReplacesWhatItCovers) {
  Changes changes;
  ASSERT_TRUE(changes.put("d", "a", "old"));
  ASSERT_TRUE(changes.put("d", "a", "new"));
  ASSERT_TRUE(changes.write("d", "array", 0, "0123456789"));
  ASSERT_TRUE(changes.write("d", "array", 3, "abc"));
  ASSERT_TRUE(changes.punch(PunchLevel::kRange, "d", "array", {{7, 2}}));
  const CommitRequest request = changes.request();
  EXPECT_TRUE(validate(request));
  EXPECT_EQ(changes.written(), "new012abc69");
  ASSERT_EQ(request.updates.size(), 2u);
  EXPECT_EQ(request.updates[1].akeys[0].ranges, (RecordRanges{{0, 7}, {9, 1}}));
  ASSERT_EQ(request.punches.size(), 1u);
  EXPECT_EQ(request.punches[0].ranges, (RecordRanges{{7, 2}}));
}

TEST(WriteBuffer, PunchesHideWhatWasThereAndForgetWhatWasWritten) {
  Changes changes;
  ASSERT_TRUE(changes.put("d", "a", "gone"));
  ASSERT_TRUE(changes.punch(PunchLevel::kAkey, "d", "b"));
  ASSERT_TRUE(changes.punch(PunchLevel::kDkey, "d"));
  ASSERT_TRUE(changes.put("d", "b", "kept"));
  ASSERT_TRUE(changes.punch(PunchLevel::kAkey, "d", "c"));
  EXPECT_TRUE(changes.buffer.hides(kObject, key("d"), key("a")));
  EXPECT_FALSE(changes.buffer.hides(kObject, key("e")));
  CommitRequest request = changes.request();
  EXPECT_TRUE(validate(request));
  EXPECT_EQ(changes.written(), "kept");
  ASSERT_EQ(request.punches.size(), 1u);
  EXPECT_EQ(request.punches[0].level, PunchLevel::kDkey);
  ASSERT_TRUE(changes.punch(PunchLevel::kObject));
  ASSERT_TRUE(changes.write("e", "array", 5, "12"));
  ASSERT_TRUE(changes.punch(PunchLevel::kRange, "e", "array", {{5, 1}}));
  request = changes.request();
  EXPECT_TRUE(validate(request));
  ASSERT_EQ(request.punches.size(), 1u);
  EXPECT_EQ(request.punches[0].level, PunchLevel::kObject);
  EXPECT_EQ(changes.written(), "2");
}

TEST(WriteBuffer, TypesAreThoseOfWhatIsWritten) {
  Changes changes;
  const auto is_mismatch = [](const Result<>& result) { return !result && result.error() == Code::kTypeMismatch; };
  ASSERT_TRUE(changes.put("d", "a", "value"));
  EXPECT_TRUE(is_mismatch(changes.write("d", "a", 0, "x")));
  EXPECT_TRUE(is_mismatch(changes.punch(PunchLevel::kRange, "d", "a", {{0, 1}})));
  ASSERT_TRUE(changes.punch(PunchLevel::kAkey, "d", "a"));
  ASSERT_TRUE(changes.write("d", "a", 0, "xxxx", 2));
  EXPECT_TRUE(is_mismatch(changes.write("d", "a", 0, "x", 1)));
  EXPECT_TRUE(is_mismatch(changes.put("d", "a", "x")));
  EXPECT_TRUE(validate(changes.request()));
  EXPECT_EQ(changes.written(), "xxxx");
}

TEST(WriteBuffer, RandomWritesAndPunchesOfAnArray) {
  for (std::uint64_t seed = 1; seed <= 30; ++seed) {
    std::mt19937_64 random(seed);
    Changes changes;
    constexpr std::size_t kRecords = 60;
    std::string data(kRecords, '\0');
    std::string state(kRecords, ' ');  // untouched, w: written, h: punched
    for (int step = 0; step < 40; ++step) {
      const std::uint64_t first = random() % kRecords,
                          count = 1 + random() % std::min<std::uint64_t>(kRecords - first, 12);
      if (random() % 3 == 0) {
        ASSERT_TRUE(changes.punch(PunchLevel::kRange, "d", "a", {{first, count}}));
        state.replace(first, count, count, 'h');
      } else {
        const std::string bytes(count, static_cast<char>('a' + step % 26));
        ASSERT_TRUE(changes.write("d", "a", first, bytes));
        data.replace(first, count, bytes);
        state.replace(first, count, count, 'w');
      }
    }
    const CommitRequest request = changes.request();
    ASSERT_TRUE(validate(request)) << "seed " << seed;
    std::string seen(kRecords, ' '), expected;
    for (const PunchRequest& punch : request.punches)
      for (const RecordRange& range : punch.ranges) seen.replace(range.first, range.count, range.count, 'h');
    for (const UpdateRequest& update : request.updates)
      for (const RecordRange& range : update.akeys[0].ranges) seen.replace(range.first, range.count, range.count, 'w');
    for (std::size_t i = 0; i < kRecords; ++i)
      if (state[i] == 'w') expected += data[i];
    EXPECT_EQ(seen, state) << "seed " << seed;
    EXPECT_EQ(changes.written(), expected) << "seed " << seed;
  }
}

TEST(WriteBuffer, MoreThanOneTransactionCanChange) {
  Changes changes;
  for (std::uint32_t i = 0; i < kMaxTransactionEntries; ++i)
    ASSERT_TRUE(changes.put("d" + std::to_string(i), "a", "v"));
  EXPECT_TRUE(changes.buffer.check_size());
  ASSERT_TRUE(changes.put("one more", "a", "v"));
  EXPECT_EQ(changes.buffer.check_size().error().code(), Code::kOutOfRange);
  Changes large;
  for (int i = 0; i < 3; ++i) ASSERT_TRUE(large.put("d" + std::to_string(i), "a", std::string(1 << 20, 'x')));
  EXPECT_EQ(large.buffer.check_size().error().code(), Code::kOutOfRange);
}

TEST(WriteBuffer, Ranges) {
  RecordRanges holes = {{0, 10}, {20, 10}};
  remove_range(holes, {5, 20});
  EXPECT_EQ(holes, (RecordRanges{{0, 5}, {25, 5}}));
  remove_range(holes, {1, 2});
  EXPECT_EQ(holes, (RecordRanges{{0, 1}, {3, 2}, {25, 5}}));
  add_range(holes, {1, 2});
  EXPECT_EQ(holes, (RecordRanges{{0, 5}, {25, 5}}));
  add_range(holes, {10, 5});
  EXPECT_EQ(holes, (RecordRanges{{0, 5}, {10, 5}, {25, 5}}));
  add_range(holes, {4, 100});
  EXPECT_EQ(holes, (RecordRanges{{0, 104}}));
  add_range(holes, {UINT64_MAX - 5, 5});
  EXPECT_EQ(holes.size(), 2u);
}

}  // namespace
}  // namespace cenote::async
