#include "dkey_model.h"

#include <gtest/gtest.h>

namespace cenote::sim {
namespace {

using Kind = DkeyOperation::Kind;

TEST(DkeyModel, AnUpdateTakesEffectAsAWhole) {
  DkeyOperation update{.kind = Kind::kUpdate, .single = true, .array = true, .first = 1, .count = 2, .number = 7};
  const auto after = DkeyModel::step({}, update);
  ASSERT_TRUE(after);
  EXPECT_EQ(after->single, 7u);
  EXPECT_TRUE(after->array);
  EXPECT_EQ(after->cells, (std::array<std::uint64_t, kCells>{0, 7, 7, 0, 0, 0, 0, 0}));
}

TEST(DkeyModel, ConditionsMustAgreeWithTheAnswer) {
  DkeyOperation insert{.kind = Kind::kUpdate, .single_condition = Precondition::kAbsent, .single = true, .number = 7};
  DkeyOperation refused = insert;
  refused.condition_failed = true;
  const DkeyState there{.single = 1};
  EXPECT_TRUE(DkeyModel::step({}, insert));
  EXPECT_FALSE(DkeyModel::step({}, refused));
  EXPECT_FALSE(DkeyModel::step(there, insert));
  ASSERT_TRUE(DkeyModel::step(there, refused));
  EXPECT_EQ(*DkeyModel::step(there, refused), there);
}

TEST(DkeyModel, AFetchMustHaveSeenTheState) {
  const DkeyState state{.single = 3, .array = true, .cells = {1, 2, 0, 0, 0, 0, 0, 9}};
  DkeyOperation fetch{.kind = Kind::kFetch, .single = true, .array = true, .first = 0, .count = 2};
  fetch.seen = {.single = 3, .array = true, .cells = {1, 2}};
  EXPECT_TRUE(DkeyModel::step(state, fetch));
  fetch.seen.cells[1] = 1;
  EXPECT_FALSE(DkeyModel::step(state, fetch)) << "torn";
}

TEST(DkeyModel, Punches) {
  const DkeyState state{.single = 3, .array = true, .cells = {1, 2, 3}};
  EXPECT_EQ(*DkeyModel::step(state, {.kind = Kind::kPunchDkey}), DkeyState());
  EXPECT_EQ(DkeyModel::step(state, {.kind = Kind::kPunchSingle})->single, 0u);
  EXPECT_FALSE(DkeyModel::step(state, {.kind = Kind::kPunchArray})->array);
  const auto holed = DkeyModel::step(state, {.kind = Kind::kPunchCells, .first = 1, .count = 1});
  EXPECT_TRUE(holed->array);
  EXPECT_EQ(holed->cells[1], 0u);
  EXPECT_EQ(holed->cells[2], 3u);
}

TEST(Contents, NameTheirWriter) {
  const Bytes bytes = contents(42, 3, 100);
  EXPECT_EQ(number_in(bytes, 3), 42u);
  EXPECT_EQ(number_in(bytes, 4), std::nullopt) << "of another cell";
  Bytes torn = bytes;
  std::copy_n(contents(43, 3, 100).begin() + 50, 50, torn.begin() + 50);
  EXPECT_EQ(number_in(torn, 3), std::nullopt);
  EXPECT_EQ(number_in(Bytes(100), 3), 0u);
}

}  // namespace
}  // namespace cenote::sim
