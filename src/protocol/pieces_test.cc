#include <gtest/gtest.h>

#include <map>
#include <random>

#include "cenote/base/checksum.h"
#include "cenote/base/codec.h"
#include "cenote/protocol/object_requests.h"

namespace cenote {
namespace {

TEST(Pieces, AreCutAtWindows) {
  const auto pieces = split_at_windows({kArrayWindowBytes - 10, 30}, 1);
  ASSERT_EQ(pieces.size(), 2u);
  EXPECT_EQ(pieces[0], (RecordRange{kArrayWindowBytes - 10, 10}));
  EXPECT_EQ(pieces[1], (RecordRange{kArrayWindowBytes, 20}));
  EXPECT_EQ(split_at_windows({0, kArrayWindowBytes / 8}, 8).size(), 1u);
  EXPECT_EQ(split_at_windows({1, kArrayWindowBytes / 8}, 8).size(), 2u);
  EXPECT_TRUE(split_at_windows({5, 0}, 8).empty());
}

TEST(Pieces, RecordsLargerThanHalfAWindowStandAlone) {
  EXPECT_EQ(window_records(600'000), 1u);
  EXPECT_EQ(window_records(kMaxRecordBytes), 1u);
  EXPECT_EQ(split_at_windows({3, 3}, 600'000).size(), 3u);
}

TEST(Pieces, CoverTheRangeInOrder) {
  std::mt19937_64 random(5);
  for (int round = 0; round < 200; ++round) {
    const auto record_bytes = static_cast<std::uint32_t>(random() % 5000 + 1);
    const RecordRange range{random() % (1ull << 40), random() % 100'000 + 1};
    std::uint64_t at = range.first;
    for (const RecordRange& piece : split_at_windows(range, record_bytes)) {
      const std::uint64_t window = window_records(record_bytes);
      EXPECT_EQ(piece.first, at);
      EXPECT_EQ(piece.first / window, (piece.first + piece.count - 1) / window);
      at += piece.count;
    }
    EXPECT_EQ(at, range.first + range.count);
  }
}

TEST(Pieces, ChecksumsCountFromTheStartOfEachPiece) {
  Bytes data(10'000);
  for (std::size_t i = 0; i < data.size(); ++i) data[i] = static_cast<std::byte>(i * 7);
  Checksums whole;
  append_checksums(data, whole);
  ASSERT_EQ(whole.size(), chunk_count(data.size()));
  EXPECT_EQ(whole[2], crc32c(ByteView(data).subspan(8192)));

  AkeyUpdate akey{
      .akey = {}, .kind = ValueKind::kArray, .ranges = {{kArrayWindowBytes - 5000, 10'000}}, .checksums = {}};
  Checksums pieces;
  append_checksums(akey, data, pieces);
  ASSERT_EQ(pieces.size(), 4u);
  EXPECT_EQ(pieces[1], crc32c(ByteView(data).subspan(4096, 904)));
  EXPECT_EQ(pieces[2], crc32c(ByteView(data).subspan(5000, 4096)));
}

TEST(Pieces, ChunkCountOfExtremes) {
  EXPECT_EQ(chunk_count(0), 0u);
  EXPECT_EQ(chunk_count(1), 1u);
  EXPECT_EQ(chunk_count(4096), 1u);
  EXPECT_EQ(chunk_count(UINT64_MAX), (1ull << 52));
}

// The function is a contract: a change of these numbers loses data of every pool.
TEST(TargetOf, IsFixed) {
  const ObjectId sx = ObjectId::make(ObjectClass::kSX, KeyFlavour::kHashed, KeyFlavour::kHashed, 1, 2);
  const ObjectId s1 = ObjectId::make(ObjectClass::kS1, KeyFlavour::kHashed, KeyFlavour::kHashed, 1, 2);
  EXPECT_EQ(target_of(sx, as_bytes("a"), 1000), 875u);
  EXPECT_EQ(target_of(sx, as_bytes("b"), 1000), 852u);
  EXPECT_EQ(target_of(s1, as_bytes("a"), 1000), 144u);
  EXPECT_EQ(target_of(s1, as_bytes("a"), 1000), target_of(s1, as_bytes("b"), 1000));
  EXPECT_EQ(target_of(sx, as_bytes("a"), 1), 0u);
}

TEST(TargetOf, SpreadsDkeysEvenly) {
  const ObjectId object = ObjectId::make(ObjectClass::kSX, KeyFlavour::kUint64, KeyFlavour::kHashed, 1, 2);
  constexpr std::uint32_t kTargets = 7, kKeys = 7000;
  std::map<std::uint32_t, std::uint32_t> counts;
  for (std::uint64_t i = 0; i < kKeys; ++i) {
    std::byte dkey[8];
    store_le(dkey, i);
    ++counts[target_of(object, dkey, kTargets)];
  }
  ASSERT_EQ(counts.size(), kTargets);
  for (const auto& [target, count] : counts) {
    EXPECT_GT(count, kKeys / kTargets * 85 / 100) << target;
    EXPECT_LT(count, kKeys / kTargets * 115 / 100) << target;
  }
}

}  // namespace
}  // namespace cenote
