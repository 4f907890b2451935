#include "state_format.h"

#include <gtest/gtest.h>

namespace cenote::cluster {
namespace {

Bytes bytes_of(std::initializer_list<int> numbers) {
  Bytes bytes;
  for (const int number : numbers) bytes.push_back(static_cast<std::byte>(number));
  return bytes;
}

TEST(StateFormat, IsThatOfItsPage) {
  EXPECT_EQ(encode_value(Revision(0x0102), "ab"), bytes_of({2, 1, 0, 0, 0, 0, 0, 0, 'a', 'b'}));
  EXPECT_EQ(encode_revision(Revision(0x0102)), bytes_of({2, 1, 0, 0, 0, 0, 0, 0}));
}

TEST(StateFormat, GivesBackWhatWasWritten) {
  for (const std::string_view value : {"", "v", "a longer value"}) {
    const auto entry = decode_value("key", encode_value(Revision(7), value));
    ASSERT_TRUE(entry) << entry.error().to_string();
    EXPECT_EQ(entry->key, "key");
    EXPECT_EQ(entry->value, value);
    EXPECT_EQ(entry->modified, Revision(7));
  }
  EXPECT_EQ(decode_revision(encode_revision(Revision(9))), Revision(9));
}

TEST(StateFormat, EveryOtherLengthIsDamage) {
  const Bytes whole = encode_revision(Revision(7));
  for (std::size_t bytes = 0; bytes < whole.size(); ++bytes) {
    // A copy of exact size, so that a read past its end is seen by the sanitizer.
    const Bytes cut(whole.begin(), whole.begin() + static_cast<std::ptrdiff_t>(bytes));
    const auto entry = decode_value("pool/1", cut);
    ASSERT_FALSE(entry) << bytes;
    EXPECT_EQ(entry.error().code(), Code::kCorrupt);
    EXPECT_NE(entry.error().message().find("'pool/1'"), std::string::npos);
    EXPECT_EQ(decode_revision(cut).error().code(), Code::kCorrupt);
  }
  EXPECT_EQ(decode_revision(encode_value(Revision(7), "x")).error().code(), Code::kCorrupt);
}

}  // namespace
}  // namespace cenote::cluster
