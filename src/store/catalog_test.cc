#include "catalog.h"

#include <gtest/gtest.h>

namespace cenote::store {
namespace {

TEST(Catalog, KnowsTreesByNameAndNumber) {
  Catalog catalog;
  const TreeId first = catalog.take_id();
  catalog.add(first, "first", PageId(7));
  EXPECT_EQ(catalog.find("first"), first);
  EXPECT_EQ(catalog.find(first)->root, PageId(7));
  EXPECT_FALSE(catalog.find("second"));
  EXPECT_GT(catalog.take_id(), first);
  catalog.drop(first);
  EXPECT_FALSE(catalog.find("first"));
  ASSERT_EQ(catalog.dropped().size(), 1u);
  EXPECT_EQ(catalog.dropped()[0].root, PageId(7));
  catalog.forget_dropped(first);
  EXPECT_TRUE(catalog.dropped().empty());
}

TEST(Catalog, NumbersAreNeverGivenTwice) {
  Catalog catalog;
  catalog.see_id(TreeId(40));
  EXPECT_EQ(catalog.take_id(), TreeId(41));
  catalog.see_id(TreeId(5));
  EXPECT_EQ(catalog.take_id(), TreeId(42));
}

TEST(Catalog, LoadsWhatItsKeysAndValuesSay) {
  Catalog catalog;
  ASSERT_TRUE(catalog.load(Catalog::name_key("pool"), Catalog::tree_value(TreeId(3), PageId(9))));
  ASSERT_TRUE(catalog.load(Catalog::dropped_key(TreeId(2)), Catalog::dropped_value(PageId(4))));
  EXPECT_EQ(catalog.find("pool"), TreeId(3));
  EXPECT_EQ(catalog.dropped()[0].id, TreeId(2));
  EXPECT_EQ(catalog.take_id(), TreeId(4));
}

TEST(Catalog, RefusesEntriesThatMeanNothing) {
  Catalog catalog;
  ASSERT_TRUE(catalog.load(Catalog::name_key("pool"), Catalog::tree_value(TreeId(3), PageId(9))));
  const auto code = [&](ByteView key, ByteView value) { return catalog.load(key, value).error().code(); };
  EXPECT_EQ(code(as_bytes("?"), {}), Code::kCorrupt);
  EXPECT_EQ(code(as_bytes("nshort"), as_bytes("x")), Code::kCorrupt);
  EXPECT_EQ(code(Catalog::name_key("pool"), Catalog::tree_value(TreeId(4), PageId(9))), Code::kCorrupt);
  EXPECT_EQ(code(Catalog::name_key("other"), Catalog::tree_value(TreeId(3), PageId(9))), Code::kCorrupt);
  EXPECT_EQ(code(Catalog::name_key("zero"), Catalog::tree_value(kCatalogTree, PageId(9))), Code::kCorrupt);
  EXPECT_EQ(code(as_bytes("rxx"), Catalog::dropped_value(PageId(9))), Code::kCorrupt);
}

}  // namespace
}  // namespace cenote::store
