#include "cenote/base/log.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <thread>
#include <vector>

#include "cenote/base/epoch.h"

namespace cenote {
namespace {

using namespace std::chrono_literals;
using testing::ElementsAre;
using testing::EndsWith;
using testing::HasSubstr;

// 2026-01-31T12:00:00Z
constexpr WallTime kNoon{std::chrono::seconds(1769860800)};

// A log whose clock the test moves and whose lines it keeps.
class LogTest : public testing::Test {
 protected:
  void open(LogOptions options = {}) {
    options.to_stderr = false;
    options.clock = [this] { return now_; };
    options.capture = [this](std::string_view line) { lines_.emplace_back(line); };
    auto opened = LogOutput::open(std::move(options));
    ASSERT_TRUE(opened.has_value()) << opened.error().to_string();
    output_ = *std::move(opened);
    logger_ = Logger(*output_, "store");
  }
  // What follows the message in the last line.
  std::string fields() const {
    const std::string& line = lines_.back();
    const std::string head = "msg=m ";
    return line.substr(line.find(head) + head.size());
  }

  WallTime now_ = kNoon;
  std::vector<std::string> lines_;
  std::unique_ptr<LogOutput> output_;
  Logger logger_;
};

TEST_F(LogTest, LineHasTimeLevelComponentMessageAndFields) {
  open();
  now_ += 123456ns;
  logger_.warn("log is filling", {{"target", 3}, {"used", 0.93}});
  EXPECT_THAT(lines_, ElementsAre("ts=2026-01-31T12:00:00.000123Z level=warn component=store msg=\"log is filling\" "
                                  "target=3 used=0.93"));
}

TEST_F(LogTest, EveryKindOfValueHasOneForm) {
  open();
  const Uuid id = Uuid::from_random(0x0123456789abcdef, 0x0123456789abcdef);
  logger_.info("m", {{"a", true}, {"b", -5}, {"c", UINT64_MAX}, {"d", std::uint8_t{7}}, {"e", 1.5}});
  EXPECT_EQ(fields(), "a=true b=-5 c=18446744073709551615 d=7 e=1.5");
  logger_.info("m", {{"took", 1250us}, {"zero", 0ns}, {"long", 90min}});
  EXPECT_EQ(fields(), "took=0.00125s zero=0s long=5400s");
  logger_.info("m", {{"pool", id}, {"epoch", Epoch(77)}, {"code", Code::kNoSpace}});
  EXPECT_EQ(fields(), "pool=01234567-89ab-4def-8123-456789abcdef epoch=77 code=no_space");
  logger_.info("m", {{"error", Error(Code::kNotFound, "no pool 'x'")}});
  EXPECT_EQ(fields(), "error=\"not_found: no pool 'x'\"");
  logger_.info("m", {{"trace", TraceId(0xc0ffee)}, {"request", RequestName{id, 17}}});
  EXPECT_EQ(fields(), "trace=0000000000c0ffee request=01234567-89ab-4def-8123-456789abcdef/17");
}

TEST_F(LogTest, TextIsQuotedWhenItMustBe) {
  open();
  const std::string text = "a b";
  logger_.info("m", {{"plain", "a/b:c,d"}, {"empty", ""}, {"space", text}, {"equals", std::string_view("a=b")}});
  EXPECT_EQ(fields(), R"(plain=a/b:c,d empty="" space="a b" equals="a=b")");
  logger_.info("m", {{"quote", "a\"b\\c"}, {"forged", "x\nts=1 level=error"}, {"terminal", "\x1b[2J"}});
  EXPECT_EQ(fields(), R"(quote="a\"b\\c" forged="x\nts=1 level=error" terminal="\x1b[2J")");
  const Bytes key = {std::byte{'k'}, std::byte{0}, std::byte{0xff}};
  logger_.info("m", {{"key", ByteView(key)}});
  EXPECT_EQ(fields(), R"(key="k\x00\xff")");
}

TEST_F(LogTest, LevelsFilter) {
  open({.level = LogLevel::kWarn});
  logger_.error("m");
  logger_.warn("m");
  logger_.info("m");
  logger_.debug("m");
  EXPECT_EQ(lines_.size(), 2u);
  EXPECT_FALSE(logger_.enabled(LogLevel::kInfo));
  output_->set_level(LogLevel::kDebug);
  logger_.debug("m");
  EXPECT_THAT(lines_.back(), HasSubstr("level=debug"));
}

TEST_F(LogTest, ContextAndNameOfLoggers) {
  open();
  const Logger target = logger_.with({"target", 3}).with({"pool", "a b"});
  target.named("wal").info("m", {{"block", 9}});
  EXPECT_THAT(lines_.back(), EndsWith("component=wal msg=m target=3 pool=\"a b\" block=9"));
  logger_.info("m");
  EXPECT_THAT(lines_.back(), EndsWith("component=store msg=m"));
}

TEST_F(LogTest, DefaultLoggerDiscards) {
  const Logger nowhere;
  EXPECT_FALSE(nowhere.enabled(LogLevel::kError));
  nowhere.error("m", {{"a", 1}});
}

TEST_F(LogTest, RateLimitCountsWhatItHoldsBack) {
  open({.lines_per_second = 3});
  for (int i = 0; i < 10; ++i) logger_.warn("flood", {{"i", i}});
  EXPECT_EQ(lines_.size(), 3u);
  logger_.warn("another message");
  logger_.named("wal").warn("flood");
  EXPECT_EQ(lines_.size(), 5u) << "the limit is per component and message";
  now_ += 999ms;
  logger_.warn("flood");
  EXPECT_EQ(lines_.size(), 5u);
  now_ += 1ms;
  logger_.warn("flood", {{"i", 11}});
  EXPECT_THAT(lines_.back(), EndsWith("msg=flood i=11 suppressed=8"));
  logger_.warn("flood", {{"i", 12}});
  EXPECT_THAT(lines_.back(), EndsWith("msg=flood i=12"));
}

TEST_F(LogTest, RateLimitFollowsAClockThatJumpsBack) {
  open({.lines_per_second = 1});
  logger_.info("m");
  logger_.info("m");
  now_ -= std::chrono::hours(1);
  logger_.info("m");
  EXPECT_EQ(lines_.size(), 2u);
}

TEST_F(LogTest, FlushReportsWhatStoppedAndOnlyOnce) {
  open({.lines_per_second = 1});
  for (int i = 0; i < 5; ++i) logger_.error("flood");
  output_->flush();
  EXPECT_THAT(lines_.back(), EndsWith("level=error component=store msg=flood suppressed=4"));
  output_->flush();
  EXPECT_EQ(lines_.size(), 2u);
}

TEST_F(LogTest, NoLimitWhenZero) {
  open({.lines_per_second = 0});
  for (int i = 0; i < 1000; ++i) logger_.info("m");
  EXPECT_EQ(lines_.size(), 1000u);
}

TEST_F(LogTest, BackgroundWritesEveryLineBeforeClosing) {
  open({.lines_per_second = 0, .background = true});
  for (int i = 0; i < 500; ++i) logger_.info("m", {{"i", i}});
  EXPECT_EQ(output_->lost(), 0u);
  logger_ = Logger();
  output_.reset();
  ASSERT_EQ(lines_.size(), 500u);
  EXPECT_THAT(lines_.back(), EndsWith("i=499"));
}

TEST_F(LogTest, ThreadsShareOneOutput) {
  open({.lines_per_second = 0});
  std::vector<std::jthread> threads;
  for (int t = 0; t < 3; ++t) {
    threads.emplace_back([logger = logger_.with({"thread", t})] {
      for (int i = 0; i < 100; ++i) logger.info("m", {{"i", i}});
    });
  }
  threads.clear();
  EXPECT_EQ(lines_.size(), 300u);
}

std::string read_file(const std::filesystem::path& path) {
  std::ifstream file(path);
  return {std::istreambuf_iterator<char>(file), {}};
}

TEST_F(LogTest, FileIsAppendedAndRotated) {
  const std::filesystem::path folder = std::filesystem::path(testing::TempDir()) / "cenote_log_test";
  std::filesystem::remove_all(folder);
  const std::string file = folder / "engine.log";
  open({.file = file});
  logger_.info("first", {{"a", 1}});
  EXPECT_THAT(read_file(file), EndsWith("level=info component=store msg=first a=1\n")) << "on the file before closing";
  open({.file = file, .file_bytes_max = 1000, .files_kept = 2, .lines_per_second = 0});
  EXPECT_THAT(read_file(file), HasSubstr("msg=first"));
  for (int i = 0; i < 50; ++i) logger_.info("more", {{"i", i}});
  EXPECT_THAT(read_file(file), EndsWith("i=49\n"));
  EXPECT_TRUE(std::filesystem::exists(folder / "engine.2.log"));
  EXPECT_FALSE(std::filesystem::exists(folder / "engine.3.log"));
  EXPECT_LE(std::filesystem::file_size(file), 1000u);
  std::filesystem::remove_all(folder);
}

TEST(LogOutput, UnwritableFileIsAnError) {
  const auto opened = LogOutput::open({.to_stderr = false, .file = "/proc/nothing/engine.log"});
  ASSERT_FALSE(opened.has_value());
  EXPECT_EQ(opened.error(), Code::kIoError);
  EXPECT_THAT(opened.error().message(), HasSubstr("/proc/nothing/engine.log"));
}

TEST(LogOutput, StandardErrorGetsTheLine) {
  testing::internal::CaptureStderr();
  {
    const auto opened = LogOutput::open({});
    ASSERT_TRUE(opened.has_value());
    Logger(**opened, "cli").error("it broke");
  }
  EXPECT_THAT(testing::internal::GetCapturedStderr(), HasSubstr("level=error component=cli msg=\"it broke\"\n"));
}

TEST(LogLevel, ParsesItsOwnNames) {
  for (LogLevel level : {LogLevel::kError, LogLevel::kWarn, LogLevel::kInfo, LogLevel::kDebug}) {
    EXPECT_EQ(parse_log_level(log_level_name(level)), level);
  }
  EXPECT_FALSE(parse_log_level("verbose").has_value());
}

}  // namespace
}  // namespace cenote
