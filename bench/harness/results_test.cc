#include "harness/results.h"

#include <gtest/gtest.h>

namespace cenote::bench {
namespace {

RowResult sample() {
  RowResult row;
  row.name = "store/put";
  row.unit = "puts/s";
  row.medium = "memory";
  row.reference_name = "rocksdb";
  row.cenote = {.median = 200'000, .low = 190'000, .high = 210'000};
  row.reference = Summary{.median = 100'000, .low = 90'000, .high = 110'000};
  row.ratio = Summary{.median = 1.9, .low = 1.8, .high = 2.1};
  row.goal = Goal::at_least(2);
  row.rounds = 5;
  row.details = {{"cenote.p99_us", 12.5}};
  return row;
}

TEST(Goal, BoundsBothWays) {
  EXPECT_TRUE(Goal::at_least(2).met_by(2));
  EXPECT_FALSE(Goal::at_least(2).met_by(1.99));
  EXPECT_TRUE(Goal::at_most(4).met_by(4));
  EXPECT_FALSE(Goal::at_most(4).met_by(4.01));
  EXPECT_EQ(Goal::at_least(0.65).to_string(), ">= 0.65");
  EXPECT_EQ(Goal::none().to_string(), "");
}

TEST(Results, TheMedianOfRatiosIsJudgedNotTheRatioOfMedians) {
  RowResult row = sample();
  EXPECT_EQ(row.pass(), false);
  row.goal = Goal::at_least(1.9);
  EXPECT_EQ(row.pass(), true);
}

TEST(Results, WithoutReferenceTheValueIsJudged) {
  RowResult row = sample();
  row.reference.reset();
  row.ratio.reset();
  row.goal = Goal::at_most(200'000);
  EXPECT_EQ(row.pass(), true);
  row.goal = Goal::none();
  EXPECT_EQ(row.pass(), std::nullopt);
}

TEST(Results, AFailureNeverPasses) {
  RowResult row = sample();
  row.goal = Goal::at_least(0);
  row.failure = "it broke";
  EXPECT_EQ(row.pass(), false);
  EXPECT_NE(to_table({row}, false).find("it broke"), std::string::npos);
}

TEST(Results, JsonHasThePromisedFieldsAndComesBack) {
  const nlohmann::json object = to_json(sample());
  for (const char* field : {"name", "unit", "cenote", "reference", "ratio", "goal", "pass"}) {
    EXPECT_TRUE(object.contains(field)) << field;
  }
  EXPECT_EQ(object.at("pass"), false);
  EXPECT_EQ(to_json(row_from_json(object)), object);
}

TEST(Results, AbsentNumbersAreNull) {
  RowResult row = sample();
  row.reference.reset();
  row.ratio.reset();
  row.goal = Goal::none();
  const nlohmann::json object = to_json(row);
  EXPECT_TRUE(object.at("reference").is_null());
  EXPECT_TRUE(object.at("ratio").is_null());
  EXPECT_TRUE(object.at("pass").is_null());
  EXPECT_EQ(to_json(row_from_json(object)), object);
}

TEST(Results, ColumnsAreAlignedAlthoughCellsHoldNonAscii) {
  const std::string table = to_table({sample(), sample()}, false);
  const std::size_t first = table.find("rocksdb");
  const std::size_t second = table.find("rocksdb", first + 1);
  EXPECT_EQ(first - table.rfind('\n', first), second - table.rfind('\n', second));
  EXPECT_NE(table.find("MISS"), std::string::npos);
}

}  // namespace
}  // namespace cenote::bench
