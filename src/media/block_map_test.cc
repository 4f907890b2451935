#include "block_map.h"

#include <gtest/gtest.h>

#include <map>

#include "cenote/runtime/random.h"

namespace cenote::media {
namespace {

SharedBlock block_of(std::uint64_t mark) {
  auto block = std::make_shared<BlockContents>();
  block->bytes.fill(static_cast<std::byte>(mark));
  return block;
}

struct Model {
  BlockMap map;
  std::map<std::uint64_t, SharedBlock> expected;

  void check(std::uint64_t limit) const {
    std::uint64_t at = map.next_stored(0, limit);
    for (const auto& [index, block] : expected) {
      ASSERT_EQ(at, index);
      ASSERT_EQ(map.find(index), block);
      at = map.next_stored(index + 1, limit);
    }
    ASSERT_EQ(at, limit);
  }
};

TEST(BlockMapTest, AgreesWithAMapAcrossCopies) {
  constexpr std::uint64_t kSeed = 7, kLimit = std::uint64_t{1} << 40;
  SCOPED_TRACE(kSeed);
  Random random(kSeed);
  std::vector<Model> copies(1);
  for (int step = 0; step < 3000; ++step) {
    Model& model = copies[random.below(copies.size())];
    // Few distinct indices at every height, so that they meet again.
    const std::uint64_t index = random.below(64) << random.below(34);
    if (random.chance(1, 4)) {
      model.map.store(index, nullptr);
      model.expected.erase(index);
    } else {
      const SharedBlock block = block_of(random.next());
      model.map.store(index, block);
      model.expected[index] = block;
    }
    if (random.chance(1, 50) && copies.size() < 8) copies.push_back(copies[random.below(copies.size())]);
  }
  for (const Model& model : copies) ASSERT_NO_FATAL_FAILURE(model.check(kLimit));
}

TEST(BlockMapTest, TheHighestIndexHasAPlace) {
  BlockMap map;
  map.store(UINT64_MAX - 1, block_of(1));
  map.store(0, block_of(2));
  EXPECT_EQ(map.next_stored(1, UINT64_MAX), UINT64_MAX - 1);
  EXPECT_EQ(map.find(0)->bytes[0], std::byte{2});
}

}  // namespace
}  // namespace cenote::media
