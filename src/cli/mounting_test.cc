#include "mounting.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace cenote::cli {
namespace {

using testing::ElementsAre;

TEST(MountHelper, OptionsOfTheTableBecomeFlags) {
  const auto arguments =
      from_mount_helper({"scratch/home", "/mnt", "-sn", "-o",
                         "rw,noexec,server=a:1,b,multi_user,_netdev,x-systemd.automount,log_file=/l_g"});
  ASSERT_TRUE(arguments.has_value());
  EXPECT_THAT(*arguments, ElementsAre("fs", "mount", "scratch/home", "/mnt", "--kernel-option=noexec", "--server=a:1",
                                      "--kernel-option=b", "--multi-user", "--log-file=/l_g"));
}

TEST(MountHelper, WantsSourceAndDirectory) {
  EXPECT_FALSE(from_mount_helper({"scratch/home"}).has_value());
  EXPECT_FALSE(from_mount_helper({"scratch/home", "/mnt", "/more"}).has_value());
  EXPECT_FALSE(from_mount_helper({"scratch/home", "/mnt", "-o"}).has_value());
  EXPECT_FALSE(from_mount_helper({"scratch/home", "/mnt", "-x"}).has_value());
}

TEST(FindMount, KnowsWhatIsNone) {
  const auto root = find_mount("/");
  ASSERT_FALSE(root.has_value());
  EXPECT_EQ(root.error(), Code::kNotFound);
  EXPECT_FALSE(find_mount("/nowhere/at/all").has_value());
}

}  // namespace
}  // namespace cenote::cli
