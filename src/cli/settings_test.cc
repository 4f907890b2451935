#include "settings.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <set>

namespace cenote::cli {
namespace {

using ::testing::HasSubstr;

std::optional<std::string> nothing(std::string_view) { return std::nullopt; }

std::optional<std::string> some(std::string_view name) {
  if (name == "CENOTE_SERVER") return "from-environment:1";
  if (name == "CENOTE_CACHE") return "lots";
  return std::nullopt;
}

class SettingsFile : public testing::Test {
 public:
  SettingsFile() : path_(testing::TempDir() + "cenote-settings-test.toml") {}
  ~SettingsFile() override { std::filesystem::remove(path_); }

 protected:
  Result<Settings> load(const std::string& text, Settings::Environment environment = nothing) {
    std::ofstream(path_) << text;
    return Settings::load(path_, environment);
  }

  std::string path_;
};

TEST(SettingSpecs, NameEachSettingAndVariableOnce) {
  std::set<std::string_view> keys, variables;
  for (const SettingSpec& spec : setting_specs()) {
    EXPECT_TRUE(keys.insert(spec.key).second) << spec.key;
    EXPECT_TRUE(variables.insert(spec.environment).second) << spec.environment;
    EXPECT_FALSE(spec.help.empty()) << spec.key;
    EXPECT_TRUE(spec.environment.starts_with("CENOTE_")) << spec.environment;
  }
}

TEST_F(SettingsFile, AreTakenFromTheStrongestPlace) {
  auto settings =
      load("[client]\nserver = 'from-file:1'\ntimeout = '5s'\n[server]\ntargets = 3\npin-cpus = true\n", some);
  ASSERT_TRUE(settings) << settings.error().message();
  EXPECT_EQ(settings->get("client.server").text, "from-environment:1");
  EXPECT_EQ(settings->get("client.server").origin, "$CENOTE_SERVER");
  EXPECT_EQ(settings->get("client.timeout").origin, path_);
  EXPECT_EQ(settings->get("server.name").origin, "default");
  EXPECT_EQ(settings->number("server.targets"), 3u);
  EXPECT_EQ(settings->flag("server.pin-cpus"), true);
  EXPECT_EQ(settings->duration("client.timeout"), std::chrono::seconds(5));
  settings->set_flag("client.server", "from-flag:1", "--server");
  EXPECT_EQ(settings->text("client.server"), "from-flag:1");
  EXPECT_EQ(settings->get("client.server").origin, "--server");
}

TEST_F(SettingsFile, ErrorsNameSettingValueAndOrigin) {
  auto settings = load("[server]\ntargets = 'many'\ninsecure = 'perhaps'\n", some);
  ASSERT_TRUE(settings);
  EXPECT_EQ(settings->number("server.targets").error().message(),
            "server.targets (from " + path_ + "): 'many' is no whole number");
  EXPECT_THAT(settings->bytes("server.cache").error().message(),
              HasSubstr("server.cache (from $CENOTE_CACHE): 'lots'"));
  EXPECT_THAT(settings->flag("server.insecure").error().message(), HasSubstr("neither true nor false"));
  EXPECT_EQ(settings->wrong("server.targets", "why").message(), "server.targets (from " + path_ + "): why");
}

TEST_F(SettingsFile, OfWrongFormAreRefusedWithTheirPlace) {
  struct Case {
    const char* text;
    const char* message;
  };
  for (const Case& wrong :
       {Case{"[server]\ntargets = \n", ":2:"}, Case{"[server]\ntagrets = 3\n", "unknown setting 'server.tagrets'"},
        Case{"server = 'x'\n", "must stand in a section"},
        Case{"[server]\ntargets = 1.5\n", "must be a text, a whole number or true/false"},
        Case{"[server]\ntargets = [1]\n", "must be a text"}, Case{"\x01", ":1:"}}) {
    const auto settings = load(wrong.text);
    ASSERT_FALSE(settings) << wrong.text;
    EXPECT_EQ(settings.error().code(), Code::kInvalidArgument);
    EXPECT_THAT(settings.error().message(), HasSubstr(wrong.message));
    EXPECT_THAT(settings.error().message(), HasSubstr(path_));
  }
}

TEST(Settings, FileThatWasNamedMustExist) {
  const auto settings = Settings::load("/nonexistent/cenote.toml", nothing);
  ASSERT_FALSE(settings);
  EXPECT_EQ(settings.error().code(), Code::kNotFound);
  EXPECT_THAT(settings.error().message(), HasSubstr("/nonexistent/cenote.toml"));
}

TEST(ParseBytes, UnderstandsPowersOf1024) {
  EXPECT_EQ(parse_bytes("0"), 0u);
  EXPECT_EQ(parse_bytes("4096"), 4096u);
  EXPECT_EQ(parse_bytes("4096B"), 4096u);
  EXPECT_EQ(parse_bytes("64K"), 64u << 10);
  EXPECT_EQ(parse_bytes("64k"), 64u << 10);
  EXPECT_EQ(parse_bytes("64KB"), 64u << 10);
  EXPECT_EQ(parse_bytes("64KiB"), 64u << 10);
  EXPECT_EQ(parse_bytes("1.5GiB"), 3ull << 29);
  EXPECT_EQ(parse_bytes("2T"), 2ull << 40);
  EXPECT_EQ(parse_bytes("1PiB"), 1ull << 50);
}

TEST(ParseBytes, RefusesWhatIsNoSize) {
  for (const char* text : {"", "G", "-1", "1X", "1iB", "12 apples", "1GiBB", "nan", "inf", "0x10", "1,5G", "1G 2"}) {
    const auto bytes = parse_bytes(text);
    ASSERT_FALSE(bytes) << text;
    EXPECT_EQ(bytes.error().code(), Code::kInvalidArgument) << text;
  }
  EXPECT_EQ(parse_bytes("100000P").error().code(), Code::kOutOfRange);
  EXPECT_EQ(parse_bytes("1.5").error().message(), "'1.5' is no whole number of bytes");
}

TEST(HumanBytes, UsesTheLargestUnitThatFits) {
  EXPECT_EQ(human_bytes(0), "0 B");
  EXPECT_EQ(human_bytes(1023), "1023 B");
  EXPECT_EQ(human_bytes(1024), "1.00 KiB");
  EXPECT_EQ(human_bytes(3ull << 29), "1.50 GiB");
  EXPECT_EQ(human_bytes(5000ull << 50), "5000.00 PiB");
}

TEST(ParseNanoseconds, UnderstandsUnitsAndPlainSeconds) {
  EXPECT_EQ(parse_nanoseconds("250us"), 250'000u);
  EXPECT_EQ(parse_nanoseconds("250ms"), 250'000'000u);
  EXPECT_EQ(parse_nanoseconds("30s"), 30'000'000'000u);
  EXPECT_EQ(parse_nanoseconds("30"), 30'000'000'000u);
  EXPECT_EQ(parse_nanoseconds("1.5s"), 1'500'000'000u);
  EXPECT_EQ(parse_nanoseconds("2m"), 120'000'000'000u);
  EXPECT_EQ(parse_nanoseconds("1h"), 3'600'000'000'000u);
}

TEST(ParseNanoseconds, RefusesWhatIsNoDuration) {
  for (const char* text : {"", "s", "-1s", "1 s", "5d", "1e30s", "nan", "999999h"}) {
    const auto nanoseconds = parse_nanoseconds(text);
    ASSERT_FALSE(nanoseconds) << text;
    EXPECT_EQ(nanoseconds.error().code(), Code::kInvalidArgument);
  }
}

}  // namespace
}  // namespace cenote::cli
