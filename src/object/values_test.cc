#include "values.h"

#include <gtest/gtest.h>

#include <random>

#include "keys.h"
#include "records.h"

namespace cenote::object {
namespace {

store::Extent extent(std::uint64_t first, std::uint32_t blocks) { return {media::BlockNo(first), blocks}; }

TEST(Values, AFourKiBOverwriteIsSmall) {
  const Checksums checksums{0x12345678};
  const DataHeader header{
      .type = EntryType::kExtent, .bytes = 4096, .records = 4096, .record_bytes = 1, .checksums = checksums.view()};
  ValueBytes value;
  const store::Extent stored[] = {extent(1ull << 30, 1)};  // far into a 4 TiB device
  append_stored(header, stored, value);
  EXPECT_LE(value.size(), 18u);
  // All a page repeats of the key is the start of the extent and the epoch.
  EXPECT_LE(value.size() + 8 + 8, 64u);
}

TEST(Values, RoundTrip) {
  const Checksums checksums{1, 2, 3};
  DataHeader header{.type = EntryType::kSingle, .bytes = 10'000, .checksums = checksums.view()};
  ValueBytes value;
  const std::vector<store::Extent> stored{extent(5, 1), extent(6, 1), extent(900'000, 1)};
  append_stored(header, stored, value);
  auto entry = decode_entry(value);
  ASSERT_TRUE(entry.has_value()) << entry.error().to_string();
  EXPECT_EQ(entry->bytes, 10'000u);
  EXPECT_FALSE(entry->is_inline);
  EXPECT_EQ(entry->checksum(2), 3u);
  EXPECT_EQ(entry->extents(), Extents(stored));

  value.clear();
  header = {.type = EntryType::kExtent, .bytes = 24, .records = 3, .record_bytes = 8, .checksums = {}};
  const Bytes data(24, std::byte{7});
  append_inline(header, data, value);
  entry = decode_entry(value);
  ASSERT_TRUE(entry.has_value());
  EXPECT_TRUE(entry->is_inline && equal(entry->data, data) && entry->checksums.empty());
  EXPECT_EQ(entry->records, 3u);

  value.clear();
  ArrayFlags flags;
  flags.add_class(2);
  flags.add_wide_punch();
  append_array(4096, flags, value);
  entry = decode_entry(value);
  ASSERT_TRUE(entry.has_value());
  EXPECT_EQ(entry->type, EntryType::kArray);
  EXPECT_TRUE(entry->flags.has_class(2) && !entry->flags.has_class(1) && entry->flags.has_wide_punches());

  value.clear();
  append_hole(UINT64_MAX - 1, value);
  EXPECT_EQ(decode_entry(value)->records, UINT64_MAX - 1);
  value.clear();
  append_punch(value);
  EXPECT_EQ(decode_entry(value)->type, EntryType::kPunch);
}

TEST(Values, TheWorstFragmentedPieceFits) {
  Checksums checksums;
  std::vector<store::Extent> stored;
  for (std::uint64_t i = 0; i < 256; ++i) {
    checksums.push_back(static_cast<std::uint32_t>(i));
    stored.push_back(extent((i + 1) << 30, 1));  // 2^38 blocks, as far apart as can be
  }
  const DataHeader header{.type = EntryType::kExtent,
                          .bytes = 1u << 20,
                          .records = 1u << 20,
                          .record_bytes = 1,
                          .checksums = checksums.view()};
  ValueBytes value;
  append_stored(header, stored, value);
  EXPECT_LE(value.size(), store::kMaxValueBytes);
  ASSERT_TRUE(decode_entry(value).has_value());
  EXPECT_EQ(decode_entry(value)->extents(), Extents(stored));
}

TEST(Values, DamageIsAnErrorNeverACrash) {
  const Checksums checksums{1, 2, 3};
  const DataHeader header{
      .type = EntryType::kExtent, .bytes = 10'000, .records = 10'000, .record_bytes = 1, .checksums = checksums.view()};
  ValueBytes good;
  const std::vector<store::Extent> stored{extent(5, 2), extent(900'000, 1)};
  append_stored(header, stored, good);
  for (std::size_t bytes = 0; bytes < good.size(); ++bytes) {
    const Bytes cut(good.begin(), good.begin() + bytes);
    EXPECT_FALSE(decode_entry(cut).has_value()) << bytes;
  }
  std::mt19937_64 random(3);
  for (int round = 0; round < 5000; ++round) {
    Bytes mutated = to_bytes(good);
    mutated[random() % mutated.size()] = static_cast<std::byte>(random());
    const auto entry = decode_entry(mutated);
    if (!entry || !entry->holds_data() || entry->is_inline) continue;
    std::uint64_t blocks = 0;
    for (const store::Extent& e : entry->extents()) blocks += e.blocks;
    EXPECT_EQ(blocks, entry->blocks());
  }
  good[0] = std::byte{3};
  EXPECT_TRUE(decode_entry(good).error() == Code::kNewerFormat);
}

// An empty value has no blocks to count, so nothing but the reader itself can tell that its list of extents is damaged.
TEST(Values, DamageOfAnEmptyValueIsNoticed) {
  ValueBytes empty;
  append_stored({.type = EntryType::kSingle, .bytes = 0, .checksums = {}}, {}, empty);
  ASSERT_TRUE(decode_entry(empty).has_value());
  ASSERT_EQ(to_hex(empty), "0103000000");
  const auto refused = [](std::initializer_list<std::uint8_t> bytes) {
    Bytes value;
    for (const std::uint8_t byte : bytes) value.push_back(std::byte{byte});
    return !decode_entry(value).has_value();
  };
  EXPECT_TRUE(refused({1, 3, 0, 0, 0xff, 0x6b})) << "more extents than there can be";
  EXPECT_TRUE(refused({1, 3, 0, 0, 0x80})) << "a number that does not end";
  EXPECT_TRUE(refused({1, 3, 2, 0, 0})) << "checksums of nothing";
  EXPECT_TRUE(refused({1, 3, 3, 0})) << "checksums of nothing, inline";
}

// The example of docs/formats/object.md: what is on the media must be read for ever.
TEST(Values, TheDocumentedExample) {
  const ObjectId object = ObjectId::make(ObjectClass::kSX, KeyFlavour::kUint64, KeyFlavour::kLexical, 1, 2);
  Bytes dkey(8);
  dkey[0] = std::byte{3};
  KeyPath path(object, dkey);
  path.set_akey(as_bytes("data"));
  EXPECT_EQ(to_hex(path.extent(1, 8192, Epoch(0x18d0'0000'0000'0001))),
            "00022100000000010000000000000002"
            "010000000000000003"
            "01646174610001"
            "110000000000002000"
            "e72ffffffffffffe");
  const Checksums checksums{0x78563412};
  const DataHeader header{
      .type = EntryType::kExtent, .bytes = 4096, .records = 4096, .record_bytes = 1, .checksums = checksums.view()};
  const store::Extent stored[] = {extent(1'000'000, 1)};
  ValueBytes value;
  append_stored(header, stored, value);
  EXPECT_EQ(to_hex(value), "010402802001123456780180897a");
}

TEST(Records, RoundTripAndDamage) {
  const Uuid id = Uuid::from_random(1, 2);
  const auto container = decode_container(encode_container({{.checksums = false}, store::TreeId(77)}));
  ASSERT_TRUE(container.has_value());
  EXPECT_FALSE(container->properties.checksums);
  EXPECT_EQ(container->tree, store::TreeId(77));
  EXPECT_FALSE(container->has_snapshots);
  EXPECT_TRUE(decode_container(encode_container({{}, store::TreeId(77), true}))->has_snapshots);
  const CloneSource source{id, Epoch(0x1234)};
  const RecordBytes clone = encode_container({.properties = {}, .tree = store::TreeId(77), .clone = source});
  EXPECT_EQ(clone[0], std::byte{5});
  EXPECT_EQ(decode_container(clone)->clone, source);
  EXPECT_FALSE(decode_container(clone)->kept);
  EXPECT_FALSE(decode_container(clone.view().first(clone.size() - 1)));
  const auto kept = decode_container(encode_container({.properties = {}, .tree = store::TreeId(77), .kept = true}));
  EXPECT_TRUE(kept && kept->kept && !kept->clone);
  const auto snapshot = parse_system_key(snapshot_key(id, Epoch(0x1234)));
  ASSERT_TRUE(snapshot.has_value());
  EXPECT_TRUE(snapshot->kind == RecordKind::kSnapshot && snapshot->container == id && snapshot->epoch == Epoch(0x1234));
  EXPECT_FALSE(parse_system_key(snapshot_key(id, Epoch(1)).view().first(24)));
  EXPECT_TRUE(decode_snapshot(encode_snapshot()));
  EXPECT_FALSE(decode_snapshot(encode_number(1)));
  const auto key = parse_system_key(container_key(RecordKind::kUsage, id));
  ASSERT_TRUE(key.has_value());
  EXPECT_EQ(key->container, id);
  EXPECT_EQ(parse_system_key(destroying_key(store::TreeId(9)))->tree, store::TreeId(9));
  EXPECT_EQ(*decode_number(encode_number(UINT64_MAX)), UINT64_MAX);
  const RequestRecord request{Epoch(4), WallTime(Duration(5)), WallTime(Duration(6)), 7};
  const auto decoded = decode_request(encode_request(request));
  ASSERT_TRUE(decoded.has_value());
  EXPECT_EQ(decoded->epoch, request.epoch);
  EXPECT_EQ(decoded->keep_until, request.keep_until);
  EXPECT_EQ(decoded->acknowledged, 7u);
  const auto request_place = parse_request_key(request_key(3, 4));
  EXPECT_TRUE(request_place->session == 3 && request_place->sequence == 4);

  RecordBytes cut = encode_request(request);
  cut.pop_back();
  EXPECT_TRUE(decode_request(cut).error() == Code::kCorrupt);
  cut[0] = std::byte{9};
  EXPECT_TRUE(decode_request(cut).error() == Code::kNewerFormat);
  EXPECT_FALSE(parse_system_key({}).has_value());
}

}  // namespace
}  // namespace cenote::object
