#include "page.h"

#include <gtest/gtest.h>

#include <map>
#include <memory>
#include <string>
#include <vector>

#include "cenote/base/format.h"
#include "cenote/runtime/random.h"

namespace cenote::store {
namespace {

constexpr PageId kId{7};
constexpr TreeId kTree{3};

/// Of exactly one page, so that the sanitizer sees the first byte outside.
struct PageMemory {
  std::unique_ptr<std::byte[]> bytes = std::make_unique<std::byte[]>(kPageBytes);
  Page page() { return Page(bytes.get()); }
  ByteView view() const { return {bytes.get(), kPageBytes}; }
};

Fences unbounded() { return {{}, std::nullopt}; }
Fences between(std::string_view lower, std::string_view upper) { return {as_bytes(lower), as_bytes(upper)}; }

void add(Page page, std::string_view key, std::string_view value) {
  const SlotSearch at = page.find(as_bytes(key));
  ASSERT_FALSE(at.found);
  page.insert(at.slot, as_bytes(key).subspan(page.prefix_bytes()), as_bytes(value));
}

std::string get(PageView page, std::string_view key) {
  const SlotSearch at = page.find(as_bytes(key));
  return at.found ? to_text(page.value(at.slot)) : "none";
}

std::string_view failure(const Result<>& result) {
  return result ? "passed" : std::string_view(result.error().message());
}

TEST(PageTest, IsWhatTheFormatDocumentShows) {
  PageMemory memory;
  Page page = Page::format(memory.bytes.get(), {kId, kTree, 0}, between("user/a", "user/c"));
  add(page, "user/alice", "1");
  add(page, "user/bob", "22");
  page.set_lsn(Lsn{4096});
  page.stamp();
  EXPECT_EQ(to_hex(memory.view().first(64)),
            "8ef28af7436e50670101010003000000"
            "07000000000000000010000000000000"
            "0200f13f000005000600060000000200"
            "00000000000000000000000000000000");
  EXPECT_EQ(to_hex(memory.view().subspan(64, 64)), std::string(128, '0'));
  EXPECT_EQ(to_hex(memory.view().subspan(128, 32)),
            "757365722f61757365722f6300000000"
            "616c6963f83f0500626f6200f13f0300");
  EXPECT_EQ(to_hex(memory.view().last(32)), "00000000000000000000000000000000000200626f6232320100616c69636531");
  EXPECT_TRUE(verify(memory.view(), kId));
}

TEST(PageTest, FindsWhatWasInsertedWithOneCommonPrefixTakenOff) {
  PageMemory memory;
  Page page = Page::format(memory.bytes.get(), {kId, kTree, 0}, between("user/a", "user/c"));
  EXPECT_EQ(to_text(page.prefix()), "user/");
  add(page, "user/bob", "22");
  add(page, "user/alice", "1");
  add(page, "user/b", "");
  EXPECT_EQ(page.count(), 3u);
  EXPECT_EQ(get(page, "user/alice"), "1");
  EXPECT_EQ(get(page, "user/bob"), "22");
  EXPECT_EQ(get(page, "user/b"), "");
  EXPECT_EQ(get(page, "user/bo"), "none");
  KeyBuffer buffer;
  EXPECT_EQ(to_text(page.key(0, buffer)), "user/alice");
  EXPECT_EQ(page.find(as_bytes("user/b")).slot, 1u);
  EXPECT_EQ(page.find(as_bytes("user/bz")).slot, 3u);
}

TEST(PageTest, KeysThatDifferOnlyBehindTheHeadOrInLengthAreTold) {
  PageMemory memory;
  Page page = Page::format(memory.bytes.get(), {kId, kTree, 0}, unbounded());
  using namespace std::string_literals;
  const std::vector<std::string> keys = {
      "",      "\0"s,   "\0\0\0\0"s,        "\0\0\0\0\0"s,         "a", "a\0"s, "aaaa",
      "aaaaa", "aaaab", "\xff\xff\xff\xff", "\xff\xff\xff\xff\xff"};
  for (const std::string& key : keys) add(page, key, to_hex(as_bytes(key)));
  for (std::uint32_t slot = 0; slot < keys.size(); ++slot) {
    EXPECT_EQ(to_text(page.suffix(slot)), keys[slot]);
    EXPECT_EQ(page.find(as_bytes(keys[slot])).slot, slot);
    EXPECT_EQ(get(page, keys[slot]), to_hex(as_bytes(keys[slot])));
  }
  page.stamp();
  EXPECT_EQ(failure(verify(memory.view(), kId)), "passed");
}

TEST(PageTest, InnerPageLeadsToTheChildOfAKey) {
  PageMemory memory;
  Page page = Page::format(memory.bytes.get(), {kId, kTree, 1}, unbounded());
  page.insert_child(0, {}, PageId{10});
  page.insert_child(1, as_bytes("g"), PageId{11});
  page.insert_child(2, as_bytes("p"), kNoPage);
  EXPECT_EQ(page.child_slot(as_bytes("")), 0u);
  EXPECT_EQ(page.child_slot(as_bytes("f")), 0u);
  EXPECT_EQ(page.child_slot(as_bytes("g")), 1u);
  EXPECT_EQ(page.child_slot(as_bytes("zz")), 2u);
  EXPECT_EQ(page.child_slot_below(as_bytes("g")), 0u);
  EXPECT_EQ(page.child_slot_below(as_bytes("ga")), 1u);
  EXPECT_EQ(page.child(2), kNoPage);
  page.set_child(2, PageId{12});
  EXPECT_EQ(page.child(2), PageId{12});
  page.stamp();
  EXPECT_EQ(failure(verify(memory.view(), kId)), "passed");
}

TEST(PageTest, HoldsFourEntriesOfTheLargestSizeBetweenTheLongestFences) {
  PageMemory memory;
  const std::string lower(kMaxKeyBytes, 'a');
  const std::string upper(kMaxKeyBytes, 'z');
  Page page = Page::format(memory.bytes.get(), {kId, kTree, 0}, between(lower, upper));
  const std::string value(kMaxValueBytes, 'v');
  for (char first = 'b'; first < 'f'; ++first) add(page, std::string(kMaxKeyBytes, first), value);
  EXPECT_EQ(page.count(), 4u);
  EXPECT_FALSE(page.fits(kMaxKeyBytes, kMaxValueBytes));
  page.stamp();
  EXPECT_EQ(failure(verify(memory.view(), kId)), "passed");
}

std::string random_string(Random& random, std::uint64_t most) {
  std::string text(random.below(most + 1), '\0');
  for (char& c : text) c = static_cast<char>("\0ab\xff"[random.below(4)]);
  return text;
}

/// One random change of page and model.
void step(Random& random, Page page, std::map<std::string, std::string>& model) {
  const std::string key = random_string(random, random.chance(1, 20) ? 300 : 5);
  const std::string value = random_string(random, random.chance(1, 10) ? kMaxValueBytes : 30);
  const SlotSearch at = page.find(as_bytes(key));
  ASSERT_EQ(at.found, model.contains(key));
  if (at.found && random.chance(1, 2)) {
    page.erase(at.slot);
    model.erase(key);
  } else if (at.found) {
    if (!page.fits_value(at.slot, static_cast<std::uint32_t>(value.size()))) return;
    page.set_value(at.slot, as_bytes(value));
    model[key] = value;
  } else if (page.fits(static_cast<std::uint32_t>(key.size()), static_cast<std::uint32_t>(value.size()))) {
    page.insert(at.slot, as_bytes(key), as_bytes(value));
    model[key] = value;
  } else {
    page.erase(0);
    model.erase(model.begin());
  }
}

TEST(PageTest, AgreesWithAMapUnderRandomChanges) {
  for (std::uint64_t seed = 1; seed <= 20; ++seed) {
    SCOPED_TRACE(seed);
    Random random(seed);
    PageMemory memory;
    Page page = Page::format(memory.bytes.get(), {kId, kTree, 0}, unbounded());
    std::map<std::string, std::string> model;
    for (int i = 0; i < 1000; ++i) {
      step(random, page, model);
      ASSERT_EQ(page.count(), model.size());
      if (i % 50 != 0) continue;
      std::uint32_t slot = 0;
      for (const auto& [key, value] : model) {
        ASSERT_EQ(to_text(page.suffix(slot)), key);
        ASSERT_EQ(to_text(page.value(slot)), value);
        ++slot;
      }
      page.stamp();
      ASSERT_EQ(failure(verify(memory.view(), kId)), "passed");
    }
  }
}

void fill(Random& random, Page page) {
  std::map<std::string, std::string> model;
  for (int i = 0; i < 300; ++i) step(random, page, model);
}

TEST(PageDamageTest, EveryFlippedBitIsFound) {
  Random random(1);
  PageMemory memory;
  Page page = Page::format(memory.bytes.get(), {kId, kTree, 0}, unbounded());
  fill(random, page);
  page.stamp();
  const auto flip = [&](std::uint64_t bit) { memory.bytes[bit / 8] ^= static_cast<std::byte>(1u << (bit % 8)); };
  for (std::uint64_t bit = 0; bit < kFencesBegin * 8; ++bit) {
    flip(bit);
    EXPECT_FALSE(verify(memory.view(), kId)) << "bit " << bit;
    flip(bit);
  }
  for (int i = 0; i < 2000; ++i) {
    const std::uint64_t bit = random.below(kPageBytes * 8);
    flip(bit);
    EXPECT_FALSE(verify(memory.view(), kId)) << "bit " << bit;
    flip(bit);
  }
  EXPECT_TRUE(verify(memory.view(), kId));
}

TEST(PageDamageTest, IsNamed) {
  PageMemory memory;
  EXPECT_EQ(failure(verify(memory.view(), kId)), "page 7: not a page (magic)");
  Page page = Page::format(memory.bytes.get(), {PageId{8}, kTree, 0}, unbounded());
  page.stamp();
  EXPECT_EQ(failure(verify(memory.view(), kId)), "page 7: found page 8 in its place");
  memory.bytes[kPageBytes - 1] = std::byte{1};
  EXPECT_EQ(failure(verify(memory.view(), PageId{8})), "page 8: checksum does not match");
  memory.bytes[9] = std::byte{2};
  page.stamp();
  const Result<> newer = verify(memory.view(), PageId{8});
  ASSERT_FALSE(newer);
  EXPECT_EQ(newer.error().code(), Code::kNewerFormat);
}

TEST(PageDamageTest, NoRecordMayLieOverAnother) {
  constexpr std::uint32_t kOffsetOfFirstSlot = kFencesBegin + 4;
  constexpr std::uint32_t kAtHeapBegin = 34;
  // The records lie in the order of the slots, or in the opposite one.
  for (const std::string_view keys : {"abc", "cba"}) {
    SCOPED_TRACE(keys);
    PageMemory memory;
    Page page = Page::format(memory.bytes.get(), {kId, kTree, 0}, unbounded());
    for (const char key : keys) {
      const ByteView bytes = as_bytes(std::string_view(&key, 1));
      page.insert(page.find(bytes).slot, bytes, as_bytes("12345"));
    }
    page.stamp();
    ASSERT_EQ(failure(verify(memory.view(), kId)), "passed");
    std::byte* const offset = memory.bytes.get() + kOffsetOfFirstSlot;
    const auto first = load_le<std::uint16_t>(offset);
    const auto last = load_le<std::uint16_t>(offset + 2 * kSlotBytes);
    store_le(offset + 2 * kSlotBytes, first);
    page.stamp();
    EXPECT_EQ(failure(verify(memory.view(), kId)), "page 7: records overlap");
    if (first > last) continue;
    // The last goes to the end of the page, as one that is filled in order begins, and over the others.
    const auto below = static_cast<std::uint16_t>(first - 2);
    store_le(offset + 2 * kSlotBytes, below);
    store_le(memory.bytes.get() + kAtHeapBegin, below);
    store_le(memory.bytes.get() + below, static_cast<std::uint16_t>(kPageBytes - below - kRecordHeaderBytes - 1));
    page.stamp();
    EXPECT_EQ(failure(verify(memory.view(), kId)), "page 7: records overlap");
  }
}

/// Whatever a caller may do with a page that passed: look at everything, then change it until it is full and empty
/// again.
void use_all(Random& random, Page page) {
  KeyBuffer buffer;
  std::size_t seen = 0;
  for (std::uint32_t slot = 0; slot < page.count(); ++slot) {
    seen += page.key(slot, buffer).size() + page.value(slot).size();
    if (!page.is_leaf()) seen += page.child(slot).value() % 2;
  }
  ASSERT_LE(seen, kPageBytes + std::size_t{page.count()} * kMaxKeyBytes);
  for (int i = 0; i < 50; ++i) {
    const std::string key = to_text(page.prefix()) + random_string(random, 8);
    const SlotSearch at = page.find(as_bytes(key));
    const std::string value = random_string(random, page.is_leaf() ? 500 : 0) + (page.is_leaf() ? "" : "12345678");
    if (!at.found && page.fits(static_cast<std::uint32_t>(key.size()), static_cast<std::uint32_t>(value.size()))) {
      page.insert(at.slot, as_bytes(key).subspan(page.prefix_bytes()), as_bytes(value));
    } else if (at.found && page.fits_value(at.slot, static_cast<std::uint32_t>(value.size()))) {
      page.set_value(at.slot, as_bytes(value));
    }
  }
  while (page.count() > 0) page.erase(static_cast<std::uint32_t>(random.below(page.count())));
}

TEST(PageDamageTest, PageWithARightChecksumIsRefusedOrHarmless) {
  std::uint64_t passed = 0;
  for (std::uint64_t seed = 1; seed <= 3000; ++seed) {
    SCOPED_TRACE(seed);
    Random random(seed);
    PageMemory memory;
    const bool inner = random.chance(1, 4);
    Page page = Page::format(memory.bytes.get(), {kId, kTree, static_cast<std::uint8_t>(inner ? 1 : 0)},
                             random.chance(1, 2) ? unbounded() : between("", "\xff\xff\xff"));
    if (inner) {
      for (std::uint32_t i = 0; i < 30; ++i) {
        page.insert_child(i, as_bytes(i == 0 ? "" : fmt::format("{:04}", i)), PageId{100 + i});
      }
    } else {
      fill(random, page);
    }
    // A few bytes of header, slots or anything, set to telling values.
    for (std::uint64_t changes = random.below(4) + 1; changes > 0; --changes) {
      const std::uint64_t end = random.chance(1, 2) ? kFencesBegin : random.chance(1, 2) ? 512 : kPageBytes;
      const std::byte values[] = {std::byte{0},    std::byte{1},    std::byte{0x3f},
                                  std::byte{0x40}, std::byte{0xff}, static_cast<std::byte>(random.below(256))};
      memory.bytes[random.below(end - 10) + 10] = values[random.below(std::size(values))];
    }
    page.stamp();
    if (!verify(memory.view(), page.id())) continue;
    ++passed;
    use_all(random, page);
  }
  EXPECT_GT(passed, 100u);  // else this test has stopped to try what it is for
  EXPECT_LT(passed, 2900u);
}

TEST(PageDamageTest, RandomBytesWithARightChecksumAreRefusedOrHarmless) {
  for (std::uint64_t seed = 1; seed <= 300; ++seed) {
    Random random(seed);
    PageMemory memory;
    for (std::uint32_t at = 0; at < kPageBytes; ++at) memory.bytes[at] = static_cast<std::byte>(random.below(256));
    Page page = memory.page();
    store_le(memory.bytes.get() + 4, kPageMagic);
    store_le(memory.bytes.get() + 9, std::uint8_t{1});
    store_le(memory.bytes.get() + 16, kId.value());
    page.stamp();
    if (verify(memory.view(), kId)) use_all(random, page);
  }
}

}  // namespace
}  // namespace cenote::store
