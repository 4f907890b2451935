#include "page_seal.h"

#include <gtest/gtest.h>

#include <cstring>
#include <random>
#include <string>

#include "aligned_buffer.h"
#include "store_test_kit.h"

namespace cenote::store {
namespace {

constexpr PageId kId{7};

/// A page, its sealed image, and two stores' seals.
class PageSealTest : public ::testing::Test {
 protected:
  PageSealTest() : always(seal(false)), later(seal(true)) {}

  std::unique_ptr<StoreSeal> seal(bool mixed) {
    Superblock superblock;
    auto made = StoreSeal::begin(node, superblock, test_key(1), mixed);
    EXPECT_TRUE(made);
    return *std::move(made);
  }
  /// A leaf or an inner page with as many random entries as fit.
  void fill(std::uint64_t seed, std::uint8_t level) {
    std::mt19937_64 random(seed);
    Page filled = Page::format(page.data(), {kId, TreeId{3}, level}, {as_bytes("user/a"), as_bytes("user/z")});
    if (level > 0) filled.insert_child(0, {}, PageId{100});
    for (std::uint32_t number = 1;; ++number) {
      std::string suffix(1 + random() % 40, 'x');
      suffix.insert(0, std::to_string(1000000 + number));
      suffix.insert(0, 1, 'b');
      const Bytes value(level > 0 ? kChildBytes : random() % 300, static_cast<std::byte>(random()));
      if (!filled.fits(static_cast<std::uint32_t>(suffix.size()), static_cast<std::uint32_t>(value.size()))) break;
      filled.insert(filled.count(), as_bytes(suffix), value);
    }
    filled.set_lsn(Lsn(4096));
    filled.stamp();
  }
  void seal_it() { ASSERT_TRUE(seal_page(page.data(), image.span(), always->sealer())); }
  Result<> open_it(StoreSeal* with) {
    std::memcpy(opened.data(), image.data(), kPageBytes);
    return open_page(opened.span(), kId, with);
  }
  void expect_refused(StoreSeal* with, std::string_view why) {
    const auto outcome = open_it(with);
    ASSERT_FALSE(outcome);
    EXPECT_EQ(outcome.error(), Code::kCorrupt);
    EXPECT_NE(outcome.error().message().find(why), std::string::npos) << outcome.error().message();
  }

  SimWorld world{5};
  SimReactor& node = world.add_node("node");
  std::unique_ptr<StoreSeal> always, later;
  AlignedBuffer page{kPageBytes}, image{kPageBytes}, opened{kPageBytes};
};

TEST_F(PageSealTest, ComesBackByteForByteHoweverFullItIs) {
  for (const std::uint8_t level : {std::uint8_t{0}, std::uint8_t{1}}) {
    for (std::uint64_t seed = 1; seed < 20; ++seed) {
      fill(seed, level);
      seal_it();
      const auto outcome = open_it(always.get());
      ASSERT_TRUE(outcome) << outcome.error().to_string();
      // All but the checksum: the one of the image stays until the page is stamped again.
      EXPECT_EQ(std::memcmp(opened.data() + 4, page.data() + 4, kPageBytes - 4), 0);
      EXPECT_TRUE(verify_unstamped(opened.span(), kId));
    }
  }
}

TEST_F(PageSealTest, ShowsNothingOfItsContentsAndItsChecksumNeedsNoKey) {
  fill(1, 0);
  seal_it();
  EXPECT_TRUE(verify_envelope(image.span(), kId));
  for (const char* text : {"user/a", "1000001", "xxxx"})
    EXPECT_EQ(as_text(image.span()).find(text), std::string_view::npos) << text;
  EXPECT_FALSE(verify(image.span(), kId));  // to one who knows no sealing it is no page
}

TEST_F(PageSealTest, AnyChangeIsNoticedAlsoUnderARightChecksum) {
  fill(2, 0);
  seal_it();
  std::mt19937_64 random(1);
  for (std::size_t bit = 0; bit < kPageBytes * 8; bit += 1 + random() % (bit < 128 * 8 ? 3 : 2000)) {
    if (bit / 8 < 4) continue;  // the checksum itself
    image.data()[bit / 8] ^= static_cast<std::byte>(1u << bit % 8);
    EXPECT_FALSE(open_it(always.get())) << "bit " << bit;
    Page(image.data()).stamp();
    const auto outcome = open_it(always.get());
    EXPECT_FALSE(outcome) << "bit " << bit;
    image.data()[bit / 8] ^= static_cast<std::byte>(1u << bit % 8);
    Page(image.data()).stamp();
  }
  EXPECT_TRUE(open_it(always.get()));
}

TEST_F(PageSealTest, OpensWithTheKeyOfItsStoreOnly) {
  fill(3, 0);
  seal_it();
  expect_refused(later.get(), "sealed under another key");
  expect_refused(nullptr, "unknown flags");
}

TEST_F(PageSealTest, APlainPageIsTakenWhereThereWereSome) {
  fill(4, 0);
  std::memcpy(image.data(), page.data(), kPageBytes);
  EXPECT_TRUE(open_it(nullptr));
  EXPECT_TRUE(open_it(later.get()));
  expect_refused(always.get(), "not sealed");
}

TEST_F(PageSealTest, APageThatIsWrongInsideIsDamageToo) {
  // Of a writer with a defect, which had the key: nothing may be read outside the page.
  std::mt19937_64 random(9);
  for (int i = 0; i < 300; ++i) {
    fill(5, static_cast<std::uint8_t>(i % 2));
    for (int edits = 0; edits < 3; ++edits) {
      const std::size_t at = random() % 2 == 0 ? 32 + random() % 12 : 128 + random() % 400;
      page.data()[at] = static_cast<std::byte>(random());
    }
    seal_it();
    if (!open_it(always.get())) continue;
    EXPECT_TRUE(verify_unstamped(opened.span(), kId));
  }
}

}  // namespace
}  // namespace cenote::store
