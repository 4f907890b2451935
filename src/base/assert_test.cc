#include "cenote/base/assert.h"

#include <gtest/gtest.h>

#include <utility>

namespace {

TEST(AssertDeathTest, SaysWhatAndWhere) {
  const int answer = 42;
  ASSERT(answer == 42);
  ASSERT(std::pair<int, int>(1, 2).first == 1);  // commas need no extra parentheses
  EXPECT_DEATH(ASSERT(answer == 43), "assertion failed: answer == 43 .*assert_test.cc:[0-9]+");
}

TEST(Assert, EvaluatesOnce) {
  int calls = 0;
  ASSERT(++calls == 1);
  EXPECT_EQ(calls, 1);
}

}  // namespace
