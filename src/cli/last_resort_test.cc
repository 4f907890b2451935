#include "last_resort.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <new>
#include <stdexcept>

#include "command_line.h"

namespace cenote::cli {
namespace {

TEST(LastResort, NoMemoryEndsInOneLine) {
  const auto run_out = [] {
    end_when_out_of_memory();
    std::get_new_handler()();
  };
  EXPECT_EXIT(run_out(), testing::ExitedWithCode(1), "^cenote: out of memory: [^\n]*ulimit -v[^\n]*\n$");
}

TEST(LastResort, AnExceptionEndsInOneLine) {
  // The environment is the one thing of a command that a test can make throw.
  const auto throwing = [](std::string_view) -> std::optional<std::string> { throw std::runtime_error("no thread"); };
  std::string program = "cenote", noun = "config", verb = "show";
  char* argv[] = {program.data(), noun.data(), verb.data(), nullptr};
  testing::internal::CaptureStderr();
  EXPECT_EQ(run_command_line(3, argv, throwing), 1);
  EXPECT_THAT(testing::internal::GetCapturedStderr(), testing::MatchesRegex("cenote: ended by 'no thread': [^\n]*\n"));
}

}  // namespace
}  // namespace cenote::cli
