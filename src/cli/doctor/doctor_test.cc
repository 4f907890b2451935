#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>

#include "machine.h"
#include "system.h"
#include "write_test.h"

namespace cenote::cli {
namespace {

using ::testing::HasSubstr;
using Level = Finding::Level;

WallTime at_year(int year) {
  return WallTime(std::chrono::duration_cast<Duration>(
      std::chrono::sys_days(std::chrono::year(year) / std::chrono::June / 1).time_since_epoch()));
}

SystemInfo healthy() {
  SystemInfo info;
  info.name = "cenote";
  info.version = "1.0.0";
  info.data_address = "127.0.0.1:7777";
  for (std::uint32_t i = 0; i < 2; ++i)
    info.targets.push_back({.index = i, .id = {}, .total_bytes = 100, .free_bytes = 50, .state = "up"});
  return info;
}

Finding finding_of(const Findings& findings, std::string_view check) {
  const auto found = std::ranges::find(findings, check, &Finding::check);
  return found == findings.end() ? Finding{} : *found;
}

TEST(Doctor, WarnsOfLimitsThatCostSpeed) {
  EXPECT_EQ(judge_memlock({.bytes = 0, .unlimited = true}, 1 << 20).level, Level::kOk);
  EXPECT_EQ(judge_memlock({.bytes = 1 << 20}, 1 << 20).level, Level::kOk);
  EXPECT_EQ(judge_memlock({.bytes = 65536}, 1 << 20).level, Level::kWarn);
  EXPECT_EQ(judge_open_files(1024).level, Level::kWarn);
  EXPECT_EQ(judge_open_files(1 << 20).level, Level::kOk);
  EXPECT_EQ(judge_memory(1ull << 30, 900ull << 20).level, Level::kWarn);
  EXPECT_EQ(judge_memory(64ull << 30, 900ull << 20).level, Level::kOk);
}

TEST(Doctor, JudgesFreeSpaceByWhatAnEngineNeeds) {
  EXPECT_EQ(judge_free_space("/x", 1 << 20, 1ull << 40).level, Level::kFail);
  EXPECT_EQ(judge_free_space("/x", 1ull << 30, 1ull << 40).level, Level::kWarn);
  EXPECT_EQ(judge_free_space("/x", 1ull << 39, 1ull << 40).level, Level::kOk);
}

TEST(Doctor, JudgesTheClock) {
  EXPECT_EQ(judge_clock(at_year(1970), true).level, Level::kFail);
  EXPECT_EQ(judge_clock(at_year(2200), true).level, Level::kFail);
  EXPECT_EQ(judge_clock(at_year(2030), false).level, Level::kWarn);
  EXPECT_EQ(judge_clock(at_year(2030), true).level, Level::kOk);
  EXPECT_EQ(judge_clock(at_year(2030), std::nullopt).level, Level::kOk);
  EXPECT_THAT(judge_clock(at_year(2030), true).found, HasSubstr("2030-06-01"));
}

TEST(Doctor, JudgesDurableWrites) {
  using std::chrono::milliseconds;
  EXPECT_EQ(judge_writes("/x", {.direct = true, .median = milliseconds(1), .worst = milliseconds(2)}).level,
            Level::kOk);
  EXPECT_EQ(judge_writes("/x", {.direct = true, .median = milliseconds(9), .worst = milliseconds(9)}).level,
            Level::kWarn);
  EXPECT_EQ(judge_writes("/x", {.direct = true, .median = milliseconds(1), .worst = milliseconds(900)}).level,
            Level::kWarn);
  EXPECT_EQ(judge_writes("/x", {.direct = false, .median = milliseconds(1), .worst = milliseconds(2)}).level,
            Level::kWarn);
}

TEST(Doctor, TriesDurableWritesAndLeavesNothing) {
  const std::string directory = testing::TempDir() + "cenote-doctor-test";
  std::filesystem::create_directory(directory);
  const auto test = test_writes(directory);
  ASSERT_TRUE(test) << test.error().message();
  EXPECT_LE(test->median, test->worst);
  EXPECT_TRUE(std::filesystem::is_empty(directory));
  std::filesystem::remove(directory);
  EXPECT_FALSE(test_writes(directory));
}

TEST(Doctor, NamesDevicesThatCannotBeUsed) {
  engine::EngineOptions options;
  options.data_directory = testing::TempDir();
  EXPECT_EQ(finding_of(check_machine(options), "devices").check, "");
  options.wal_paths = {testing::TempDir() + "a-log"};
  EXPECT_EQ(finding_of(check_machine(options), "devices").level, Level::kOk);
  options.data_paths = {"/no/such/folder/data"};
  const Finding finding = finding_of(check_machine(options), "devices");
  EXPECT_EQ(finding.level, Level::kFail);
  EXPECT_THAT(finding.found, HasSubstr("/no/such/folder/data"));
}

TEST(Doctor, IsContentWithAHealthySystem) {
  for (const Finding& finding : judge_system(healthy(), "1.0.0")) EXPECT_EQ(finding.level, Level::kOk) << finding.check;
}

TEST(Doctor, NamesFencedTargets) {
  SystemInfo info = healthy();
  info.targets[1].state = "fenced: a write to its log failed";
  const Finding finding = finding_of(judge_system(info, "1.0.0"), "targets");
  EXPECT_EQ(finding.level, Level::kFail);
  EXPECT_EQ(finding.found, "target 1 is fenced: a write to its log failed");
}

TEST(Doctor, NamesAControlStateThatCannotBeChanged) {
  SystemInfo info = healthy();
  info.control_state = "read-only: log write failed";
  const Finding finding = finding_of(judge_system(info, "1.0.0"), "control state");
  EXPECT_EQ(finding.level, Level::kFail);
  EXPECT_EQ(finding.found, "read-only: log write failed");
}

TEST(Doctor, WarnsOfAStoppedSystem) {
  SystemInfo info = healthy();
  EXPECT_EQ(finding_of(judge_system(info, "1.0.0"), "service").check, "") << "not said where it is not";
  info.stopped_since_s = 1'790'000'000;
  const Finding finding = finding_of(judge_system(info, "1.0.0"), "service");
  EXPECT_EQ(finding.level, Level::kWarn);
  EXPECT_THAT(finding.found, HasSubstr("is stopped since 2026"));
}

TEST(Doctor, WarnsOfFullTargetsAndOtherVersions) {
  SystemInfo info = healthy();
  info.targets[0].free_bytes = 1;
  const Findings findings = judge_system(info, "2.0.0");
  EXPECT_EQ(finding_of(findings, "space of the system").level, Level::kWarn);
  EXPECT_EQ(finding_of(findings, "version").level, Level::kWarn);
}

TEST(Doctor, TellsWhatIsEncrypted) {
  SystemInfo info = healthy();
  EXPECT_EQ(finding_of(judge_system(info, "1.0.0"), "encryption at rest").found, "off");
  info.encrypted = true;
  EXPECT_EQ(finding_of(judge_system(info, "1.0.0"), "encryption at rest").level, Level::kWarn);
  for (TargetInfo& target : info.targets) target.encrypted = true;
  const Finding all = finding_of(judge_system(info, "1.0.0"), "encryption at rest");
  EXPECT_EQ(all.level, Level::kOk);
  EXPECT_THAT(all.found, HasSubstr("on, in all"));
}

TEST(Doctor, NamesTakenPorts) {
  EXPECT_EQ(judge_port("server.listen", "a:1", PortState::kFree).level, Level::kOk);
  EXPECT_EQ(judge_port("server.listen", "a:1", PortState::kOurs).level, Level::kOk);
  EXPECT_EQ(judge_port("server.listen", "a:1", PortState::kTaken).level, Level::kFail);
}

}  // namespace
}  // namespace cenote::cli
