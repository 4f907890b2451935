#include "write_cache.h"

#include <fmt/format.h>
#include <gtest/gtest.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>

namespace cenote::media {
namespace {

/// A tree like /sys with one disk, 8:0, and its partition, 8:1.
class WriteCacheTest : public testing::Test {
 protected:
  WriteCacheTest() : root_(fmt::format("{}cenote-sys-{}", testing::TempDir(), ::getpid())) {
    std::filesystem::create_directories(root_ + "/devices/sda/queue");
    std::filesystem::create_directories(root_ + "/devices/sda/sda1");
    std::filesystem::create_directories(root_ + "/dev/block");
    std::filesystem::create_symlink("../../devices/sda", root_ + "/dev/block/8:0");
    std::filesystem::create_symlink("../../devices/sda/sda1", root_ + "/dev/block/8:1");
  }
  ~WriteCacheTest() override { std::filesystem::remove_all(root_); }

  void set(const std::string& cache, const std::string& fua) {
    std::ofstream(root_ + "/devices/sda/queue/write_cache") << cache << '\n';
    std::ofstream(root_ + "/devices/sda/queue/fua") << fua << '\n';
  }
  WriteCache of(unsigned minor_number) { return write_cache_of(makedev(8, minor_number), root_); }

  std::string root_;
};

TEST_F(WriteCacheTest, IsReadFromTheQueueOfTheDiskAlsoForAPartition) {
  set("write back", "0");
  EXPECT_EQ(of(0), WriteCache::kWriteBack);
  EXPECT_EQ(of(1), WriteCache::kWriteBack);
  set("write back", "1");
  EXPECT_EQ(of(1), WriteCache::kFua);
  set("write through", "0");
  EXPECT_EQ(of(1), WriteCache::kWriteThrough);
  EXPECT_EQ(of(2), WriteCache::kUnknown);
}

TEST_F(WriteCacheTest, ADiskThatSaysNothingOfFuaHasNone) {
  std::ofstream(root_ + "/devices/sda/queue/write_cache") << "write back\n";
  EXPECT_EQ(of(0), WriteCache::kWriteBack);
}

TEST(DurableWritesTest, AreCheapOnlyWhereNoFlushOfTheWholeCacheIsNeeded) {
  EXPECT_TRUE(durable_writes_are_cheap(WriteCache::kWriteThrough, true));
  EXPECT_TRUE(durable_writes_are_cheap(WriteCache::kFua, true));
  EXPECT_TRUE(durable_writes_are_cheap(WriteCache::kMemory, false));
  EXPECT_FALSE(durable_writes_are_cheap(WriteCache::kWriteBack, true));
  EXPECT_FALSE(durable_writes_are_cheap(WriteCache::kUnknown, true));
  EXPECT_FALSE(durable_writes_are_cheap(WriteCache::kFua, false));
}

}  // namespace
}  // namespace cenote::media
