// UringDevice on a real block device: a loop device over a file. Needs the right to set one up; skipped without.

#include <fcntl.h>
#include <fmt/format.h>
#include <gtest/gtest.h>
#include <linux/loop.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include <filesystem>

#include "cenote/media/uring_device.h"
#include "device_test_support.h"

namespace cenote::media {
namespace {

constexpr std::uint64_t kDiskBlocks = 128;

class LoopDisk {
 public:
  LoopDisk() : file_path_(fmt::format("{}cenote-loop-{}", testing::TempDir(), ::getpid())) {
    const int control = ::open("/dev/loop-control", O_RDWR | O_CLOEXEC);
    const int number = control < 0 ? -1 : ::ioctl(control, LOOP_CTL_GET_FREE);
    if (control >= 0) ::close(control);
    if (number < 0) return;
    const int file = ::open(file_path_.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    const std::string disk = fmt::format("/dev/loop{}", number);
    loop_ = ::open(disk.c_str(), O_RDWR | O_CLOEXEC);
    loop_config config{};
    config.fd = static_cast<std::uint32_t>(file);
    const bool configured =
        loop_ >= 0 && ::ftruncate(file, kDiskBlocks * kBlockBytes) == 0 && ::ioctl(loop_, LOOP_CONFIGURE, &config) == 0;
    ::close(file);
    if (configured) path_ = disk;
  }
  ~LoopDisk() {
    if (!path_.empty()) ::ioctl(loop_, LOOP_CLR_FD);
    if (loop_ >= 0) ::close(loop_);
    std::filesystem::remove(file_path_);
  }
  /// Empty when there is no loop device to be had.
  const std::string& path() const { return path_; }

 private:
  std::string file_path_;
  std::string path_;
  int loop_ = -1;
};

TEST(UringBlockDeviceTest, WritesReadsDiscardsAndLocksADisk) {
  const LoopDisk disk;
  if (disk.path().empty()) GTEST_SKIP() << "no loop device can be set up here";
  auto reactor = *UringReactor::create();
  auto opened = UringDevice::open(*reactor, disk.path());
  ASSERT_TRUE(opened) << opened.error().to_string();
  UringDevice& device = **opened;
  EXPECT_EQ(device.block_count(), kDiskBlocks);
  EXPECT_TRUE(device.direct());

  Blocks data(3, 10), into(3);
  EXPECT_TRUE(reactor->block_on(write(device, kDiskBlocks - 3, data.span(), Durability::kDurable)));
  EXPECT_TRUE(reactor->block_on(flush(device)));
  EXPECT_TRUE(reactor->block_on(read(device, kDiskBlocks - 3, into.span())));
  EXPECT_TRUE(equal(data.span(), into.span()));
  EXPECT_TRUE(reactor->block_on(discard(device, kDiskBlocks - 3, 2)));
  EXPECT_TRUE(reactor->block_on(read(device, kDiskBlocks - 1, into.span().first(kBlockBytes))));
  EXPECT_EQ(into.mark(0), std::byte{12});

  const auto second = UringDevice::open(*reactor, disk.path());
  ASSERT_FALSE(second);
  EXPECT_EQ(second.error(), Code::kLocked);
  reactor->block_on(device.close());
}

}  // namespace
}  // namespace cenote::media
