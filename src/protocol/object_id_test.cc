#include "cenote/protocol/object_id.h"

#include <gtest/gtest.h>

namespace cenote {
namespace {

TEST(ObjectId, PartsComeBack) {
  constexpr ObjectId id = ObjectId::make(ObjectClass::kSX, KeyFlavour::kUint64, KeyFlavour::kLexical, 0xdeadbeef, 42);
  static_assert(id.object_class() == ObjectClass::kSX);
  static_assert(id.dkey_flavour() == KeyFlavour::kUint64);
  static_assert(id.akey_flavour() == KeyFlavour::kLexical);
  EXPECT_TRUE(id.validate().has_value());
  EXPECT_EQ(id.to_string(), "00022100deadbeef.000000000000002a");
}

TEST(ObjectId, ParseIsTheInverse) {
  const ObjectId id = ObjectId::make(ObjectClass::kS1, KeyFlavour::kHashed, KeyFlavour::kUint64, 1, UINT64_MAX);
  EXPECT_EQ(*ObjectId::parse(id.to_string()), id);
  for (std::string_view wrong : {"", ".", "00022100deadbeef000000000000002a.", "00022100DEADBEEF.000000000000002a",
                                 "00022100deadbeef.00000000000002a", "00022100deadbeef.000000000000002ag",
                                 "+0022100deadbeef.000000000000002a", "-0022100deadbeef.000000000000002a"})
    EXPECT_FALSE(ObjectId::parse(wrong).has_value()) << wrong;
}

TEST(ObjectId, UnknownPartsAreRefused) {
  EXPECT_FALSE(ObjectId(0, 1).validate().has_value());                         // class 0
  EXPECT_FALSE(ObjectId(std::uint64_t{9} << 48, 1).validate().has_value());    // class 9
  EXPECT_FALSE(ObjectId(1ull << 48 | 3ull << 44, 1).validate().has_value());   // dkey flavour
  EXPECT_FALSE(ObjectId(1ull << 48 | 15ull << 40, 1).validate().has_value());  // akey flavour
  EXPECT_FALSE(ObjectId(1ull << 48 | 1ull << 32, 1).validate().has_value());   // reserved
  EXPECT_TRUE(ObjectId(1ull << 48 | 0xffffffff, 1).validate().has_value());
}

}  // namespace
}  // namespace cenote
