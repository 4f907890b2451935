#include "cenote/protocol/object_class.h"

#include <gtest/gtest.h>

#include <set>

namespace cenote {
namespace {

TEST(ObjectClass, NumbersAndNamesAreThoseOfThePage) {
  const std::pair<std::uint16_t, const char*> known[] = {
      {0x0001, "S1"},       {0x0002, "SX"},       {0x0003, "S2"},       {0x0004, "S4"},
      {0x0011, "S32768"},   {0x0201, "RP_2G1"},   {0x0302, "RP_3GX"},   {0x0605, "RP_6G8"},
      {0x9101, "EC_2P1G1"}, {0xa201, "EC_4P2G1"}, {0xb202, "EC_8P2GX"}, {0xc303, "EC_16P3G2"}};
  for (const auto& [number, name] : known) {
    const auto object_class = static_cast<ObjectClass>(number);
    EXPECT_EQ(class_name(object_class), name);
    const auto parsed = parse_class(name);
    ASSERT_TRUE(parsed.has_value()) << name;
    EXPECT_EQ(static_cast<std::uint16_t>(*parsed), number);
  }
}

TEST(ObjectClass, EveryNumberIsAClassWithOneNameOrNone) {
  std::set<std::string> names;
  for (std::uint32_t number = 0; number <= 0xffff; ++number) {
    const auto object_class = static_cast<ObjectClass>(number);
    const auto parts = class_parts(object_class);
    if (!parts) continue;
    EXPECT_LE(parts->group_size(), kMaxGroupSize);
    EXPECT_EQ(*make_class(*parts), object_class);
    EXPECT_EQ(*parse_class(class_name(object_class)), object_class);
    EXPECT_TRUE(names.insert(class_name(object_class)).second) << number;
  }
  // None, five replicated, four widths with three parities; each with 17 numbers of groups.
  EXPECT_EQ(names.size(), (1 + 5 + 12) * 17u);
}

TEST(ObjectClass, OtherNamesAreRefused) {
  for (const char* wrong : {"",         "S",
                            "S0",       "S3",
                            "S01",      "s1",
                            "SX ",      "S65536",
                            "RP_1G1",   "RP_7G1",
                            "RP_3",     "RP_3G",
                            "RP_G1",    "RP_03G1",
                            "EC_3P1G1", "EC_8P4G1",
                            "EC_8P0G1", "EC_32P1G1",
                            "EC_8P2",   "EC_8P2G-1",
                            "X",        "RP_4294967297G1",
                            "class 9"})
    EXPECT_EQ(parse_class(wrong).error().code(), Code::kInvalidArgument) << wrong;
  EXPECT_EQ(class_name(static_cast<ObjectClass>(0)), "class 0");
}

TEST(ObjectClass, TheChoiceFollowsTheHints) {
  using Size = ClassHints::Size;
  using Sharing = ClassHints::Sharing;
  struct Case {
    ClassHints hints;
    std::uint32_t factor;
    const char* chosen;
  };
  const Case cases[] = {
      {{}, 0, "SX"},
      {{.size = Size::kSmall}, 0, "S1"},
      {{.size = Size::kSmall, .domains = 3}, 2, "RP_3G1"},
      {{.size = Size::kMedium, .domains = 3}, 1, "RP_2G8"},
      {{.size = Size::kMedium, .sharing = Sharing::kManyClients, .domains = 3}, 1, "RP_2GX"},
      {{.size = Size::kLarge, .domains = 20}, 2, "RP_3GX"},
      {{.size = Size::kLarge, .erasure_code = true, .domains = 20}, 2, "EC_16P2GX"},
      {{.size = Size::kLarge, .erasure_code = true, .domains = 10}, 2, "EC_8P2GX"},
      {{.size = Size::kLarge, .erasure_code = true, .domains = 3}, 2, "RP_3GX"},
      {{.size = Size::kLarge, .erasure_code = true, .domains = 8}, 5, "RP_6GX"},
      {{.size = Size::kSmall, .erasure_code = true, .domains = 20}, 2, "RP_3G1"},
  };
  for (const Case& c : cases) EXPECT_EQ(class_name(*choose_class(c.hints, c.factor)), c.chosen);
  EXPECT_FALSE(choose_class({.domains = 9}, 6).has_value());
  EXPECT_FALSE(choose_class({.domains = 2}, 2).has_value());
}

TEST(ObjectClass, RedundancyIsAddedWhereItLacks) {
  struct Case {
    const char* plain;
    std::uint32_t redundancy;
    const char* chosen;
  };
  for (const Case& c : {Case{"S1", 0, "S1"},
                        {"SX", 0, "SX"},
                        {"RP_2GX", 0, "RP_2GX"},
                        {"S1", 1, "RP_2G1"},
                        {"SX", 2, "RP_3GX"},
                        {"S8", 5, "RP_6G8"},
                        {"RP_2G1", 2, "RP_3G1"},
                        {"RP_4G1", 2, "RP_4G1"},
                        {"EC_4P2GX", 2, "EC_4P2GX"},
                        {"EC_4P1G2", 2, "RP_3G2"}})
    EXPECT_EQ(class_name(with_redundancy(*parse_class(c.plain), c.redundancy)), c.chosen) << c.plain;
}

// Ids of the others may be around before the engines serve them; until then requests that name them are refused.
TEST(ObjectClass, OneTargetAllTargetsAndReplicasAreKnown) {
  const auto outcome = [](const char* name) {
    const ObjectId id = ObjectId::make(*parse_class(name), KeyFlavour::kLexical, KeyFlavour::kLexical, 0, 1);
    const auto valid = id.validate();
    return valid ? Code::kOk : valid.error().code();
  };
  for (const char* name : {"S1", "SX", "RP_2G1", "RP_6G8", "RP_3GX"}) EXPECT_EQ(outcome(name), Code::kOk) << name;
  for (const char* name : {"S2", "EC_8P2GX"}) EXPECT_EQ(outcome(name), Code::kInvalidArgument) << name;
}

}  // namespace
}  // namespace cenote
