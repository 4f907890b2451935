#include "cenote/engine/identity.h"

#include <gtest/gtest.h>

#include "cenote/base/format.h"

namespace cenote::engine {
namespace {

Identity sample() {
  Identity identity;
  identity.state = Identity::State::kReady;
  identity.system = Uuid::from_random(1, 2);
  identity.engine = Uuid::from_random(3, 4);
  identity.name = "test";
  identity.coordinator = StoreIdentity{Uuid::from_random(5, 6), "coordinator", 64 << 20, 8 << 20};
  identity.targets = {{Uuid::from_random(7, 8), "targets/0", 1 << 30, 64 << 20},
                      {Uuid::from_random(9, 10), "/dev/disk", 1 << 30, 64 << 20}};
  return identity;
}

TEST(Identity, SurvivesItsText) {
  const auto decoded = decode_identity(encode_identity(sample()));
  ASSERT_TRUE(decoded.has_value()) << decoded.error().to_string();
  EXPECT_EQ(*decoded, sample());
}

TEST(Identity, DevicesOfTheirOwnNeedAReaderWhoKnowsThem) {
  Identity identity = sample();
  EXPECT_NE(encode_identity(identity).find("\"oldest_reader\": 1"), std::string::npos);
  identity.targets[0].wal = DeviceIdentity{"/dev/fast0", 128 << 20};
  identity.targets[1].data = DeviceIdentity{"data1", 1 << 30};
  const std::string text = encode_identity(identity);
  EXPECT_NE(text.find("\"oldest_reader\": 2"), std::string::npos);
  const auto decoded = decode_identity(text);
  ASSERT_TRUE(decoded.has_value()) << decoded.error().to_string();
  EXPECT_EQ(*decoded, identity);
}

TEST(Identity, WithoutACoordinatorItNeedsAReaderWhoKnowsThat) {
  Identity identity = sample();
  identity.coordinator.reset();
  std::string text = encode_identity(identity);
  EXPECT_NE(text.find("\"oldest_reader\": 3"), std::string::npos);
  const auto decoded = decode_identity(text);
  ASSERT_TRUE(decoded.has_value()) << decoded.error().to_string();
  EXPECT_EQ(*decoded, identity);
}

TEST(Identity, EveryCutIsDetected) {
  const std::string text = encode_identity(sample());
  // Without the last newline it is still whole.
  for (std::size_t length = 0; length + 1 < text.size(); ++length) {
    const auto decoded = decode_identity(std::string_view(text).substr(0, length));
    ASSERT_FALSE(decoded.has_value()) << length;
    EXPECT_EQ(decoded.error(), Code::kCorrupt);
  }
}

TEST(Identity, EveryChangedCharacterIsDetected) {
  const std::string text = encode_identity(sample());
  for (std::size_t at = 0; at < text.size(); ++at) {
    std::string changed = text;
    changed[at] = static_cast<char>(changed[at] ^ 1);
    const auto decoded = decode_identity(changed);
    if (decoded) {
      // Only the layout may change without a trace.
      EXPECT_EQ(*decoded, sample()) << at;
    } else {
      EXPECT_TRUE(decoded.error() == Code::kCorrupt || decoded.error() == Code::kNewerFormat) << at;
    }
  }
}

TEST(Identity, ADocumentNestedWithoutEndIsRefused) {
  constexpr std::size_t kLevels = 200'000;
  const std::string nest = std::string(kLevels, '[') + std::string(kLevels, ']');
  for (const std::string& text : {nest, R"({"magic":"cenote-engine","oldest_reader":1,"crc32c":1,"x":)" + nest + "}",
                                  R"({"magic":"cenote-engine","oldest_reader":7,"format":)" + nest + "}"}) {
    const auto decoded = decode_identity(text);
    ASSERT_FALSE(decoded.has_value());
    EXPECT_EQ(decoded.error(), Code::kCorrupt) << decoded.error().to_string();
  }
}

TEST(Identity, ANewerFormatIsNamed) {
  const auto decoded =
      decode_identity(R"({"magic":"cenote-engine","format":9,"oldest_reader":7,"checksum":"of another kind"})");
  ASSERT_FALSE(decoded.has_value());
  EXPECT_EQ(decoded.error(), Code::kNewerFormat);
  EXPECT_NE(decoded.error().message().find("format 9"), std::string::npos) << decoded.error().message();
}

TEST(Identity, OtherJsonIsRefused) {
  for (const char* text : {"", "null", "[]", "{}", "7", R"({"magic":"cenote"})", R"({"magic":"cenote-engine"})",
                           R"({"magic":"cenote-engine","oldest_reader":1,"crc32c":0})"}) {
    const auto decoded = decode_identity(text);
    ASSERT_FALSE(decoded.has_value()) << text;
    EXPECT_EQ(decoded.error(), Code::kCorrupt) << text;
  }
}

}  // namespace
}  // namespace cenote::engine
