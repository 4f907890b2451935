#include "control_records.h"

#include <gtest/gtest.h>

namespace cenote::engine {
namespace {

const Uuid kId = Uuid::from_random(1, 2);

TEST(ControlRecords, SurviveTheirText) {
  const PoolRecord pool{
      .id = kId, .label = "p", .size_bytes = UINT64_MAX, .containers = UINT32_MAX, .destroying = true};
  EXPECT_EQ(decode_pool(kId, encode(pool)), pool);
  for (const auto state :
       {ContainerRecord::State::kCreating, ContainerRecord::State::kReady, ContainerRecord::State::kDestroying}) {
    const ContainerRecord container{.id = kId, .pool = kId, .label = "c", .type = "kv", .state = state};
    EXPECT_EQ(decode_container(kId, encode(container)), container);
  }
  EXPECT_EQ(decode_number("promised", "18446744073709551615"), UINT64_MAX);
  EXPECT_EQ(id_of_key(member_key(Uuid::from_random(3, 4), kId)), kId);
}

TEST(ControlRecords, DamageNamesTheRecord) {
  for (const char* text :
       {"", "{", "[]", R"({"label":"p"})", R"({"label":"p","size":1,"containers":4294967296,"destroying":0})",
        R"({"label":"p","size":1,"containers":1,"destroying":2})",
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
  for (const char* text : {"", "x", "-1", "1 ", "18446744073709551616"}) {
    EXPECT_FALSE(decode_number("promised", text).has_value()) << text;
  }
  EXPECT_FALSE(id_of_key("pool/none").has_value());
}

}  // namespace
}  // namespace cenote::engine
