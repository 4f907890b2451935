#include "cenote/engine/control_copy_file.h"

#include <gtest/gtest.h>

#include "cenote/base/checksum.h"
#include "cenote/base/codec.h"

namespace cenote::engine {
namespace {

using cluster::KeyValue;
using cluster::Revision;

const ControlCopyHead kHead{.system = Uuid::from_random(1, 2),
                            .engine = Uuid::from_random(3, 4),
                            .revision = Revision(258),
                            .written = WallTime(Duration(0x0102030405060708))};

Bytes encode(const std::vector<KeyValue>& entries) {
  ControlCopyEncoder encoder(kHead);
  for (const KeyValue& entry : entries) encoder.add(entry);
  return std::move(encoder).finish();
}

const std::vector<KeyValue> kEntries{{"a", "1", Revision(7)}, {"b/c", "", Revision(258)}};

TEST(ControlCopyFile, WhatIsWrittenIsRead) {
  const auto read = decode_control_copy(encode(kEntries));
  ASSERT_TRUE(read.has_value()) << read.error().to_string();
  EXPECT_EQ(read->head, kHead);
  ASSERT_EQ(read->entries.size(), 2U);
  for (std::size_t i = 0; i < 2; ++i) {
    EXPECT_EQ(read->entries[i].key, kEntries[i].key);
    EXPECT_EQ(read->entries[i].value, kEntries[i].value);
    EXPECT_EQ(read->entries[i].modified, kEntries[i].modified);
  }
  EXPECT_TRUE(decode_control_copy(encode({})).has_value());
}

TEST(ControlCopyFile, TheBytesAreThoseOfTheDocument) {
  const Bytes bytes = encode(kEntries);
  EXPECT_EQ(to_hex(ByteView(bytes).first(16)),
            "43454e4f54454343"
            "0100"
            "0100"
            "00000000");
  EXPECT_EQ(to_hex(ByteView(bytes).subspan(48, 16)),
            "0201000000000000"
            "0807060504030201");
  EXPECT_EQ(to_hex(ByteView(bytes).subspan(64, 12)),
            "2500000000000000"
            "02000000");
  EXPECT_EQ(to_hex(ByteView(bytes).subspan(84)),
            "0700000000000000"
            "01000000"
            "61"
            "01000000"
            "31"
            "0201000000000000"
            "03000000"
            "622f63"
            "00000000");
  std::size_t counted = control_copy_bytes_at_least();
  for (const KeyValue& entry : kEntries) counted += control_copy_bytes(entry);
  EXPECT_EQ(counted, bytes.size());
}

TEST(ControlCopyFile, EveryCutAndEveryChangedByteIsNoticed) {
  const Bytes whole = encode(kEntries);
  for (std::size_t length = 0; length < whole.size(); ++length) {
    const auto read = decode_control_copy(ByteView(whole).first(length));
    ASSERT_FALSE(read.has_value()) << length;
    EXPECT_EQ(read.error().code(), Code::kCorrupt) << length;
  }
  for (std::size_t at = 0; at < whole.size(); ++at) {
    Bytes changed = whole;
    changed[at] ^= std::byte{0x10};
    EXPECT_FALSE(decode_control_copy(changed).has_value()) << at;
  }
  Bytes longer = whole;
  longer.push_back(std::byte{0});
  EXPECT_FALSE(decode_control_copy(longer).has_value());
}

TEST(ControlCopyFile, KeysOutOfOrderAndNewerFormatsAreRefused) {
  EXPECT_FALSE(decode_control_copy(encode({kEntries[1], kEntries[0]})).has_value());
  EXPECT_FALSE(decode_control_copy(encode({kEntries[0], kEntries[0]})).has_value());
  Bytes newer = encode(kEntries);
  newer[10] = std::byte{2};
  EXPECT_EQ(decode_control_copy(newer).error().code(), Code::kNewerFormat);
}

}  // namespace
}  // namespace cenote::engine
