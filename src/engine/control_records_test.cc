#include "control_records.h"

#include <gtest/gtest.h>

namespace cenote::engine {
namespace {

const Uuid kId = Uuid::from_random(1, 2);

TEST(ControlRecords, SurviveTheirText) {
  const PoolRecord pool{
      .id = kId, .label = "p", .size_bytes = UINT64_MAX, .containers = UINT32_MAX, .destroying = true};
  EXPECT_EQ(decode_pool(kId, encode(pool)), pool);
  EXPECT_EQ(encode(pool).find("redundancy"), std::string::npos) << "as builds without it wrote them";
  const PoolRecord precious{.id = kId, .label = "p", .size_bytes = 1, .redundancy = 5};
  EXPECT_EQ(decode_pool(kId, encode(precious)), precious);
  for (const auto state :
       {ContainerRecord::State::kCreating, ContainerRecord::State::kReady, ContainerRecord::State::kDestroying}) {
    const ContainerRecord container{.id = kId, .pool = kId, .label = "c", .type = "kv", .state = state};
    EXPECT_EQ(decode_container(kId, encode(container)), container);
  }
  for (const auto state :
       {SnapshotRecord::State::kCreating, SnapshotRecord::State::kReady, SnapshotRecord::State::kDestroying}) {
    const SnapshotRecord snapshot{
        .container = kId, .name = "s:1", .id = Uuid::from_random(5, 6), .epoch = Epoch(UINT64_MAX), .state = state};
    EXPECT_EQ(decode_snapshot(snapshot_key(kId, "s:1"), encode(snapshot)), snapshot);
  }
  const SystemIdentity system{kId, "cenote"};
  EXPECT_EQ(decode_system(encode(system)), system);
  EXPECT_EQ(decode_number("promised", "18446744073709551615"), UINT64_MAX);
  EXPECT_EQ(id_of_key(member_key(Uuid::from_random(3, 4), kId)), kId);
}

TEST(ControlRecords, ASystemOfALaterVersionIsNotTakenForDamage) {
  EXPECT_EQ(decode_system("{}").error(), Code::kCorrupt);
  EXPECT_EQ(decode_system(R"({"oldest_reader":1,"id":"x","name":"y"})").error(), Code::kCorrupt);
  EXPECT_EQ(decode_system(R"({"oldest_reader":2,"something":"else"})").error(), Code::kNewerFormat);
}

TEST(ControlRecords, DamageNamesTheRecord) {
  for (const char* text :
       {"", "{", "[]", R"({"label":"p"})", R"({"label":"p","size":1,"containers":4294967296,"destroying":0})",
        R"({"label":"p","size":1,"containers":1,"destroying":2})",
        R"({"label":"p","size":1,"containers":1,"destroying":0,"redundancy":6})",
        R"({"label":"p","size":-1,"containers":1,"destroying":0})"}) {
    const auto pool = decode_pool(kId, text);
    ASSERT_FALSE(pool.has_value()) << text;
    EXPECT_EQ(pool.error(), Code::kCorrupt) << text;
    EXPECT_NE(pool.error().message().find(kId.to_string()), std::string::npos) << pool.error().message();
  }
  const auto container = decode_container(
      kId, R"({"pool":"11111111-1111-4111-8111-111111111111","label":"c","type":"kv","state":"gone"})");
  ASSERT_FALSE(container.has_value());
  EXPECT_NE(container.error().message().find("gone"), std::string::npos) << container.error().message();
  const std::string snapshot = R"({"id":"11111111-1111-4111-8111-111111111111","epoch":5,"state":"ready"})";
  EXPECT_TRUE(decode_snapshot(snapshot_key(kId, "s"), snapshot));
  for (const char* key :
       {"", "snapshot/", "snapshot/x", "snapshot/x/y", "container/11111111-1111-4111-8111-111111111111/s"})
    EXPECT_EQ(decode_snapshot(key, snapshot).error(), Code::kCorrupt) << key;
  for (const char* text : {"", "{}", R"({"id":"x","epoch":5,"state":"ready"})",
                           R"({"id":"11111111-1111-4111-8111-111111111111","epoch":-5,"state":"ready"})",
                           R"({"id":"11111111-1111-4111-8111-111111111111","epoch":5,"state":"gone"})"}) {
    const auto damaged = decode_snapshot(snapshot_key(kId, "s"), text);
    ASSERT_FALSE(damaged) << text;
    EXPECT_NE(damaged.error().message().find(kId.to_string()), std::string::npos) << damaged.error().message();
  }
  for (const char* text : {"", "x", "-1", "1 ", "18446744073709551616"}) {
    EXPECT_FALSE(decode_number("promised", text).has_value()) << text;
  }
  EXPECT_FALSE(id_of_key("pool/none").has_value());
}

}  // namespace
}  // namespace cenote::engine
