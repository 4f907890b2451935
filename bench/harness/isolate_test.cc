#include "harness/isolate.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <csignal>

namespace cenote::bench {
namespace {

using namespace std::chrono_literals;

TEST(Isolate, ReturnsTheTextHoweverLong) {
  const std::string text(1 << 20, 'x');
  const auto result = run_isolated([&]() -> Result<std::string> { return text; }, 60s);
  ASSERT_TRUE(result) << result.error().to_string();
  EXPECT_EQ(*result, text);
}

TEST(Isolate, RunsInAnotherProcess) {
  const auto result = run_isolated([]() -> Result<std::string> { return std::to_string(::getpid()); }, 60s);
  ASSERT_TRUE(result);
  EXPECT_NE(*result, std::to_string(::getpid()));
}

TEST(Isolate, AFailureComesBackAsOne) {
  const auto result = run_isolated([]() -> Result<std::string> { return fail(Code::kNoSpace, "disk full"); }, 60s);
  ASSERT_FALSE(result);
  EXPECT_NE(result.error().message().find("disk full"), std::string::npos);
}

TEST(Isolate, ACrashIsAFailure) {
  const auto result = run_isolated(
      []() -> Result<std::string> {
        ::raise(SIGKILL);
        return "never";
      },
      60s);
  EXPECT_FALSE(result);
}

TEST(Isolate, AHangEndsAtTheLimit) {
  const auto result = run_isolated(
      []() -> Result<std::string> {
        while (true) ::pause();
      },
      50ms);
  ASSERT_FALSE(result);
  EXPECT_EQ(result.error().code(), Code::kDeadlineExceeded);
}

}  // namespace
}  // namespace cenote::bench
