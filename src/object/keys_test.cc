#include "keys.h"

#include <gtest/gtest.h>

#include <random>

#include "cenote/base/codec.h"

namespace cenote::object {
namespace {

const ObjectId kLexical = ObjectId::make(ObjectClass::kSX, KeyFlavour::kLexical, KeyFlavour::kLexical, 1, 2);
const ObjectId kNumbered = ObjectId::make(ObjectClass::kSX, KeyFlavour::kUint64, KeyFlavour::kUint64, 1, 2);

Bytes number(std::uint64_t value) {
  Bytes bytes(8);
  store_le(bytes.data(), value);
  return bytes;
}

// Few distinct byte values and short keys, so that prefixes, zero bytes and equal keys are common.
Bytes random_key(std::mt19937_64& random) {
  constexpr std::uint8_t kValues[] = {0, 0, 1, 2, 0xfe, 0xff};
  Bytes key(random() % 6 + 1);
  for (std::byte& value : key) value = static_cast<std::byte>(kValues[random() % std::size(kValues)]);
  return key;
}

TEST(Keys, EscapingKeepsOrderAndNoKeyIsAPrefixOfAnother) {
  constexpr std::uint64_t kSeed = 17;
  std::mt19937_64 random(kSeed);
  for (int round = 0; round < 20'000; ++round) {
    const Bytes a = random_key(random), b = random_key(random);
    PathBytes encoded_a, encoded_b;
    append_encoded(a, KeyFlavour::kLexical, encoded_a);
    append_encoded(b, KeyFlavour::kLexical, encoded_b);
    ASSERT_TRUE(compare(a, b) == compare(encoded_a, encoded_b)) << to_hex(a) << " " << to_hex(b) << " seed " << kSeed;
    ASSERT_EQ(equal(a, b), starts_with(encoded_b, encoded_a)) << to_hex(a) << " " << to_hex(b) << " seed " << kSeed;
  }
}

TEST(Keys, NumbersKeepNumericOrder) {
  std::mt19937_64 random(18);
  for (int round = 0; round < 1000; ++round) {
    const std::uint64_t a = random() >> (random() % 64), b = random() >> (random() % 64);
    PathBytes encoded_a, encoded_b;
    append_encoded(number(a), KeyFlavour::kUint64, encoded_a);
    append_encoded(number(b), KeyFlavour::kUint64, encoded_b);
    ASSERT_TRUE((a <=> b) == compare(encoded_a, encoded_b));
  }
}

TEST(Keys, ParseIsTheInverse) {
  std::mt19937_64 random(19);
  for (int round = 0; round < 2000; ++round) {
    const bool numbered = random() % 2 == 0;
    const Bytes dkey = numbered ? number(random()) : random_key(random);
    const Bytes akey = numbered ? number(random()) : random_key(random);
    KeyPath path(numbered ? kNumbered : kLexical, dkey);
    path.set_akey(akey);
    const Epoch epoch(random());
    const std::uint64_t first = random();
    const auto extent_class = static_cast<std::uint32_t>(random() % kExtentClasses);

    const Bytes extent = to_bytes(path.extent(extent_class, first, epoch));
    auto parsed = parse_key(extent);
    ASSERT_TRUE(parsed.has_value()) << to_hex(extent);
    EXPECT_TRUE(equal(parsed->dkey(), dkey) && equal(parsed->akey(), akey));
    EXPECT_EQ(parsed->kind, Kind::kExtent);
    EXPECT_EQ(parsed->extent_class, extent_class);
    EXPECT_EQ(parsed->first, first);
    EXPECT_EQ(parsed->epoch, epoch);
    EXPECT_EQ(parsed->akey_end, path.akey_prefix().size());

    parsed = parse_key(path.single(epoch));
    ASSERT_TRUE(parsed.has_value());
    EXPECT_EQ(parsed->kind, Kind::kSingle);
    const Bytes dkey_entry = to_bytes(path.dkey_entry(epoch));
    parsed = parse_key(dkey_entry);
    ASSERT_TRUE(parsed.has_value());
    EXPECT_EQ(parsed->level, Level::kDkey);
    EXPECT_EQ(parsed->epoch, epoch);
    EXPECT_FALSE(parse_key(ByteView(dkey_entry).first(dkey_entry.size() - 1)).has_value());
  }
}

TEST(Keys, EntriesOfALevelComeFirstAndNewestFirst) {
  KeyPath path(kLexical, as_bytes("d"));
  path.set_akey(as_bytes("a"));
  std::vector<Bytes> order;
  const auto add = [&order](ByteView key) { order.push_back(to_bytes(key)); };
  add(path.object_entry(Epoch(9)));
  add(path.object_entry(Epoch(3)));
  add(path.dkey_entry(Epoch(5)));
  add(path.akey_entry(Epoch(8)));
  add(path.akey_entry(Epoch(7)));
  add(path.wide_punch(0, Epoch(7)));
  add(path.single(kEpochLatest));
  add(path.single(Epoch(7)));
  add(path.extent(0, 5, Epoch(7)));
  add(path.extent(0, 6, Epoch(8)));
  add(path.extent(0, 6, Epoch(7)));
  add(path.extent(1, 0, Epoch(9)));
  path.set_akey(as_bytes(std::string_view("a\0", 2)));
  add(path.akey_entry(Epoch(8)));
  path.set_dkey(as_bytes("d1"));
  add(path.dkey_entry(Epoch(8)));
  for (std::size_t i = 1; i < order.size(); ++i) EXPECT_TRUE(compare(order[i - 1], order[i]) < 0) << i;
}

TEST(Keys, AfterPrefixSkipsExactlyTheSubtree) {
  std::mt19937_64 random(20);
  for (int round = 0; round < 5000; ++round) {
    const Bytes a = random_key(random), b = random_key(random);
    KeyPath path_a(kLexical, a), path_b(kLexical, b);
    path_a.set_akey(as_bytes("x"));
    const Bytes after = after_prefix(path_a.dkey_prefix());
    EXPECT_TRUE(compare(path_a.extent(3, UINT64_MAX, kEpochZero), after) < 0);
    path_b.set_akey(as_bytes("y"));
    if (compare(a, b) < 0)
      EXPECT_TRUE(compare(path_b.dkey_entry(kEpochLatest), after) >= 0) << to_hex(a) << " " << to_hex(b);
  }
  EXPECT_TRUE(after_prefix(Bytes(3, std::byte{0xff})).empty());
}

TEST(Keys, DamageIsAnErrorNeverACrash) {
  KeyPath path(kLexical, as_bytes(std::string_view("d\0d", 3)));
  path.set_akey(as_bytes("a"));
  const Bytes good = to_bytes(path.extent(2, 77, Epoch(5)));
  ASSERT_TRUE(parse_key(good).has_value());
  std::mt19937_64 random(21);
  for (std::size_t bytes = 0; bytes < good.size(); ++bytes) {
    const Bytes cut(good.begin(), good.begin() + static_cast<std::ptrdiff_t>(bytes));
    EXPECT_FALSE(parse_key(cut).has_value()) << bytes;
  }
  for (int round = 0; round < 5000; ++round) {
    Bytes mutated = good;
    mutated[random() % mutated.size()] = static_cast<std::byte>(random());
    if (const auto parsed = parse_key(mutated)) {
      parsed->dkey();
      parsed->akey();
    }
  }
}

TEST(ExtentClasses, HoldWhatTheySay) {
  EXPECT_EQ(extent_class(1), 0u);
  EXPECT_EQ(extent_class(256), 0u);
  EXPECT_EQ(extent_class(257), 1u);
  EXPECT_EQ(extent_class(4096), 1u);
  EXPECT_EQ(extent_class(kArrayWindowBytes), 3u);
  for (std::uint32_t record_bytes : {1u, 3u, 8u, 4096u, 5000u, 600'000u, kMaxRecordBytes})
    for (std::uint64_t records = 1; records <= window_records(record_bytes); records = records * 2 + 1)
      EXPECT_LE(records, class_records(extent_class(records * record_bytes), record_bytes)) << record_bytes;
}

}  // namespace
}  // namespace cenote::object
