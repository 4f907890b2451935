#include "lease_table.h"

#include <gtest/gtest.h>

namespace cenote::cluster {
namespace {

using namespace std::chrono_literals;

constexpr Instant kStart = Instant(1h);
constexpr LeaseId kOne{1}, kTwo{2};

TEST(LeaseTable, ALeaseLivesForItsTimeAfterTheLastRenewal) {
  LeaseTable table;
  ASSERT_TRUE(table.grant(kOne, 5s, kStart));
  EXPECT_EQ(table.next_end(), kStart + 5s);
  EXPECT_EQ(table.renew(kOne, kStart + 4s), 5s);
  EXPECT_TRUE(table.check(kOne, kStart + 9s - 1ns));
  EXPECT_EQ(table.ending(kStart + 9s - 1ns), kNoLease);
  EXPECT_EQ(table.check(kOne, kStart + 9s).error().code(), Code::kLeaseExpired);
  EXPECT_EQ(table.renew(kOne, kStart + 9s).error().code(), Code::kLeaseExpired);
  EXPECT_EQ(table.ending(kStart + 9s), kOne);
}

TEST(LeaseTable, ARevokedLeaseIsOfNoUseButStaysUntilItsKeysAreGone) {
  LeaseTable table;
  ASSERT_TRUE(table.grant(kOne, 5s, kStart));
  table.attach("a", kOne);
  EXPECT_TRUE(table.end(kOne));
  EXPECT_FALSE(table.end(kTwo));
  EXPECT_EQ(table.renew(kOne, kStart).error().code(), Code::kLeaseExpired);
  EXPECT_EQ(table.next_end(), kNoDeadline);
  EXPECT_EQ(table.ending(kStart), kOne);
  EXPECT_EQ(table.holder("a"), kOne);
  table.attach("a", kNoLease);
  table.drop(kOne);
  EXPECT_EQ(table.ending(kStart), kNoLease);
  table.check_invariants();
}

TEST(LeaseTable, AKeyBelongsToTheLastLeaseItWasGiven) {
  LeaseTable table;
  ASSERT_TRUE(table.grant(kOne, 5s, kStart));
  ASSERT_TRUE(table.grant(kTwo, 5s, kStart));
  for (const char* key : {"a", "b", "c"}) table.attach(key, kOne);
  table.attach("b", kTwo);
  table.attach("c", kNoLease);
  EXPECT_EQ(table.keys(kOne, 10), std::vector<std::string>{"a"});
  EXPECT_EQ(table.holder("b"), kTwo);
  EXPECT_EQ(table.holder("c"), kNoLease);
  EXPECT_EQ(table.keys(kTwo, 0).size(), 0u);
  table.check_invariants();
}

TEST(LeaseTable, HasABound) {
  LeaseTable table;
  for (std::uint64_t id = 1; id <= LeaseTable::kMaxLeases; ++id) ASSERT_TRUE(table.grant(LeaseId(id), 1s, kStart));
  EXPECT_EQ(table.grant(LeaseId(9999), 1s, kStart).error().code(), Code::kResourceExhausted);
  table.drop(kOne);
  EXPECT_EQ(table.grant(kTwo, 1s, kStart).error().code(), Code::kExists);
  EXPECT_TRUE(table.grant(kOne, 1s, kStart));
}

}  // namespace
}  // namespace cenote::cluster
