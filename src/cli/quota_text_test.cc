#include "quota_text.h"

#include <gtest/gtest.h>

namespace cenote::cli {
namespace {

std::string value_of(std::string_view text) {
  const auto property = parse_property(text);
  return property ? property->second : property.error().message();
}

TEST(QuotaText, SizesAndCountsBecomeNumbers) {
  EXPECT_EQ(value_of("quota=10GiB"), "10737418240");
  EXPECT_EQ(value_of("quota-soft=none"), "none");
  EXPECT_EQ(value_of("quota-objects=5000"), "5000");
  EXPECT_EQ(value_of("quota-objects=200k"), "200000");
  EXPECT_EQ(value_of("quota-objects-soft=2M"), "2000000");
  EXPECT_EQ(value_of("user.quota=10GiB"), "10GiB") << "a text of the user's own";
}

TEST(QuotaText, RefusesWhatIsNoNumber) {
  for (const char* text : {"quota-objects=", "quota-objects=-1", "quota-objects=1.5", "quota-objects=2GiB",
                           "quota-objects=18446744073709551615k", "quota-objects=many"}) {
    const auto property = parse_property(text);
    ASSERT_FALSE(property) << text;
    EXPECT_NE(property.error().message().find("200k"), std::string::npos) << property.error().message();
  }
  EXPECT_FALSE(parse_property("quota"));
  EXPECT_FALSE(parse_property("=5"));
}

TEST(QuotaText, ShowsWhatIsUsedOfWhat) {
  EXPECT_EQ(used_objects_text(7, {}), "7");
  EXPECT_EQ(used_objects_text(7, {{"quota-objects", "none"}}), "7");
  EXPECT_EQ(used_objects_text(7, {{"quota-objects", "100"}, {"quota-objects-soft", "7"}}), "7 of 100");
  EXPECT_EQ(used_objects_text(8, {{"quota-objects", "100"}, {"quota-objects-soft", "7"}}), "8 of 100 (over 7)");
  EXPECT_EQ(used_bytes_text(1u << 20, {{"quota", "2097152"}, {"quota-soft", "1024"}}),
            "1.00 MiB of 2.00 MiB (over 1.00 KiB)");
}

}  // namespace
}  // namespace cenote::cli
