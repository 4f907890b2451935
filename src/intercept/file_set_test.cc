#include "file_set.h"

#include <gtest/gtest.h>

namespace cenote::intercept {
namespace {

TEST(FileSet, HoldsWhatWasInserted) {
  FileSet set;
  EXPECT_FALSE(set.contains({1, 2}));
  set.insert({1, 2});
  set.insert({1, 3});
  set.insert({1, 2});
  EXPECT_TRUE(set.contains({1, 2}));
  EXPECT_FALSE(set.contains({2, 2}));
  set.erase({1, 2});
  set.erase({7, 7});
  EXPECT_FALSE(set.contains({1, 2}));
  EXPECT_TRUE(set.contains({1, 3}));
}

TEST(FileSet, HoldsAllWhenThereWereTooMany) {
  FileSet set;
  for (ino_t number = 0; number < FileSet::kRoom; ++number) set.insert({1, number});
  EXPECT_FALSE(set.contains({1, FileSet::kRoom}));
  set.insert({1, FileSet::kRoom});
  EXPECT_TRUE(set.contains({1, FileSet::kRoom}));
  set.erase({1, 0});
  EXPECT_TRUE(set.contains({1, 0}));
}

}  // namespace
}  // namespace cenote::intercept
