#include <gtest/gtest.h>

#include "cenote/base/checksum.h"
#include "cenote/base/codec.h"
#include "map_examples.h"

namespace cenote::cluster {
namespace {

// As on docs/formats/pool-map.md.
constexpr std::string_view kDocumented =
    "434e504f4f4c4d5001000100ce000000"
    "fe925d73000000000000000000000000"
    "11112222333344448000000000000000"
    "02000000000000000100000000000000"
    "02000000010000000200000001000000"
    "047261636b"
    "ffffffff0161"
    "00000000026e31"
    "11112222333344448000000000000003030000000100000002000000"
    "00000000000100000100000000000000010000000000000000000000000000000300000000000000"
    "00000000000100000200000000000000010000000000000002000000000000000500000000000000";

/// Puts the right checksum into a changed map.
Bytes sealed(Bytes bytes) {
  store_le(bytes.data() + 12, static_cast<std::uint32_t>(bytes.size()));
  store_le(bytes.data() + 16, std::uint32_t{0});
  store_le(bytes.data() + 16, crc32c(bytes));
  return bytes;
}

Bytes changed(std::size_t offset, std::uint8_t value) {
  Bytes bytes = encode_pool_map(map_examples::documented());
  bytes[offset] = std::byte{value};
  return sealed(bytes);
}

Code code_of(const Bytes& bytes) {
  const auto map = decode_pool_map(bytes);
  return map ? Code::kOk : map.error().code();
}

TEST(PoolMapFormat, IsThatOfItsPage) { EXPECT_EQ(to_hex(encode_pool_map(map_examples::documented())), kDocumented); }

TEST(PoolMapFormat, GivesBackWhatWasWritten) {
  const PoolMap map = map_examples::map_of(map_examples::racks_of_engines(3, 4, 5));
  const auto again = decode_pool_map(encode_pool_map(map));
  ASSERT_TRUE(again.has_value()) << again.error().to_string();
  EXPECT_EQ(*again, map);
}

TEST(PoolMapFormat, EveryCutAndEveryFlippedBitIsSeen) {
  const Bytes whole = encode_pool_map(map_examples::documented());
  for (std::size_t bytes = 0; bytes < whole.size(); ++bytes) {
    const Bytes cut(whole.begin(), whole.begin() + static_cast<std::ptrdiff_t>(bytes));
    EXPECT_EQ(code_of(cut), Code::kMalformed) << bytes;
    if (bytes >= 80) EXPECT_EQ(code_of(sealed(cut)), Code::kMalformed) << bytes;
  }
  for (std::size_t bit = 0; bit < whole.size() * 8; ++bit) {
    Bytes flipped = whole;
    flipped[bit / 8] ^= std::byte{1} << (bit % 8);
    EXPECT_EQ(code_of(flipped), Code::kMalformed) << bit;
  }
}

TEST(PoolMapFormat, NewerMapsAreRefusedByWhatTheyNeed) {
  EXPECT_EQ(code_of(changed(8, 2)), Code::kMalformed);  // format 2 that readers of 1 can read: none was ever written
  Bytes newer = changed(8, 2);
  newer[10] = std::byte{2};
  EXPECT_EQ(code_of(sealed(newer)), Code::kNewerFormat);
  EXPECT_EQ(code_of(changed(23, 1)), Code::kUnsupported);

  auto readable = decode_pool_map(changed(24, 1));
  ASSERT_TRUE(readable.has_value());
  const TargetId targets[] = {TargetId(0)};
  EXPECT_EQ(readable->apply(MapOperation::kExclude, targets).error().code(), Code::kUnsupported);

  auto compatible = decode_pool_map(changed(28, 1));
  ASSERT_TRUE(compatible.has_value());
  ASSERT_TRUE(compatible->apply(MapOperation::kDrain, targets).has_value());
  EXPECT_EQ(compatible->features().compatible, 1u);
  EXPECT_EQ(encode_pool_map(*compatible)[28], std::byte{1});
}

TEST(PoolMapFormat, CountsAreHeldAgainstTheBytesFirst) {
  EXPECT_EQ(code_of(changed(67, 1)), Code::kOutOfRange);  // domains
  EXPECT_EQ(code_of(changed(71, 1)), Code::kOutOfRange);  // engines
  EXPECT_EQ(code_of(changed(75, 1)), Code::kOutOfRange);  // targets
  EXPECT_EQ(code_of(changed(76, 9)), Code::kOutOfRange);  // levels
  EXPECT_EQ(code_of(changed(65, 0x80)), Code::kMalformed);
  EXPECT_EQ(code_of(changed(74, 1)), Code::kMalformed);
}

}  // namespace
}  // namespace cenote::cluster
