#include "etcd_source.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace cenote::cli {
namespace {

using ::testing::ElementsAre;
using ::testing::StartsWith;

Settings defaults() {
  return Settings::load("/dev/null", [](std::string_view) -> std::optional<std::string> { return std::nullopt; })
      .value();
}

TEST(CoordinatorOptions, NoneUnlessOneIsNamed) {
  const auto options = coordinator_options(defaults());
  ASSERT_TRUE(options) << options.error().message();
  EXPECT_FALSE(options->has_value());
}

TEST(CoordinatorOptions, AreThoseOfTheSettings) {
  Settings settings = defaults();
  settings.set_flag("server.coordinator", "https://a:2379,https://b:2379", "--coordinator");
  settings.set_flag("server.coordinator-ca", "/ca.pem", "--coordinator-ca");
  settings.set_flag("server.coordinator-cert", "/cert.pem", "--coordinator-cert");
  settings.set_flag("server.coordinator-key", "/key.pem", "--coordinator-key");
  const auto options = coordinator_options(settings);
  ASSERT_TRUE(options && *options);
  EXPECT_THAT((*options)->endpoints, ElementsAre("https://a:2379", "https://b:2379"));
  EXPECT_EQ((*options)->root, "cenote/");
  EXPECT_EQ((*options)->tls.authorities, "/ca.pem");
  EXPECT_EQ((*options)->tls.certificate, "/cert.pem");
  EXPECT_EQ((*options)->tls.key, "/key.pem");
  EXPECT_EQ(EtcdSource({.options = **options}, [] { return false; }).place(),
            "https://a:2379,https://b:2379 (root 'cenote/')");
}

TEST(CoordinatorOptions, RefusalsNameSettingAndOrigin) {
  for (const auto& [key, value] :
       {std::pair("server.coordinator", "10.0.0.1:2379"), std::pair("server.coordinator", "http://a:1/"),
        std::pair("server.coordinator", "http://a:1,"), std::pair("server.coordinator-root", "cenote"),
        std::pair("server.coordinator-cert", "/cert.pem")}) {
    Settings settings = defaults();
    settings.set_flag("server.coordinator", "http://a:1", "--coordinator");
    settings.set_flag(key, value, "--some-flag");
    const auto options = coordinator_options(settings);
    ASSERT_FALSE(options) << value;
    EXPECT_EQ(options.error(), Code::kInvalidArgument);
    EXPECT_THAT(options.error().message(), StartsWith(std::string(key) + " (from --some-flag)"));
  }
}

}  // namespace
}  // namespace cenote::cli
