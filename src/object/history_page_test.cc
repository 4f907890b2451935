#include "history_page.h"

#include <gtest/gtest.h>

#include "cenote/base/checksum.h"
#include "cenote/base/codec.h"
#include "target_test_kit.h"

namespace cenote::object {
namespace {

const ObjectId kObject = ObjectId::make(ObjectClass::kSX, KeyFlavour::kUint64, KeyFlavour::kLexical, 1, 2);

Entry hole_of(std::uint64_t records) { return {.type = EntryType::kHole, .records = records}; }

struct Made {
  Bytes page;
  Bytes data = pattern(1, 5000);
  Bytes to = after_prefix(KeyPath(kObject).object_prefix());
};

Made make() {
  Made made;
  KeyPath path(kObject, key_of(3));
  path.set_akey(key_of("data"));
  HistoryPageWriter page({.bound = Epoch(40),
                          .as_of = Epoch(90),
                          .last_rollback = Uuid::from_random(1, 2),
                          .rolled_back = {{Epoch(10), Epoch(20)}, {Epoch(30), Epoch(40)}}},
                         {path.dkey_prefix(), made.to});
  page.add(path.dkey_entry(Epoch(51)), {.type = EntryType::kPunch}, {});
  page.add(path.akey_entry(Epoch(61)), {.type = EntryType::kArray, .flags = ArrayFlags{0x86}, .record_bytes = 2}, {});
  page.add(path.wide_punch(7, Epoch(63)), hole_of(100'000'000), {});
  page.add(path.extent(1, 8192, Epoch(65)), hole_of(9), {});
  Checksums checksums;
  append_checksums(made.data, checksums);
  page.add(path.extent(2, 9000, Epoch(65)),
           {.type = EntryType::kExtent, .record_bytes = 2, .records = 2500, .bytes = 5000}, checksums.view());
  page.append(made.data);
  Checksums first;
  append_checksums(ByteView(made.data).first(20), first);
  ValueBytes value;
  append_inline({.type = EntryType::kSingle, .bytes = 20, .checksums = first.view()}, ByteView(made.data).first(20),
                value);
  path.set_akey(key_of("stub"));
  page.add_stub(path.single(Epoch(66)), *decode_entry(value));
  made.page = page.finish();
  return made;
}

/// With a checksum that fits whatever was changed.
Bytes signed_again(Bytes page) {
  const std::size_t body = page.size() - 4;
  store_le(page.data() + body, crc32c(ByteView(page).first(body)));
  return page;
}

TEST(HistoryPageTest, HoldsWhatWasPut) {
  const Made made = make();
  const auto content = decode_history(made.page);
  ASSERT_TRUE(content) << content.error().to_string();
  EXPECT_EQ(content->facts.bound, Epoch(40));
  EXPECT_EQ(content->facts.as_of, Epoch(90));
  EXPECT_EQ(content->facts.last_rollback, Uuid::from_random(1, 2));
  EXPECT_EQ(content->facts.rolled_back.size(), 2u);
  EXPECT_TRUE(equal(content->range.from, KeyPath(kObject, key_of(3)).dkey_prefix()));
  EXPECT_TRUE(equal(content->range.to, made.to));
  ASSERT_EQ(content->entries.size(), 6u);
  EXPECT_EQ(content->find(content->entries[2].key), &content->entries[2]);
  EXPECT_EQ(content->find(made.to), nullptr);
  EXPECT_EQ(content->entries[0].type, EntryType::kPunch);
  EXPECT_EQ(content->entries[1].flags.bits, 0x86);
  EXPECT_EQ(content->entries[2].records, 100'000'000u);
  EXPECT_EQ(content->entries[3].at.first, 8192u);
  EXPECT_TRUE(equal(content->entries[4].data, made.data));
  EXPECT_EQ(content->entries[4].checksums.size(), 8u);
  EXPECT_FALSE(content->entries[4].is_stub);
  EXPECT_TRUE(content->entries[5].is_stub && content->entries[5].data.empty());
  EXPECT_EQ(content->entries[5].bytes, 20u);
  EXPECT_EQ(content->entries[5].checksums.size(), 4u);
}

TEST(HistoryPageTest, NoKeyIsBesideWhatItIsAbout) {
  const KeyPath below(kObject, key_of(3)), above(kObject, key_of(4));
  KeyPath key(kObject, key_of(3));
  const auto code = [&](ByteView from, ByteView to) {
    HistoryPageWriter page({}, {from, to});
    page.add(key.dkey_entry(Epoch(5)), {.type = EntryType::kPunch}, {});
    return code_of(decode_history(page.finish()));
  };
  EXPECT_EQ(code({}, {}), Code::kOk);
  EXPECT_EQ(code(below.dkey_prefix(), above.dkey_prefix()), Code::kOk);
  EXPECT_EQ(code(above.dkey_prefix(), {}), Code::kMalformed);
  EXPECT_EQ(code({}, below.dkey_prefix()), Code::kMalformed);
  EXPECT_EQ(code(above.dkey_prefix(), above.dkey_prefix()), Code::kMalformed);
  EXPECT_EQ(code(Bytes(store::kMaxKeyBytes + 2, std::byte{0}), {}), Code::kMalformed);
}

TEST(HistoryPageTest, WhateverArrivesIsRefusedOrWhole) {
  const Bytes page = make().page;
  for (std::size_t size = 0; size < page.size(); size += 3) {
    const Bytes cut(page.begin(), page.begin() + static_cast<std::ptrdiff_t>(size));
    EXPECT_EQ(code_of(decode_history(cut)), Code::kMalformed);
    if (size >= 4) EXPECT_EQ(code_of(decode_history(signed_again(cut))), Code::kMalformed);
  }
  // The head, the entries and the checksums: with one byte of another value they may be right, or are refused.
  std::mt19937_64 random(1);
  for (int i = 0; i < 3000; ++i) {
    Bytes bytes = page;
    bytes[random() % 500] = static_cast<std::byte>(random());
    const auto content = decode_history(signed_again(bytes));
    if (content) continue;
    EXPECT_TRUE(content.error() == Code::kMalformed || content.error() == Code::kUnsupported)
        << content.error().to_string();
  }
  Bytes newer = page;
  newer[4] = std::byte{3};
  EXPECT_EQ(code_of(decode_history(newer)), Code::kUnsupported);
}

}  // namespace
}  // namespace cenote::object
