#include "store_listing.h"

#include <gtest/gtest.h>

#include "cenote/base/bytes.h"

namespace cenote::cli {
namespace {

TEST(KeyArgument, IsTextOrDigitsOrAnObject) {
  EXPECT_EQ(to_hex(*parse_key_argument("key-1", false)), "6b65792d31");
  EXPECT_EQ(to_hex(*parse_key_argument("0x00fF7a", false)), "00ff7a");
  EXPECT_EQ(to_hex(*parse_key_argument("0002210000000001.0000000000000002", true)), "00022100000000010000000000000002");
  EXPECT_TRUE(parse_key_argument("", true)->empty());
}

TEST(KeyArgument, NamesWhatIsWrong) {
  EXPECT_EQ(parse_key_argument("0x123", false).error(), Code::kInvalidArgument);
  EXPECT_EQ(parse_key_argument("0x12g4", false).error(), Code::kInvalidArgument);
  EXPECT_EQ(parse_key_argument("key-1", true).error(), Code::kInvalidArgument);
}

TEST(FreeRuns, AreShownByLength) {
  std::array<std::uint64_t, 9> runs{};
  EXPECT_EQ(runs_text(runs), "none");
  runs[0] = 12;
  runs[2] = 3;
  runs[8] = 40;
  EXPECT_EQ(runs_text(runs), "1: 12, 4-7: 3, 256: 40 (blocks: how many)");
}

}  // namespace
}  // namespace cenote::cli
