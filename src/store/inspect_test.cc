#include "cenote/store/inspect.h"

#include <cstring>

#include "aligned_buffer.h"
#include "geometry.h"
#include "store_test_kit.h"

namespace cenote::store {
namespace {

class Inspect : public ::testing::Test, public StoreBench {
 protected:
  Inspect() : StoreBench(11) {}
  void SetUp() override {
    format_store();
    open();
  }
  std::array<SuperblockReport, 2> superblocks() { return block_on(read_superblocks(*device)); }
  /// Begins like a superblock and is none.
  static Task<Result<>> damage(media::BlockDevice* device, media::BlockNo block) {
    AlignedBuffer noise(media::kBlockBytes);
    std::memcpy(noise.span().data(), "CenoteSB", 8);
    CO_CHECK_OK(co_await device->write(block, noise.span(), media::Durability::kDurable));
    co_return Result<>();
  }
};

TEST_F(Inspect, TellsBothSuperblocks) {
  ASSERT_TRUE(block_on(store->checkpoint()));
  const auto [a, b] = superblocks();
  ASSERT_FALSE(a.flaw || b.flaw);
  EXPECT_EQ(std::max(a.sequence, b.sequence), std::min(a.sequence, b.sequence) + 1);
  EXPECT_EQ(a.system, format.system);
  EXPECT_EQ(b.target, format.target);
  EXPECT_EQ(a.log_bytes, format.log_bytes);
}

TEST_F(Inspect, TellsDamageFromNothing) {
  power_off();
  power_on();
  ASSERT_TRUE(block_on(damage(device, media::BlockNo(kSuperblockPlaces[1]))));
  EXPECT_EQ(superblocks()[1].flaw.value(), Code::kCorrupt);
  EXPECT_FALSE(superblocks()[0].flaw);
}

TEST_F(Inspect, ListsTreesById) {
  const TreeId fish = make_tree("fish");
  const TreeId birds = make_tree("birds");
  const auto trees = list_trees(*store);
  ASSERT_EQ(trees.size(), 2u);
  EXPECT_EQ(trees[0].id, fish);
  EXPECT_EQ(trees[0].name, "fish");
  EXPECT_EQ(trees[1].id, birds);
  EXPECT_EQ(trees[1].name, "birds");
}

}  // namespace
}  // namespace cenote::store
