#include "page_reshape.h"

#include <gtest/gtest.h>

#include <memory>
#include <set>
#include <string>
#include <vector>

#include "cenote/runtime/random.h"

namespace cenote::store {
namespace {

constexpr PageId kLeft{7};
constexpr PageId kRight{8};
constexpr TreeId kTree{3};

using PageMemory = std::unique_ptr<std::byte[]>;
PageMemory make_memory() { return std::make_unique<std::byte[]>(kPageBytes); }

void expect_valid(PageView page) {
  Page(const_cast<std::byte*>(page.data())).stamp();
  const Result<> result = verify({page.data(), kPageBytes}, page.id());
  EXPECT_TRUE(result) << result.error().message();
}

/// (key, value) of every entry, in order.
std::vector<std::pair<std::string, std::string>> entries(PageView page) {
  std::vector<std::pair<std::string, std::string>> all;
  KeyBuffer buffer;
  for (std::uint32_t slot = 0; slot < page.count(); ++slot) {
    const bool first_child = !page.is_leaf() && slot == 0;
    all.emplace_back(to_text(first_child ? page.lower_fence() : page.key(slot, buffer)), to_text(page.value(slot)));
  }
  return all;
}

/// Keys of one kind: short, long, long with one long prefix.
std::string random_key(Random& random, std::uint64_t kind) {
  std::string key(kind == 2 ? 900 : 0, 'p');
  const std::uint64_t length = kind == 0 ? random.below(12) : random.below(kMaxKeyBytes - key.size() + 1);
  for (std::uint64_t i = 0; i < length; ++i) key.push_back(static_cast<char>("abz"[random.below(3)]));
  return key;
}

/// A page filled until an entry of the largest size would not fit in, between random fences around its keys.
void fill(Random& random, std::byte* memory, std::uint8_t level) {
  const std::uint64_t kind = random.below(3);
  std::set<std::string> keys;
  while (keys.size() < 500) keys.insert(random_key(random, kind));
  const auto begin = std::next(keys.begin(), static_cast<std::ptrdiff_t>(random.below(400)));
  const std::string lower = random.chance(1, 3) ? "" : *begin;
  const std::string upper = *keys.rbegin() + "";
  Fences fences{as_bytes(lower), std::nullopt};
  if (random.chance(2, 3)) fences.upper = as_bytes(upper);
  Page page = Page::format(memory, {kLeft, kTree, level}, fences);
  std::uint64_t child = 100;
  for (auto key = begin; key != keys.end() && *key != upper; ++key) {
    const std::string value = level > 0 ? std::string(8, '\1')
                                        : std::string(random.below(random.chance(1, 3) ? kMaxValueBytes + 1 : 20), 'v');
    const std::string first = level > 0 && page.count() == 0 ? std::string(page.prefix_bytes(), ' ') : *key;
    const ByteView suffix = as_bytes(first).subspan(page.prefix_bytes());
    if (!page.fits(static_cast<std::uint32_t>(suffix.size()), static_cast<std::uint32_t>(value.size()))) break;
    page.insert(page.count(), suffix, as_bytes(value));
    if (level > 0) page.set_child(page.count() - 1, PageId{++child});
  }
}

class ReshapeTest : public testing::TestWithParam<std::uint8_t> {};

TEST_P(ReshapeTest, SplitLeavesRoomForTheLargestEntryOnBothSidesAndMergeUndoesIt) {
  const std::uint8_t level = GetParam();
  int splits = 0;
  for (std::uint64_t seed = 1; seed <= 300; ++seed) {
    SCOPED_TRACE(seed);
    Random random(seed);
    PageMemory left = make_memory();
    PageMemory right = make_memory();
    fill(random, left.get(), level);
    Page page(left.get());
    if (page.fits(kMaxKeyBytes, level == 0 ? kMaxValueBytes : kChildBytes)) continue;
    ++splits;
    page.set_append_run(0);
    const auto before = entries(page);
    const PageMemory original = make_memory();
    std::memcpy(original.get(), left.get(), kPageBytes);

    const std::uint32_t slot = choose_split(page, page.count());
    KeyBuffer buffer;
    const ByteView between = separator(page, slot, buffer);
    split(page, right.get(), kRight, slot, between);
    const PageView right_page(right.get());
    expect_valid(page);
    expect_valid(right_page);
    EXPECT_TRUE(page.fits(kMaxKeyBytes, level == 0 ? kMaxValueBytes : kChildBytes));
    EXPECT_TRUE(right_page.fits(kMaxKeyBytes, level == 0 ? kMaxValueBytes : kChildBytes));
    auto after = entries(page);
    for (auto& entry : entries(right_page)) after.push_back(std::move(entry));
    EXPECT_EQ(after, before);

    const Fences fences{page.lower_fence(), right_page.upper_fence()};
    const Merge merge{page, right_page, fences};
    const auto free = merge.free_bytes();
    if (!free) continue;
    merge.write(left.get(), {kLeft, kTree, level});
    expect_valid(page);
    EXPECT_EQ(entries(page), before);
    EXPECT_GE(page.free_bytes(), *free);
    EXPECT_LE(page.free_bytes(), *free + 2 * kSlotBytes + (level > 0 ? kMaxKeyBytes : 0));
  }
  EXPECT_GT(splits, 100);
}

INSTANTIATE_TEST_SUITE_P(Kinds, ReshapeTest, testing::Values(std::uint8_t{0}, std::uint8_t{1}));

TEST(ChooseSplitTest, AppendingLeavesAFullPageBehind) {
  PageMemory memory = make_memory();
  Page page = Page::format(memory.get(), {kLeft, kTree, 0}, {{}, std::nullopt});
  std::uint32_t number = 1000;
  while (page.fits(4, 20))
    page.insert(page.count(), as_bytes(std::to_string(number++)), as_bytes("12345678901234567890"));
  EXPECT_EQ(choose_split(page, page.count()), page.count() - 1);
  EXPECT_NEAR(choose_split(page, 5), page.count() / 2.0, page.count() / 8.0);
}

TEST(ChooseSplitTest, PrefersAShortSeparatorNearTheMiddle) {
  PageMemory memory = make_memory();
  Page page = Page::format(memory.get(), {kLeft, kTree, 0}, {{}, std::nullopt});
  // 53 keys of one family, then 47 of another: a split at 53 needs one byte.
  for (int i = 0; i < 100; ++i) {
    page.insert(page.count(), as_bytes((i < 53 ? "family-a-" : "g-family-b-") + std::to_string(1000 + i)),
                as_bytes("12345"));
  }
  const std::uint32_t slot = choose_split(page, 3);
  KeyBuffer buffer;
  EXPECT_EQ(slot, 53u);
  EXPECT_EQ(to_text(separator(page, slot, buffer)), "g");
}

TEST(MergeTest, TakesInEmptyRangesAndJoinsThoseThatMeet) {
  PageMemory memory = make_memory();
  Page page = Page::format(memory.get(), {kLeft, kTree, 1}, {as_bytes("d"), as_bytes("p")});
  page.insert_child(0, {}, kNoPage);
  page.insert_child(1, as_bytes("f"), PageId{20});
  const Merge merge{page, std::nullopt, {{}, std::nullopt}};
  ASSERT_TRUE(merge.free_bytes());
  merge.write(memory.get(), {kLeft, kTree, 1});
  expect_valid(page);
  ASSERT_EQ(page.count(), 3u);
  EXPECT_EQ(page.child(0), kNoPage);
  EXPECT_EQ(to_text(page.suffix(1)), "f");
  EXPECT_EQ(page.child(1), PageId{20});
  EXPECT_EQ(to_text(page.suffix(2)), "p");
  EXPECT_EQ(page.child(2), kNoPage);
}

TEST(MergeTest, RefusesWhatDoesNotFitWithoutItsPrefix) {
  PageMemory memory = make_memory();
  const std::string prefix(1000, 'p');
  Page page = Page::format(memory.get(), {kLeft, kTree, 0}, {as_bytes(prefix), as_bytes(prefix + "z")});
  for (int i = 100; i < 140; ++i) page.insert(page.count(), as_bytes(std::to_string(i)), as_bytes("v"));
  EXPECT_TRUE((Merge{page, std::nullopt, page.fences()}).free_bytes());
  EXPECT_FALSE((Merge{page, std::nullopt, {{}, std::nullopt}}).free_bytes());
}

}  // namespace
}  // namespace cenote::store
