#include "mount_table.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/sysmacros.h>

namespace cenote::intercept {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;

constexpr std::string_view kMounts =
    "22 1 8:1 / / rw,relatime shared:1 - ext4 /dev/sda1 rw\n"
    "30 22 0:41 / /mnt/data rw,nosuid,nodev shared:2 - fuse.cenote scratch/home rw,user_id=0\n"
    "31 22 0:42 / /mnt/with\\040blank rw - fuse.cenote scratch/other rw\n"
    "32 22 0:43 / /mnt/sshfs rw - fuse.sshfs host: rw\n";

TEST(MountTable, KnowsWhatIsOfCenote) {
  const auto mounts = parse_mounts(kMounts);
  ASSERT_EQ(mounts.size(), 2u);
  EXPECT_EQ(mounts[0].place, "/mnt/data");
  EXPECT_EQ(mounts[0].device, ::makedev(0, 41));
  EXPECT_FALSE(mounts[0].is_covered);
  EXPECT_EQ(mounts[1].place, "/mnt/with blank");
}

TEST(MountTable, WhatIsCoveredIsSaid) {
  const auto below = parse_mounts(std::string(kMounts) + "33 30 0:44 / /mnt/data/proc rw - proc proc rw\n");
  EXPECT_TRUE(below[0].is_covered);
  EXPECT_FALSE(below[1].is_covered);
  const auto above = parse_mounts(std::string(kMounts) + "33 22 0:44 / /mnt rw - tmpfs tmpfs rw\n");
  EXPECT_TRUE(above[0].is_covered);
  const auto bound = parse_mounts("30 22 0:41 /directory /mnt/data rw - fuse.cenote scratch/home rw\n");
  EXPECT_TRUE(bound[0].is_covered);
}

TEST(MountTable, PathsAreMatchedByWholeNames) {
  const auto mounts = parse_mounts(kMounts);
  const auto found = match_path(mounts, "/mnt/data/a//./b");
  ASSERT_TRUE(found.has_value());
  EXPECT_EQ(found->mount, 0u);
  EXPECT_THAT(found->names, ElementsAre("a", "b"));
  EXPECT_THAT(match_path(mounts, "/mnt/data")->names, IsEmpty());
  EXPECT_FALSE(match_path(mounts, "/mnt/datas/a").has_value());
  EXPECT_FALSE(match_path(mounts, "/mnt").has_value());
  EXPECT_FALSE(match_path(mounts, "/mnt/sshfs/a").has_value());
}

TEST(MountTable, WhatOnlyTheKernelCanSayIsLeftToIt) {
  const auto mounts = parse_mounts(kMounts);
  for (const std::string path : {"/mnt/data/a/../b", "/mnt/data/a/", "/mnt/data/", "/mnt/data/a/."})
    EXPECT_FALSE(match_path(mounts, path).has_value()) << path;
  EXPECT_FALSE(plain_names(std::string(256, 'n')).has_value());
  EXPECT_FALSE(plain_names("").has_value());
  EXPECT_THAT(*plain_names("."), IsEmpty());
}

}  // namespace
}  // namespace cenote::intercept
