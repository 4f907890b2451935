#include "cenote/base/bytes.h"

#include <gtest/gtest.h>

#include <random>

#include "cenote/base/strong.h"

namespace cenote {
namespace {

TEST(Bytes, Hexadecimal) {
  EXPECT_EQ(to_hex({}), "");
  const Bytes bytes = {std::byte{0x00}, std::byte{0x0f}, std::byte{0xa5}, std::byte{0xff}};
  EXPECT_EQ(to_hex(bytes), "000fa5ff");
}

TEST(Bytes, PrintableEscapesAndCuts) {
  EXPECT_EQ(printable(as_bytes("plain text ~")), "plain text ~");
  EXPECT_EQ(printable(as_bytes("a\\b")), "a\\x5cb") << "an escape cannot be forged";
  const Bytes bytes = {std::byte{0}, std::byte{0x1f}, std::byte{0x7f}, std::byte{0x80}, std::byte{0xff}};
  EXPECT_EQ(printable(bytes), "\\x00\\x1f\\x7f\\x80\\xff");
  EXPECT_EQ(printable(as_bytes("12345"), 5), "12345");
  EXPECT_EQ(printable(as_bytes("123456"), 5), "12345...");
  EXPECT_EQ(printable(as_bytes("1"), 0), "...");
}

TEST(Bytes, OrderIsOfUnsignedBytesWithPrefixesFirst) {
  EXPECT_EQ(compare(as_bytes("a"), as_bytes("b")), std::strong_ordering::less);
  EXPECT_EQ(compare(as_bytes("a"), as_bytes("aa")), std::strong_ordering::less);
  EXPECT_EQ(compare({}, as_bytes("a")), std::strong_ordering::less);
  EXPECT_EQ(compare(as_bytes("\x80"), as_bytes("\x7f")), std::strong_ordering::greater);
  EXPECT_EQ(compare({}, {}), std::strong_ordering::equal);
  EXPECT_TRUE(equal(as_bytes("ab"), as_bytes("ab")));
  EXPECT_FALSE(equal(as_bytes("ab"), as_bytes("a")));
}

TEST(Bytes, OrderAgreesWithStrings) {
  std::mt19937_64 random(5);
  const auto text = [&] {
    std::string made(random() % 4, ' ');
    for (char& c : made) c = static_cast<char>('a' + random() % 2);
    return made;
  };
  for (int i = 0; i < 500; ++i) {
    const std::string a = text();
    const std::string b = text();
    ASSERT_EQ(compare(as_bytes(a), as_bytes(b)), a <=> b) << a << " " << b;
    ASSERT_EQ(equal(as_bytes(a), as_bytes(b)), a == b);
  }
}

TEST(Bytes, Conversions) {
  EXPECT_EQ(to_text(as_bytes("abc")), "abc");
  EXPECT_EQ(to_hex(to_bytes(as_bytes("az"))), "617a");
}

TEST(Strong, ComparesHashesAndDoesNotMix) {
  using PageId = Strong<struct PageIdTag>;
  using BlockId = Strong<struct BlockIdTag, std::uint32_t>;
  static_assert(!std::is_convertible_v<PageId, BlockId> && !std::is_convertible_v<std::uint64_t, PageId>);
  static_assert(sizeof(BlockId) == 4);
  EXPECT_EQ(PageId(), PageId(0));
  EXPECT_LT(PageId(1), PageId(2));
  EXPECT_EQ(std::hash<PageId>{}(PageId(7)), std::hash<std::uint64_t>{}(7));
}

}  // namespace
}  // namespace cenote
