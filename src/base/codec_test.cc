#include "cenote/base/codec.h"

#include <gtest/gtest.h>

#include <random>

namespace cenote {
namespace {

TEST(Codec, IntegersAreLittleEndianInTheFormats) {
  Bytes bytes;
  Encoder encoder(bytes);
  encoder.integer(std::uint8_t{0x01});
  encoder.integer(std::uint16_t{0x0203});
  encoder.integer(std::uint32_t{0x04050607});
  encoder.integer(std::uint64_t{0x08090a0b0c0d0e0f});
  EXPECT_EQ(to_hex(bytes),
            "01"
            "0302"
            "07060504"
            "0f0e0d0c0b0a0908");
  EXPECT_EQ(encoder.size(), 15u);
  std::byte raw[8];
  store_be(raw, std::uint64_t{0x0102030405060708});
  EXPECT_EQ(to_hex(raw), "0102030405060708");
  EXPECT_EQ(load_be<std::uint64_t>(raw), 0x0102030405060708u);
  EXPECT_EQ(load_le<std::uint32_t>(raw + 1), 0x05040302u);
}

TEST(Codec, BigEndianBytesOrderAsNumbers) {
  std::mt19937_64 random(1);
  for (int i = 0; i < 1000; ++i) {
    const std::uint64_t a = random() >> (random() % 64);
    const std::uint64_t b = random() >> (random() % 64);
    std::byte left[8];
    std::byte right[8];
    store_be(left, a);
    store_be(right, b);
    ASSERT_EQ(compare(left, right), a <=> b) << a << " " << b;
  }
}

struct Record {
  std::uint8_t a;
  std::uint16_t b;
  std::uint32_t c;
  std::uint64_t d;
  std::string text;
  Bytes blob;
  bool operator==(const Record&) const = default;
};

Bytes encode(const Record& record) {
  Bytes bytes;
  Encoder encoder(bytes);
  encoder.integer(record.a);
  encoder.integer(record.b);
  encoder.text(record.text);
  encoder.zeros(3);
  encoder.integer(record.c);
  encoder.blob(record.blob);
  encoder.integer(record.d);
  return bytes;
}

Result<Record> decode(ByteView bytes) {
  Decoder decoder(bytes);
  Record record{};
  record.a = decoder.integer<std::uint8_t>();
  record.b = decoder.integer<std::uint16_t>();
  record.text = decoder.text(100);
  decoder.zeros(3);
  record.c = decoder.integer<std::uint32_t>();
  record.blob = to_bytes(decoder.blob());
  record.d = decoder.integer<std::uint64_t>();
  CHECK_OK(decoder.finish("record"));
  return record;
}

Record random_record(std::mt19937_64& random) {
  Record record{static_cast<std::uint8_t>(random()),  static_cast<std::uint16_t>(random()),
                static_cast<std::uint32_t>(random()), random(),
                std::string(random() % 20, 'x'),      Bytes(random() % 50)};
  for (std::byte& byte : record.blob) byte = static_cast<std::byte>(random());
  return record;
}

TEST(Codec, RoundTripAndTruncationAtEveryByte) {
  for (std::uint64_t seed = 1; seed <= 20; ++seed) {
    SCOPED_TRACE(testing::Message() << "seed " << seed);
    std::mt19937_64 random(seed);
    const Record record = random_record(random);
    Bytes bytes = encode(record);
    ASSERT_EQ(decode(bytes), record);
    for (std::size_t count = 0; count < bytes.size(); ++count) {
      // A copy of the exact size, so that the address sanitizer sees a read past the end.
      const Bytes truncated(bytes.begin(), bytes.begin() + static_cast<std::ptrdiff_t>(count));
      const auto decoded = decode(truncated);
      ASSERT_FALSE(decoded.has_value()) << count;
      ASSERT_EQ(decoded.error().to_string(), "malformed: record: truncated or out of range");
    }
    bytes.push_back(std::byte{0});
    ASSERT_EQ(decode(bytes).error().to_string(), "malformed: record: 1 bytes too many");
  }
}

TEST(Codec, PaddingMustBeZero) {
  Bytes bytes(4, std::byte{0});
  for (std::size_t i = 0; i < bytes.size(); ++i) {
    bytes[i] = std::byte{1};
    Decoder decoder(bytes);
    decoder.zeros(4);
    EXPECT_TRUE(decoder.bad()) << i;
    bytes[i] = std::byte{0};
  }
  Decoder decoder(bytes);
  decoder.zeros(4);
  EXPECT_TRUE(decoder.finish("padding").has_value());
}

TEST(Codec, LimitsAreKept) {
  Bytes bytes;
  Encoder(bytes).text("12345");
  EXPECT_EQ(Decoder(bytes).text(5), "12345");
  Decoder tight(bytes);
  EXPECT_EQ(tight.text(4), "");
  EXPECT_TRUE(tight.bad());
}

TEST(Codec, LengthsThatLieReadNothing) {
  Bytes bytes;
  Encoder(bytes).integer(UINT32_MAX);
  Decoder decoder(bytes);
  EXPECT_TRUE(decoder.blob().empty());
  EXPECT_TRUE(decoder.bad());
}

TEST(Codec, ABadDecoderStaysBad) {
  Bytes bytes(8, std::byte{0xff});
  Decoder decoder(bytes);
  decoder.require(true);
  EXPECT_FALSE(decoder.bad());
  decoder.require(false);
  EXPECT_EQ(decoder.integer<std::uint32_t>(), 0u);
  EXPECT_TRUE(decoder.raw(1).empty());
  EXPECT_TRUE(decoder.rest().empty());
  EXPECT_EQ(decoder.remaining(), 0u);
  EXPECT_FALSE(decoder.check("x").has_value());
}

TEST(Codec, TrailingBytesWhereTheyAreAllowed) {
  const Bytes bytes(8, std::byte{1});
  Decoder decoder(bytes);
  EXPECT_EQ(decoder.integer<std::uint16_t>(), 0x0101u);
  EXPECT_TRUE(decoder.check("header").has_value());
  EXPECT_EQ(decoder.rest().size(), 6u);
  EXPECT_FALSE(decoder.finish("header").has_value());
}

}  // namespace
}  // namespace cenote
