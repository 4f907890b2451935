#include "private_descriptors.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <unistd.h>

namespace cenote::intercept {
namespace {

TEST(PrivateDescriptors, AreOutOfTheWayAndKnown) {
  PrivateDescriptors own;
  const int low = ::open("/dev/null", O_RDONLY);
  const int high = own.adopt(low);
  ASSERT_GT(high, low);
  EXPECT_TRUE(own.contains(high));
  EXPECT_FALSE(own.contains(low));
  EXPECT_EQ(::fcntl(low, F_GETFD), -1);
  EXPECT_EQ(::fcntl(high, F_GETFD), FD_CLOEXEC);
  const int second = own.adopt(::open("/dev/null", O_RDONLY));
  EXPECT_EQ(own.next(0), high);
  EXPECT_EQ(own.next(high + 1), second);
  own.forget(second);
  EXPECT_EQ(own.next(high + 1), -1);
  EXPECT_EQ(::fcntl(second, F_GETFD), FD_CLOEXEC);
  ::close(second);
  own.close_all();
  EXPECT_FALSE(own.contains(high));
  EXPECT_EQ(::fcntl(high, F_GETFD), -1);
}

TEST(PrivateDescriptors, FailuresPassThrough) {
  PrivateDescriptors own;
  EXPECT_EQ(own.adopt(-1), -1);
  EXPECT_FALSE(own.contains(-1));
  EXPECT_EQ(own.next(0), -1);
}

}  // namespace
}  // namespace cenote::intercept
