#include <gtest/gtest.h>

#include <string>

#include "cenote/store/view.h"
#include "trees_test_kit.h"

namespace cenote::store {

/// The reading half of a view needs the trees alone.
struct ViewMaker {
  static View make(Trees& trees) {
    alignas(std::max_align_t) static std::byte no_store{};
    return View(reinterpret_cast<StoreImpl&>(no_store), trees);
  }
};

namespace {

constexpr TreeId kTree{1};

class CursorTest : public testing::Test {
 protected:
  CursorTest() {
    kit.trees->begin_batch();
    kit.trees->create(kTree, Lsn{1});
    for (int i = 0; i < 300; i += 2) {
      kit.trees->put(kTree, as_bytes(key(i)), as_bytes(std::string(300, static_cast<char>('a' + i % 26))), Lsn{2});
    }
    kit.trees->finish_batch();
  }
  static std::string key(int number) { return fmt::format("key-{:04}", number); }

  SimWorld world{1};
  SimReactor& node = world.add_node("store");
  TreesKit kit{node, 100, 1};
};

TEST_F(CursorTest, GetFindsAndRaisesWhatAReplyWaitsFor) {
  View view = ViewMaker::make(*kit.trees);
  EXPECT_EQ(view.seen(), Lsn{});
  EXPECT_EQ(to_text(*view.get(kTree, as_bytes(key(4))).value()), std::string(300, 'e'));
  EXPECT_EQ(view.seen(), Lsn{2});
  EXPECT_EQ(view.get(kTree, as_bytes(key(5))).value(), std::nullopt);
  EXPECT_EQ(view.get(TreeId{9}, {}).error(), Code::kNotFound);
}

TEST_F(CursorTest, WalksBothWaysOverLeaves) {
  View view = ViewMaker::make(*kit.trees);
  Cursor cursor(view, kTree);
  ASSERT_TRUE(cursor.seek({}).value());
  for (int i = 0; i < 300; i += 2) {
    EXPECT_EQ(to_text(cursor.key()), key(i));
    EXPECT_EQ(to_text(cursor.value()), std::string(300, static_cast<char>('a' + i % 26)));
    EXPECT_EQ(cursor.next().value(), i < 298);
  }
  EXPECT_EQ(to_text(cursor.key()), key(298)) << "a cursor that finds no more stays";
  for (int i = 298; i >= 0; i -= 2) {
    EXPECT_EQ(to_text(cursor.key()), key(i));
    EXPECT_EQ(cursor.previous().value(), i > 0);
  }
}

TEST_F(CursorTest, SeeksBetweenKeys) {
  View view = ViewMaker::make(*kit.trees);
  Cursor cursor(view, kTree);
  for (int i = 1; i < 298; i += 2) {
    ASSERT_TRUE(cursor.seek(as_bytes(key(i))).value());
    EXPECT_EQ(to_text(cursor.key()), key(i + 1));
    ASSERT_TRUE(cursor.seek_at_most(as_bytes(key(i))).value());
    EXPECT_EQ(to_text(cursor.key()), key(i - 1));
    ASSERT_TRUE(cursor.seek_at_most(cursor.key()).value());
    EXPECT_EQ(to_text(cursor.key()), key(i - 1));
  }
  EXPECT_FALSE(cursor.seek(as_bytes("z")).value());
  EXPECT_FALSE(cursor.seek_at_most(as_bytes("a")).value());
}

TEST_F(CursorTest, FaultIsReported) {
  kit.checkpoint();
  const PageId root = *kit.trees->root(kTree);
  kit.restart(100, {{kTree, root}});
  View view = ViewMaker::make(*kit.trees);
  Cursor cursor(view, kTree);
  EXPECT_EQ(cursor.seek({}).error(), Code::kPageFault);
  EXPECT_EQ(kit.trees->fault(), root);
}

}  // namespace
}  // namespace cenote::store
