#include "pack.h"

#include <gtest/gtest.h>

#include "target_test_kit.h"

namespace cenote::object {
namespace {

class PackTest : public testing::TestWithParam<Compression> {
 protected:
  static Bytes text(std::size_t bytes) {
    Bytes out;
    for (std::uint64_t i = 0; out.size() < bytes; ++i) {
      const std::string line = "line " + std::to_string(i * 7919) + " of a log that is like the others\n";
      const ByteView view = as_bytes(line);
      out.insert(out.end(), view.begin(), view.end());
    }
    out.resize(bytes);
    return out;
  }
  Packer packer_;
};
INSTANTIATE_TEST_SUITE_P(Codecs, PackTest, testing::Values(Compression::kLz4, Compression::kZstd));

TEST_P(PackTest, WhatWasPackedComesBack) {
  for (const std::size_t bytes : {1u, 100u, 4096u, 20'000u, kUnitBytes}) {
    const Bytes plain = text(bytes);
    Bytes stored(kUnitBytes);
    const std::size_t packed = packer_.compress(GetParam(), plain, kUnitBytes, stored);
    if (bytes >= 4096) {
      ASSERT_GT(packed, 0u);
      EXPECT_LT(packed, bytes / 2);
    }
    if (packed == 0) continue;
    Bytes back(bytes);
    const auto unpacked = packer_.unpack(GetParam(), ByteView(stored).first(packed), back);
    // Of the same length it would be taken for plain; the writer never stores such a one.
    if (packed != bytes) {
      ASSERT_TRUE(unpacked) << unpacked.error().to_string();
      EXPECT_EQ(back, plain);
    }
  }
}

TEST_P(PackTest, WhatDoesNotFitIsSaidSo) {
  const Bytes noise = pattern(5, kUnitBytes);
  Bytes out(kUnitBytes);
  EXPECT_EQ(packer_.compress(GetParam(), noise, kUnitBytes - kChecksumChunkBytes, out), 0u);
  EXPECT_EQ(packer_.compress(GetParam(), text(kUnitBytes), 10, out), 0u);
}

TEST_P(PackTest, DamageIsAnErrorAndNeverMoreThanTheRoom) {
  const Bytes plain = text(20'000);
  Bytes stored(kUnitBytes);
  stored.resize(packer_.compress(GetParam(), plain, kUnitBytes, stored));
  Bytes back(plain.size());
  for (std::size_t at = 0; at < stored.size(); at += 13) {
    Bytes damaged = stored;
    damaged[at] ^= std::byte{0x5a};
    // Checksums tell damage; here it must only stay within the room.
    static_cast<void>(packer_.unpack(GetParam(), damaged, back));
    EXPECT_FALSE(packer_.unpack(GetParam(), ByteView(stored).first(at), back));
  }
  Bytes larger(plain.size() + 1), smaller(plain.size() - 1);
  EXPECT_FALSE(packer_.unpack(GetParam(), stored, larger));
  EXPECT_FALSE(packer_.unpack(GetParam(), stored, smaller));
}

TEST(PackedValue, IsDecodedAsItWasEncoded) {
  const std::uint64_t bytes = 2 * kUnitBytes + 5000;
  const std::vector<StoredUnit> units{{9000, 1}, {kUnitBytes, 2}, {60, 3}};
  const std::vector<std::uint32_t> checksums(chunk_count(bytes), 7);
  DataHeader header{.type = EntryType::kSingle, .bytes = bytes, .checksums = checksums};
  header.compression = Compression::kZstd;
  header.units = units;
  const std::vector<store::Extent> extents{{media::BlockNo(100), 3}, {media::BlockNo(200), 9}};
  ValueBytes value;
  append_stored(header, extents, value);
  const auto entry = decode_entry(value);
  ASSERT_TRUE(entry) << entry.error().to_string();
  EXPECT_TRUE(entry->is_packed && !entry->is_inline);
  EXPECT_EQ(entry->compression, Compression::kZstd);
  EXPECT_EQ(entry->blocks(), 12u);
  EXPECT_EQ(entry->blocks_before(1), 3u);
  EXPECT_EQ(entry->blocks_before(2), 11u);
  for (std::uint32_t i = 0; i < 3; ++i) {
    EXPECT_EQ(entry->unit(i).bytes, units[i].bytes);
    EXPECT_EQ(entry->unit(i).checksum, units[i].checksum);
  }
  EXPECT_EQ(entry->checksum(3), 7u);
  for (std::size_t cut = 0; cut < value.size(); ++cut) EXPECT_FALSE(decode_entry(value.view().first(cut))) << cut;
  // A unit cannot be longer than what it holds, and its codec must be known.
  const std::vector<StoredUnit> short_units{{9000, 1}, {kUnitBytes, 2}, {5000, 3}};
  header.units = short_units;
  ValueBytes other;
  append_stored(header, extents, other);
  EXPECT_FALSE(decode_entry(other)) << "the blocks do not fit";
}

TEST(PackedValue, MayLieInline) {
  const std::vector<StoredUnit> units{{40, 1}};
  DataHeader header{.type = EntryType::kExtent, .bytes = 4096, .records = 4096, .record_bytes = 1};
  header.compression = Compression::kLz4;
  header.units = units;
  ValueBytes value;
  append_inline(header, pattern(1, 40), value);
  const auto entry = decode_entry(value);
  ASSERT_TRUE(entry) << entry.error().to_string();
  EXPECT_TRUE(entry->is_packed && entry->is_inline);
  EXPECT_EQ(entry->data.size(), 40u);
  EXPECT_EQ(entry->bytes, 4096u);
}

}  // namespace
}  // namespace cenote::object
