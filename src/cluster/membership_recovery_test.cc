#include "cenote/cluster/membership_recovery.h"

#include <gtest/gtest.h>

#include "map_examples.h"
#include "membership_format.h"

namespace cenote::cluster {
namespace {

using map_examples::engine;
using map_examples::id;

class MembershipRecoveryTest : public testing::Test {
 protected:
  MembershipRecoveryTest() {
    for (std::uint32_t rank = 0; rank < 3; ++rank) {
      values_[place_key(Rank(rank))] = encode(PlaceRecord{.engine = id(rank), .first_target = 2 * rank, .targets = 2});
      values_[engine_key(Rank(rank))] =
          encode(EngineRecord{.incarnation = Incarnation(5 + rank), .engine = id(rank), .process = id(70 + rank)});
    }
    values_["pool/elsewhere"] = "{}";
    put_map();
  }
  void put_map() {
    for (auto& [key, value] : values_of_map(map_, 1).value()) values_[key] = value;
    values_[active_key(map_.pool())] = encode(ActiveRecord{.version = map_.version(), .closed = Epoch(9)});
  }
  std::vector<KeyValue> entries() const {
    std::vector<KeyValue> all;
    for (const auto& [key, value] : values_) all.push_back({key, value, Revision(1)});
    return all;
  }

  PoolMap map_ = map_examples::map_of({engine("a/0", 0, 2), engine("b/1", 1, 2)});
  std::map<std::string, std::string> values_;
};

TEST_F(MembershipRecoveryTest, ItSaysWhoHasAPart) {
  ASSERT_TRUE(map_.apply(MapOperation::kExclude, map_.below("b").value()).has_value());
  put_map();
  const auto engines = engines_of_copy(entries());
  ASSERT_TRUE(engines.has_value()) << engines.error().to_string();
  ASSERT_EQ(engines->size(), 3U);
  EXPECT_EQ((*engines)[1].place, (EnginePlace{.rank = Rank(1), .engine = id(1), .first_target = 2, .targets = 2}));
  EXPECT_EQ((*engines)[0].pools, 1U);
  EXPECT_EQ((*engines)[1].pools, 0U) << "it was excluded";
  EXPECT_EQ((*engines)[2].pools, 0U);
}

TEST_F(MembershipRecoveryTest, NumbersGoUpAndNothingElseChanges) {
  auto raised = entries();
  ASSERT_TRUE(raise_membership(raised).has_value());
  ASSERT_EQ(raised.size(), values_.size());
  std::vector<KeyValue> of_pool;
  for (const KeyValue& entry : raised) {
    if (entry.key.starts_with(pool_prefix(map_.pool()))) {
      of_pool.push_back(entry);
    } else if (entry.key.starts_with(kEnginePrefix)) {
      auto record = decode_engine(entry.value).value();
      EXPECT_GT(record.incarnation.value(), kRecoveryStep);
      record.incarnation = Incarnation(record.incarnation.value() - kRecoveryStep);
      EXPECT_EQ(encode(record), values_[entry.key]);
    } else {
      EXPECT_EQ(entry.value, values_[entry.key]) << entry.key;
    }
  }
  const auto stored = stored_map_of(map_.pool(), of_pool);
  ASSERT_TRUE(stored.has_value()) << stored.error().to_string();
  stored->map.check_invariants();
  EXPECT_EQ(stored->active, map_.version()) << "engines switch to it first";
  EXPECT_EQ(stored->closed, Epoch(9));
  EXPECT_EQ(stored->redundancy, 1U);
  PoolMap expected = map_;
  expected.skip_versions(kRecoveryStep);
  EXPECT_EQ(stored->map, expected);
  EXPECT_EQ(expected.version().value(), map_.version().value() + kRecoveryStep);
  EXPECT_EQ(expected.targets().size(), map_.targets().size());
  EXPECT_FALSE(expected.is_moving());
}

TEST_F(MembershipRecoveryTest, ACopyThatContradictsItselfIsRefused) {
  values_[head_key(map_.pool())] = encode(HeadRecord{.version = MapVersion(7), .bytes = 300, .redundancy = 1});
  auto broken = entries();
  EXPECT_EQ(engines_of_copy(broken).error().code(), Code::kMalformed);
  EXPECT_EQ(raise_membership(broken).error().code(), Code::kMalformed);
}

}  // namespace
}  // namespace cenote::cluster
