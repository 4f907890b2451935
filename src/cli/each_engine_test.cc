#include "each_engine.h"

#include <gtest/gtest.h>

namespace cenote::cli {
namespace {

EngineInfo engine(std::uint32_t rank, const char* address) {
  return {.rank = rank, .id = {}, .addresses = {address}, .state = kEngineUp};
}

SystemInfo answer_of(const char* data_address) {
  SystemInfo info;
  info.data_address = data_address;
  return info;
}

TEST(EachEngine, KnowsWhoElseAnswers) {
  const std::vector<EngineInfo> engines{engine(0, "10.0.0.1:7777"), engine(1, "10.0.0.2:7777")};
  EXPECT_FALSE(is_of_another(answer_of("10.0.0.1:7777"), 0, engines));
  EXPECT_TRUE(is_of_another(answer_of("10.0.0.1:7777"), 1, engines));
  EXPECT_TRUE(is_of_another(answer_of("10.0.0.1:7777"), 7, engines));
  // Behind a translated address.
  EXPECT_FALSE(is_of_another(answer_of("0.0.0.0:7777"), 1, engines));
  // Two that both say so: on their machines they are right.
  const std::vector<EngineInfo> loopback{engine(0, "127.0.0.1:7777"), engine(1, "127.0.0.1:7777")};
  EXPECT_FALSE(is_of_another(answer_of("127.0.0.1:7777"), 1, loopback));
}

TEST(EachEngine, WhoIsGoneOrAwayHasAReason) {
  // A port on which nobody listens: it is reserved.
  std::vector<EngineInfo> engines{engine(0, "127.0.0.1:1"), engine(1, "127.0.0.1:1"), {.rank = 2, .id = {}}};
  engines[1].state = kEngineGone;
  const auto answers = ask_engines(engines, std::chrono::milliseconds(100));
  ASSERT_EQ(answers.size(), 3u);
  EXPECT_EQ(answers[0].engine, engines[0]);
  EXPECT_FALSE(answers[0].system);
  EXPECT_EQ(answers[1].system.error(), Code::kNotReady);
  EXPECT_EQ(answers[2].system.error(), Code::kNotReady);
  EXPECT_TRUE(ask_engines({}, std::chrono::milliseconds(100)).empty());
}

}  // namespace
}  // namespace cenote::cli
