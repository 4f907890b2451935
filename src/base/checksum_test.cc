#include "cenote/base/checksum.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <random>
#include <vector>

namespace cenote {
namespace {

Bytes random_bytes(std::mt19937_64& random, std::size_t count) {
  Bytes bytes(count);
  std::ranges::generate(bytes, [&] { return static_cast<std::byte>(random()); });
  return bytes;
}

// The definition, bit by bit.
std::uint32_t slow_crc32c(ByteView bytes) {
  std::uint32_t remainder = ~0u;
  for (std::byte byte : bytes) {
    remainder ^= std::to_integer<std::uint32_t>(byte);
    for (int bit = 0; bit < 8; ++bit) remainder = (remainder >> 1) ^ ((remainder & 1) != 0 ? 0x82f63b78u : 0u);
  }
  return ~remainder;
}

// Vectors of RFC 3720, appendix B.4.
TEST(Crc32c, KnownVectors) {
  EXPECT_EQ(crc32c(as_bytes("123456789")), 0xe3069283u);
  EXPECT_EQ(crc32c({}), 0u);
  Bytes bytes(32, std::byte{0});
  EXPECT_EQ(crc32c(bytes), 0x8a9136aau);
  std::ranges::fill(bytes, std::byte{0xff});
  EXPECT_EQ(crc32c(bytes), 0x62a8ab43u);
  for (std::size_t i = 0; i < 32; ++i) bytes[i] = static_cast<std::byte>(i);
  EXPECT_EQ(crc32c(bytes), 0x46dd794eu);
  for (std::size_t i = 0; i < 32; ++i) bytes[i] = static_cast<std::byte>(31 - i);
  EXPECT_EQ(crc32c(bytes), 0x113fdb5cu);
}

TEST(Crc32c, EveryLengthAndAlignmentFollowsTheDefinition) {
  std::mt19937_64 random(1);
  const Bytes bytes = random_bytes(random, 300);
  for (std::size_t offset = 0; offset < 16; ++offset) {
    for (std::size_t count = 0; count + offset <= bytes.size(); count += 1 + count / 16) {
      const ByteView part = ByteView(bytes).subspan(offset, count);
      ASSERT_EQ(crc32c(part), slow_crc32c(part)) << offset << " " << count;
    }
  }
}

TEST(Crc32c, ContinuesAndCombines) {
  for (std::uint64_t seed = 1; seed <= 200; ++seed) {
    SCOPED_TRACE(testing::Message() << "seed " << seed);
    std::mt19937_64 random(seed);
    const Bytes bytes = random_bytes(random, random() % 5000);
    const std::size_t split = bytes.empty() ? 0 : random() % (bytes.size() + 1);
    const ByteView first = ByteView(bytes).first(split);
    const ByteView second = ByteView(bytes).subspan(split);
    const std::uint32_t whole = crc32c(bytes);
    ASSERT_EQ(crc32c(second, crc32c(first)), whole);
    ASSERT_EQ(crc32c_combine(crc32c(first), crc32c(second), second.size()), whole);
  }
}

TEST(Crc32c, CombineOverLengthsThatNoTestCanHold) {
  // Zeros after data: combining in two steps must agree with one step, whatever the size.
  const std::uint32_t data = crc32c(as_bytes("data"));
  const auto append = [](std::uint32_t crc, std::uint64_t count) {
    // The operator alone: a second part whose own checksum is 0.
    return crc32c_combine(crc, 0, count);
  };
  EXPECT_EQ(append(append(data, 1'000'000'007), 998'244'353), append(data, 1'998'244'360));
  EXPECT_EQ(append(data, 0), data);
  EXPECT_NE(append(data, std::uint64_t{1} << 40), data);
}

TEST(Crc32c, ZerosBehindDataNeedNotBeRead) {
  std::mt19937_64 random(4);
  Bytes bytes = random_bytes(random, 200);
  const std::uint32_t data = crc32c(bytes);
  for (const std::size_t zeros : {0u, 1u, 2u, 3u, 63u, 64u, 1000u, 4015u, 4095u, 4096u, 4097u, 20'000u}) {
    bytes.resize(200 + zeros);
    ASSERT_EQ(crc32c_with_zeros(data, zeros), crc32c(bytes)) << zeros;
  }
}

TEST(Crc32c, SeesEveryFlippedBit) {
  std::mt19937_64 random(3);
  Bytes bytes = random_bytes(random, 64);
  const std::uint32_t good = crc32c(bytes);
  for (std::size_t bit = 0; bit < bytes.size() * 8; ++bit) {
    bytes[bit / 8] ^= std::byte{1} << (bit % 8);
    ASSERT_NE(crc32c(bytes), good) << bit;
    bytes[bit / 8] ^= std::byte{1} << (bit % 8);
  }
}

// Placement and key routing of stored systems depend on these numbers: if this test fails, the change is wrong.
TEST(Hash64, IsPartOfTheWireContract) {
  EXPECT_EQ(hash64({}), 0x2d06800538d394c2u);
  EXPECT_EQ(hash64(as_bytes("a")), 0xe6c632b61e964e1fu);
  EXPECT_EQ(hash64(as_bytes("dkey-0001")), 0xbe135e7912c66643u);
  EXPECT_EQ(hash64(as_bytes("dkey-0001"), 42), 0xde3db285b6bb762cu);
  Bytes bytes(1000);
  for (std::size_t i = 0; i < bytes.size(); ++i) bytes[i] = static_cast<std::byte>(i * 7);
  EXPECT_EQ(hash64(bytes), 0x10ad30264426c830u);
  EXPECT_EQ(hash64(bytes, UINT64_MAX), 0x44722207b8b75f06u);
}

}  // namespace
}  // namespace cenote
