#include "server_options.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace cenote::cli {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::StartsWith;

Settings defaults() {
  return Settings::load("/dev/null", [](std::string_view) -> std::optional<std::string> { return std::nullopt; })
      .value();
}

TEST(EngineOptions, AreThoseOfTheSettings) {
  Settings settings = defaults();
  settings.set_flag("server.data", "/data", "--data");
  settings.set_flag("server.control", "none", "--control");
  settings.set_flag("server.target-size", "10GiB", "--target-size");
  settings.set_flag("server.devices", "/dev/a,/dev/b", "--devices");
  settings.set_flag("server.pin-cpus", "true", "--pin-cpus");
  settings.set_flag("server.auto-reintegrate", "off", "--auto-reintegrate");
  const auto options = engine_options(settings);
  ASSERT_TRUE(options) << options.error().message();
  EXPECT_EQ(options->data_directory, "/data");
  EXPECT_EQ(options->control_address, "");
  EXPECT_EQ(options->target_bytes, 10ull << 30);
  EXPECT_THAT(options->target_paths, ElementsAre("/dev/a", "/dev/b"));
  EXPECT_TRUE(options->pin_cpus);
  EXPECT_FALSE(options->auto_reintegrate);
  EXPECT_FALSE(options->insecure);
}

TEST(EngineOptions, OfDefaultsAreThoseOfTheEngine) {
  const auto options = engine_options(defaults());
  ASSERT_TRUE(options) << options.error().message();
  const engine::EngineOptions engine;
  EXPECT_EQ(options->system_name, engine.system_name);
  EXPECT_EQ(options->listen_address, engine.listen_address);
  EXPECT_EQ(options->control_address, engine.control_address);
  EXPECT_EQ(options->cache_bytes, engine.cache_bytes);
  EXPECT_EQ(options->auto_reintegrate, engine.auto_reintegrate);
  EXPECT_EQ(options->stop_grace, engine.stop_grace);
  EXPECT_EQ(options->scrub_bytes_per_second, engine.scrub_bytes_per_second);
  EXPECT_EQ(options->scrub_period, engine.scrub_period);
}

TEST(EngineOptions, RefusalsNameSettingAndOrigin) {
  struct Case {
    const char* key;
    const char* value;
    Code code;
  };
  for (const Case& wrong :
       {Case{"server.targets", "65", Code::kOutOfRange}, Case{"server.target-size", "1MiB", Code::kOutOfRange},
        Case{"server.reactors", "1000", Code::kOutOfRange}, Case{"server.cache", "1KiB", Code::kOutOfRange},
        Case{"server.log-size", "1KiB", Code::kOutOfRange}, Case{"server.listen", "nowhere:x", Code::kInvalidArgument},
        Case{"server.control", "0.0.0.0:1", Code::kPermissionDenied},
        Case{"server.devices", "/dev/a,/dev/a", Code::kInvalidArgument},
        Case{"server.wal-devices", "/dev/a,/dev/a", Code::kInvalidArgument},
        Case{"server.wal-devices", ",", Code::kInvalidArgument},
        Case{"server.devices", "/dev/a,", Code::kInvalidArgument},
        Case{"server.data-devices", "/dev/a,/dev/a", Code::kInvalidArgument},
        Case{"server.name", "a b", Code::kInvalidArgument}, Case{"server.scrub-rate", "1K", Code::kOutOfRange},
        Case{"server.scrub-period", "1s", Code::kOutOfRange},
        Case{"server.stop-grace", "soon", Code::kInvalidArgument}}) {
    Settings settings = defaults();
    settings.set_flag(wrong.key, wrong.value, "--the-flag");
    const auto options = engine_options(settings);
    ASSERT_FALSE(options) << wrong.key;
    EXPECT_EQ(options.error().code(), wrong.code) << wrong.key;
    EXPECT_THAT(options.error().message(), StartsWith(std::string(wrong.key) + " (from --the-flag): ")) << wrong.key;
  }
}

TEST(EngineOptions, OtherErrorsStayAsTheyAre) {
  const Error error(Code::kLocked, "data directory '/x' is in use");
  EXPECT_EQ(in_terms_of_settings(defaults(), error).message(), error.message());
}

TEST(LogOptions, GoToAFileOrToStandardError) {
  Settings settings = defaults();
  EXPECT_TRUE(log_options(settings)->to_stderr);
  settings.set_flag("server.log-file", "/var/log/cenote.log", "--log-file");
  settings.set_flag("server.log-level", "debug", "--log-level");
  const auto options = log_options(settings);
  ASSERT_TRUE(options);
  EXPECT_FALSE(options->to_stderr);
  EXPECT_EQ(options->level, LogLevel::kDebug);
  settings.set_flag("server.log-level", "loud", "--log-level");
  EXPECT_THAT(log_options(settings).error().message(), HasSubstr("server.log-level (from --log-level)"));
}

}  // namespace
}  // namespace cenote::cli
