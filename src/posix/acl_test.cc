#include "acl.h"

#include <gtest/gtest.h>

namespace cenote::posix {
namespace {

using enum AclTag;

const Acl kPlain{{kOwner, 6}, {kGroup, 4}, {kOther, 0}};
const Acl kWithUser{{kOwner, 6}, {kUser, 7, 1234}, {kGroup, 4}, {kMask, 6}, {kOther, 0}};

/// As Linux lays it out, without regard to what makes sense.
Bytes laid_out(const Acl& acl) {
  Bytes value{std::byte{2}, {}, {}, {}};
  const auto put = [&](std::uint32_t number, int bytes) {
    for (int i = 0; i < bytes; ++i) value.push_back(static_cast<std::byte>(number >> (8 * i)));
  };
  for (const AclEntry& entry : acl) {
    put(static_cast<std::uint32_t>(entry.tag), 2);
    put(entry.permissions, 2);
    put(entry.id, 4);
  }
  return value;
}

TEST(Acl, IsWhatItWasEncodedFrom) {
  for (const Acl& acl : {Acl(), kPlain, kWithUser}) EXPECT_EQ(decode_acl(encode_acl(acl)).value(), acl);
  const Bytes value = encode_acl(kPlain);
  ASSERT_EQ(value.size(), 28u);
  EXPECT_EQ(value[4], std::byte{1});
  EXPECT_EQ(value[6], std::byte{6});
  EXPECT_EQ(value[8], std::byte{0xff}) << "who has no name has no id";
}

TEST(Acl, WhatMakesNoSenseIsRefused) {
  const Acl wrong[] = {
      {{kOwner, 6}, {kUser, 6, 1}, {kGroup, 4}, {kOther, 0}},                // no mask
      {{kOwner, 6}, {kGroup, 4}},                                            // nothing for others
      {{kGroup, 4}, {kOwner, 6}, {kOther, 0}},                               // out of order
      {{kOwner, 6}, {kOwner, 6}, {kGroup, 4}, {kOther, 0}},                  // two owners
      {{kOwner, 6}, {kGroup, 4}, {kMask, 4}, {kMask, 4}, {kOther, 0}},       // two masks
      {{kOwner, 6}, {kGroup, 4}, {kOther, 8}},                               // a bit that means nothing
      {{kOwner, 6}, {kGroup, 4}, {kOther, 4}, {static_cast<AclTag>(0x40)}},  // a tag that means nothing
      {{kOwner, 6}, {kUser, 6, 0xffffffff}, {kGroup, 4}, {kMask, 4}, {kOther, 0}},
  };
  for (const Acl& acl : wrong) EXPECT_EQ(decode_acl(laid_out(acl)).error().code(), Code::kInvalidArgument);
  Bytes value = encode_acl(kPlain);
  value.pop_back();
  EXPECT_FALSE(decode_acl(value));
  EXPECT_FALSE(decode_acl({}));
  value = encode_acl(kPlain);
  value[0] = std::byte{3};
  EXPECT_FALSE(decode_acl(value));
}

TEST(Acl, TheModeShowsTheMask) {
  EXPECT_EQ(mode_with(kPlain, 0), 0640u);
  EXPECT_EQ(mode_with(kWithUser, 02777), 02660u) << "other bits stay";
  EXPECT_TRUE(is_plain(kPlain));
  EXPECT_FALSE(is_plain(kWithUser));
  EXPECT_FALSE(is_plain({{kOwner, 6}, {kGroup, 4}, {kMask, 6}, {kOther, 0}}));
}

TEST(Acl, ChmodChangesTheMask) {
  EXPECT_EQ(acl_with(kWithUser, 0547), (Acl{{kOwner, 5}, {kUser, 7, 1234}, {kGroup, 4}, {kMask, 4}, {kOther, 7}}));
  EXPECT_EQ(acl_with(kPlain, 04751), (Acl{{kOwner, 7}, {kGroup, 5}, {kOther, 1}}));
  for (const std::uint32_t mode : {0u, 0777u, 0640u, 04755u})
    EXPECT_EQ(mode_with(acl_with(kWithUser, mode), mode), mode);
}

TEST(Acl, WhatIsNewHasNoMoreThanWasAskedFor) {
  const InheritedAcl file = inherit({{kOwner, 7}, {kUser, 7, 1}, {kGroup, 5}, {kMask, 7}, {kOther, 5}}, 0640);
  EXPECT_EQ(file.mode, 0640u);
  EXPECT_EQ(file.access, (Acl{{kOwner, 6}, {kUser, 7, 1}, {kGroup, 5}, {kMask, 4}, {kOther, 0}}));
  const InheritedAcl plain = inherit({{kOwner, 7}, {kGroup, 5}, {kOther, 5}}, 02666);
  EXPECT_EQ(plain.mode, 02644u);
  EXPECT_FALSE(plain.access);
}

}  // namespace
}  // namespace cenote::posix
