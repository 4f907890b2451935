#include "directory_places.h"

#include <fmt/format.h>
#include <gtest/gtest.h>

namespace cenote::fuse {
namespace {

TEST(DirectoryPlaces, APlaceMeansWhatIsBehindItsName) {
  DirectoryPlaces places;
  EXPECT_EQ(places.place(0, "a"), 1u);
  EXPECT_EQ(places.place(1, "b"), 2u);
  EXPECT_EQ(places.place(2, "c"), 3u);
  EXPECT_EQ(places.behind(0).after, "");
  EXPECT_EQ(places.behind(1).after, "a");
  EXPECT_EQ(places.behind(3).after, "c");
}

TEST(DirectoryPlaces, ListingAgainGivesTheSamePlacesWhereNothingChanged) {
  DirectoryPlaces places;
  for (std::uint64_t i = 0; i < 5; ++i) places.place(i, std::string(1, static_cast<char>('b' + i)));
  EXPECT_EQ(places.place(0, "b"), 1u);
  EXPECT_EQ(places.place(1, "c"), 2u);
}

TEST(DirectoryPlaces, NewEntriesGetNewPlacesAndOldOnesKeepTheirMeaning) {
  DirectoryPlaces places;
  for (std::uint64_t i = 0; i < 3; ++i) places.place(i, std::string(1, static_cast<char>('b' + i)));
  EXPECT_EQ(places.place(0, "a"), 4u);
  EXPECT_EQ(places.place(4, "b"), 5u);
  EXPECT_EQ(places.behind(1).after, "b");
  EXPECT_EQ(places.behind(4).after, "a");
  EXPECT_EQ(places.behind(5).after, "b");
}

TEST(DirectoryPlaces, OldPlacesAreFoundByCounting) {
  DirectoryPlaces places;
  const std::uint64_t count = DirectoryPlaces::kRecent + 5000;
  for (std::uint64_t i = 0; i < count; ++i) ASSERT_EQ(places.place(i, fmt::format("{:08}", i + 1)), i + 1);
  EXPECT_EQ(places.behind(10).after, "");
  EXPECT_EQ(places.behind(10).skip, 10u);
  EXPECT_EQ(places.behind(2050).after, "00002048");
  EXPECT_EQ(places.behind(2050).skip, 2u);
  EXPECT_EQ(places.behind(5001).after, "00005001");
  EXPECT_EQ(places.behind(5001).skip, 0u);
  EXPECT_EQ(places.behind(count).after, fmt::format("{:08}", count));
  // Beyond the last: as if it were the last.
  EXPECT_EQ(places.behind(count + 7).after, fmt::format("{:08}", count));
}

}  // namespace
}  // namespace cenote::fuse
