#include "progress.h"

#include <gtest/gtest.h>

namespace cenote::cli {
namespace {

using std::chrono::seconds;

TEST(ProgressLine, ShowsShareRateAndTimeLeft) {
  EXPECT_EQ(progress_line("copying", 1u << 20, 4u << 20, 7, seconds(2)),
            "copying: 7 files, 1.00 MiB of 4.00 MiB (25 %), 512.00 KiB/s, 6 s left");
}

TEST(ProgressLine, LeavesOutWhatAnUnknownTotalDoesNotTell) {
  EXPECT_EQ(progress_line("copying", 2048, 0, 1, seconds(1)), "copying: 1 files, 2.00 KiB, 2.00 KiB/s");
}

TEST(ProgressLine, NeverPassesTheWholeWhenFilesGrowMeanwhile) {
  EXPECT_EQ(progress_line("copying", 300, 200, 1, seconds(1)), "copying: 1 files, 300 B of 200 B (100 %), 300 B/s");
}

TEST(ProgressLine, HasNoRateAndNoTimeBeforeAnythingIsDone) {
  EXPECT_EQ(progress_line("copying", 0, 200, 0, Duration::zero()), "copying: 0 files, 0 B of 200 B (0 %), 0 B/s");
}

TEST(ProgressLine, CountsNothingBesideBytesWhereThereIsNothingToCount) {
  EXPECT_EQ(progress_line("checking", 1024, 2048, 0, seconds(1), ""),
            "checking: 1.00 KiB of 2.00 KiB (50 %), 1.00 KiB/s, 1 s left");
}

}  // namespace
}  // namespace cenote::cli
