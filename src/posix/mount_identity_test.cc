#include "cenote/posix/mount_identity.h"

#include <gtest/gtest.h>

namespace cenote::posix {
namespace {

TEST(MountIdentity, ComesBackAsItWas) {
  const MountIdentity identity{
      .servers = "a:1,b:2", .pool = "p", .container = "c", .snapshot = "s", .timeout_ms = 30'000, .multi_user = true};
  const auto frame = framed_answer(encode_mount_identity(identity), kMountIdentityRoom);
  ASSERT_TRUE(frame.has_value());
  EXPECT_EQ(frame->size(), kMountIdentityRoom);
  const auto answer = unframed_answer(*frame);
  ASSERT_TRUE(answer.has_value());
  const auto decoded = decode_mount_identity(*answer);
  ASSERT_TRUE(decoded.has_value());
  EXPECT_EQ(decoded->servers, identity.servers);
  EXPECT_EQ(decoded->container, identity.container);
  EXPECT_EQ(decoded->snapshot, identity.snapshot);
  EXPECT_EQ(decoded->timeout_ms, identity.timeout_ms);
  EXPECT_TRUE(decoded->multi_user);
}

TEST(MountIdentity, WhatIsNoneIsRefused) {
  EXPECT_FALSE(decode_mount_identity(Bytes(40)).has_value());
  EXPECT_FALSE(decode_mount_identity({}).has_value());
  EXPECT_FALSE(unframed_answer(Bytes(8, std::byte{0xff})).has_value());
  EXPECT_EQ(framed_answer(Bytes(600), kNodeIdentityRoom).error(), Code::kOutOfRange);
}

}  // namespace
}  // namespace cenote::posix
