#include "merge_pages.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <map>
#include <set>

#include "cenote/base/codec.h"
#include "cenote/runtime/random.h"

namespace cenote::async {
namespace {

ObjectId lexical() { return ObjectId::make(ObjectClass::kSX, KeyFlavour::kLexical, KeyFlavour::kLexical, 0, 1); }
ObjectId integers() { return ObjectId::make(ObjectClass::kSX, KeyFlavour::kUint64, KeyFlavour::kLexical, 0, 1); }

ListedKey listed(std::string_view key) { return {.key = to_bytes(as_bytes(key))}; }

ListRequest request_for(const ObjectId& object, std::uint32_t limit = kMaxListEntries) {
  ListRequest request;
  request.object = object;
  request.limit = limit;
  return request;
}

std::vector<std::string> texts(const ListReply& reply) {
  std::vector<std::string> keys;
  for (const ListedKey& key : reply.keys) keys.push_back(to_text(key.key));
  return keys;
}

TEST(MergePages, NothingAnywhere) {
  const ListReply reply = merge_pages({ListReply(), ListReply()}, request_for(lexical()));
  EXPECT_TRUE(reply.keys.empty());
  EXPECT_TRUE(reply.anchor.empty());
}

TEST(MergePages, StopsAtTheSmallestAnchor) {
  ListReply unfinished, whole;
  unfinished.keys = {listed("b"), listed("d")};
  unfinished.anchor = to_bytes(as_bytes("d"));
  whole.keys = {listed("a"), listed("c"), listed("d"), listed("e")};
  const ListReply reply = merge_pages({unfinished, whole}, request_for(lexical()));
  EXPECT_EQ(texts(reply), (std::vector<std::string>{"a", "b", "c", "d"}));
  EXPECT_EQ(to_text(reply.anchor), "d");
}

TEST(MergePages, AnEmptyPageWithAnAnchorStillBounds) {
  // A target that has looked at much and found nothing alive yet.
  ListReply looking, whole;
  looking.anchor = to_bytes(as_bytes("b"));
  whole.keys = {listed("a"), listed("c")};
  const ListReply reply = merge_pages({looking, whole}, request_for(lexical()));
  EXPECT_EQ(texts(reply), std::vector<std::string>{"a"});
  EXPECT_EQ(to_text(reply.anchor), "b");

  const ListReply nothing = merge_pages({looking, ListReply()}, request_for(lexical()));
  EXPECT_TRUE(nothing.keys.empty());
  EXPECT_EQ(to_text(nothing.anchor), "b") << "more may follow";
}

TEST(MergePages, TheLimitMovesTheAnchorBack) {
  ListReply one, two;
  one.keys = {listed("a"), listed("c")};
  two.keys = {listed("b"), listed("d")};
  const ListReply reply = merge_pages({one, two}, request_for(lexical(), 3));
  EXPECT_EQ(texts(reply), (std::vector<std::string>{"a", "b", "c"}));
  EXPECT_EQ(to_text(reply.anchor), "c");
}

TEST(MergePages, WhatReplicasRepeatCountsOnce) {
  ListReply one, two, three;
  one.keys = {listed("a"), listed("b"), listed("c")};
  one.anchor = to_bytes(as_bytes("c"));
  two.keys = {listed("a"), listed("c"), listed("d")};
  two.anchor = to_bytes(as_bytes("d"));
  three.keys = {listed("b"), listed("d")};
  const ListReply reply = merge_pages({one, two, three}, request_for(lexical(), 3));
  EXPECT_EQ(texts(reply), (std::vector<std::string>{"a", "b", "c"})) << "as many as were asked for";
  EXPECT_EQ(to_text(reply.anchor), "c");
}

TEST(MergePages, IntegersAreInNumericOrder) {
  const auto key = [](std::uint64_t number) {
    Bytes bytes(sizeof number);
    store_le(bytes.data(), number);
    return ListedKey{.key = bytes};
  };
  ListReply one, two;
  one.keys = {key(1), key(256)};
  one.anchor = key(256).key;
  two.keys = {key(2), key(255), key(257)};
  const ListReply reply = merge_pages({one, two}, request_for(integers()));
  std::vector<std::uint64_t> numbers;
  for (const ListedKey& listed : reply.keys) numbers.push_back(load_le<std::uint64_t>(listed.key.data()));
  EXPECT_EQ(numbers, (std::vector<std::uint64_t>{1, 2, 255, 256}));
}

// 1 < 256 as numbers, 256 < the short key < 1 as bytes: taken as they come these three have no order.
TEST(MergePages, AServerThatSendsWrongKeysDoesNotBreakTheOrder) {
  std::vector<Bytes> keys(3, Bytes(sizeof(std::uint64_t)));
  store_le(keys[0].data(), std::uint64_t{1});
  store_le(keys[1].data(), std::uint64_t{256});
  keys[2] = {std::byte{0}, std::byte{5}};
  std::vector<std::size_t> order{0, 1, 2};
  do {
    ListReply page;
    for (const std::size_t index : order) page.keys.push_back({.key = keys[index]});
    const ListReply reply = merge_pages({page}, request_for(integers()));
    ASSERT_EQ(reply.keys.size(), 3u);
    for (std::size_t i = 0; i < 3; ++i) EXPECT_TRUE(equal(reply.keys[i].key, keys[i])) << i;
  } while (std::ranges::next_permutation(order).found);
}

/// One target's answer: at most `most` live keys after `anchor`, and perhaps an end before the last one is looked at.
ListReply page_of(const std::set<std::string>& keys, const std::string& anchor, std::size_t most, bool gives_up_early) {
  ListReply page;
  for (auto key = keys.upper_bound(anchor); key != keys.end(); ++key) {
    const bool dead = key->ends_with("x");
    if (!dead) page.keys.push_back(listed(*key));
    const bool full = page.keys.size() >= most || gives_up_early;
    if (full && std::next(key) != keys.end()) {
      page.anchor = to_bytes(as_bytes(*key));
      return page;
    }
  }
  return page;
}

TEST(MergePages, PagesTogetherAreTheWholeListing) {
  for (std::uint64_t seed = 1; seed <= 200; ++seed) {
    SCOPED_TRACE(seed);
    Random random(seed);
    const std::size_t targets = 1 + random.below(5);
    std::vector<std::set<std::string>> stored(targets);
    std::set<std::string> expected;
    for (std::uint64_t i = random.below(60); i > 0; --i) {
      const std::string key = std::to_string(random.below(50)) + (random.chance(1, 4) ? "x" : "");
      if (!key.ends_with("x")) expected.insert(key);
      // Replicas of a key lie on several targets, which all list it.
      const std::size_t first = random.below(targets), replicas = 1 + random.below(3);
      for (std::size_t replica = 0; replica < replicas; ++replica) stored[(first + replica) % targets].insert(key);
    }
    std::vector<std::string> seen;
    std::string anchor;
    const ListRequest request = request_for(lexical(), static_cast<std::uint32_t>(1 + random.below(8)));
    for (int pages = 0;; ++pages) {
      ASSERT_LT(pages, 1000) << "no progress";
      std::vector<ListReply> answers;
      for (const auto& keys : stored) answers.push_back(page_of(keys, anchor, request.limit, random.chance(1, 3)));
      const ListReply merged = merge_pages(std::move(answers), request);
      EXPECT_LE(merged.keys.size(), request.limit);
      std::ranges::copy(texts(merged), std::back_inserter(seen));
      if (merged.anchor.empty()) break;
      EXPECT_GT(to_text(merged.anchor), anchor);
      anchor = to_text(merged.anchor);
    }
    EXPECT_EQ(seen, std::vector<std::string>(expected.begin(), expected.end()));
  }
}

}  // namespace
}  // namespace cenote::async
