#include "output.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace cenote::cli {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

TEST(Table, AlignsColumnsToTheirWidestCell) {
  EXPECT_THAT(table_lines({"POOL", "SIZE"}, {{"a", "1.00 GiB"}, {"longer-name", "2 B"}}),
              ElementsAre("POOL         SIZE", "a            1.00 GiB", "longer-name  2 B"));
}

TEST(Table, IsItsHeaderWithoutRows) { EXPECT_THAT(table_lines({"POOL", "SIZE"}, {}), ElementsAre("POOL  SIZE")); }

TEST(Output, PrintsForPeopleOrForProgramsNeverBoth) {
  Output out;
  testing::internal::CaptureStdout();
  out.line("made it");
  out.document({{"made", true}});
  EXPECT_EQ(testing::internal::GetCapturedStdout(), "made it\n");
  out.set_json(true);
  testing::internal::CaptureStdout();
  out.line("made it");
  out.table({"A"}, {{"1"}});
  out.document({{"made", true}});
  EXPECT_EQ(testing::internal::GetCapturedStdout(), "{\n  \"made\": true\n}\n");
}

TEST(Output, PrintsAnErrorAsOneLineOnStandardError) {
  const Output out;
  testing::internal::CaptureStderr();
  out.error(Error(Code::kPoolNotFound, "no pool named 'scratch': see 'cenote pool list'"));
  EXPECT_EQ(testing::internal::GetCapturedStderr(), "cenote: no pool named 'scratch': see 'cenote pool list'\n");
}

TEST(Output, NamesTheCodeOfAnErrorWithoutWords) {
  const Output out;
  testing::internal::CaptureStderr();
  out.error(Error(Code::kFenced));
  EXPECT_EQ(testing::internal::GetCapturedStderr(), "cenote: fenced\n");
}

TEST(Output, GivesProgramsCodeNumberAndMessageOfAnError) {
  Output out;
  out.set_json(true);
  testing::internal::CaptureStderr();
  out.error(Error(Code::kPoolNotFound, "no pool named 'scratch'"));
  const Json json = Json::parse(testing::internal::GetCapturedStderr());
  EXPECT_EQ(json["error"]["code"], "pool_not_found");
  EXPECT_EQ(json["error"]["number"], 602);
  EXPECT_EQ(json["error"]["message"], "no pool named 'scratch'");
}

TEST(PutValue, LosesNothing) {
  Json text, binary, two, one;
  put_value(text, "h\xc3\xa9llo");
  EXPECT_EQ(text, (Json{{"value", "h\xc3\xa9llo"}}));
  put_value(binary, "\xff");
  EXPECT_EQ(binary, (Json{{"value_base64", "/w=="}}));
  put_value(two, std::string_view("\xff\x00", 2));
  EXPECT_EQ(two["value_base64"], "/wA=");
  put_value(one, std::string_view("\xff\x00\x10", 3));
  EXPECT_EQ(one["value_base64"], "/wAQ");
}

TEST(Output, ReplacesBytesThatAreNoText) { EXPECT_THAT(dump(Json("a\xff")), HasSubstr("\xef\xbf\xbd")); }

}  // namespace
}  // namespace cenote::cli
