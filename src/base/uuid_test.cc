#include "cenote/base/uuid.h"

#include <gtest/gtest.h>

#include <random>
#include <unordered_set>

namespace cenote {
namespace {

TEST(Uuid, RandomOnesAreVersionFour) {
  std::mt19937_64 random(1);
  for (int i = 0; i < 100; ++i) {
    const std::string text = Uuid::from_random(random(), random()).to_string();
    EXPECT_EQ(text[14], '4') << text;
    EXPECT_NE(std::string("89ab").find(text[19]), std::string::npos) << text;
  }
  EXPECT_EQ(Uuid::from_random(0, 0).to_string(), "00000000-0000-4000-8000-000000000000");
  EXPECT_EQ(Uuid::from_random(UINT64_MAX, UINT64_MAX).to_string(), "ffffffff-ffff-4fff-bfff-ffffffffffff");
}

TEST(Uuid, TextAndBytesRoundTrip) {
  std::mt19937_64 random(2);
  std::unordered_set<Uuid> seen;
  for (int i = 0; i < 100; ++i) {
    const Uuid id = Uuid::from_random(random(), random());
    EXPECT_EQ(Uuid::parse(id.to_string()), id);
    EXPECT_EQ(Uuid::from_bytes(id.bytes()), id);
    EXPECT_TRUE(seen.insert(id).second);
  }
}

TEST(Uuid, ParsesEitherCaseAndPrintsLower) {
  const auto id = Uuid::parse("0123ABCD-4567-4abc-8DEF-0123456789aB");
  ASSERT_TRUE(id.has_value());
  EXPECT_EQ(id->to_string(), "0123abcd-4567-4abc-8def-0123456789ab");
}

TEST(Uuid, RefusesEverythingElse) {
  const std::string good = "0123abcd-4567-4abc-8def-0123456789ab";
  for (std::size_t i = 0; i < good.size(); ++i) {
    std::string bad = good;
    bad[i] = 'g';
    EXPECT_FALSE(Uuid::parse(bad).has_value()) << bad;
    bad = good;
    bad[i] = '-';
    EXPECT_EQ(Uuid::parse(bad).has_value(), good[i] == '-') << bad;
    EXPECT_FALSE(Uuid::parse(good.substr(0, i)).has_value());
  }
  EXPECT_FALSE(Uuid::parse(good + "0").has_value());
  EXPECT_EQ(Uuid::parse("{x}").error(), Code::kInvalidArgument);
}

TEST(Uuid, NullMeansNone) {
  EXPECT_TRUE(Uuid().is_null());
  EXPECT_EQ(Uuid().to_string(), "00000000-0000-0000-0000-000000000000");
  EXPECT_FALSE(Uuid::from_random(0, 0).is_null());
  EXPECT_LT(Uuid(), Uuid::from_random(0, 0));
}

}  // namespace
}  // namespace cenote
