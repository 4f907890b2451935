#include "cenote/runtime/intrusive_list.h"

#include <gtest/gtest.h>

#include <memory>
#include <vector>

namespace cenote {
namespace {

struct Item : ListNode<> {
  explicit Item(int v) : value(v) {}
  int value;
};

std::vector<int> values(IntrusiveList<Item>& list) {
  std::vector<int> all;
  for (Item* item = list.front(); item != nullptr; item = list.next(*item)) all.push_back(item->value);
  return all;
}

TEST(IntrusiveListTest, KeepsOrderAtBothEnds) {
  Item a(1), b(2), c(3);
  IntrusiveList<Item> list;
  EXPECT_TRUE(list.empty());
  EXPECT_EQ(list.pop_front(), nullptr);
  list.push_back(b);
  list.push_back(c);
  list.push_front(a);
  EXPECT_EQ(values(list), (std::vector{1, 2, 3}));
  EXPECT_EQ(list.back(), &c);
  EXPECT_EQ(list.pop_front(), &a);
  EXPECT_FALSE(a.linked());
  EXPECT_EQ(values(list), (std::vector{2, 3}));
}

TEST(IntrusiveListTest, DestroyedAndUnlinkedNodesLeaveTheList) {
  Item a(1), c(3);
  auto b = std::make_unique<Item>(2);
  IntrusiveList<Item> list;
  list.push_back(a);
  list.push_back(*b);
  list.push_back(c);
  b.reset();
  EXPECT_EQ(values(list), (std::vector{1, 3}));
  c.unlink();
  c.unlink();
  EXPECT_EQ(values(list), (std::vector{1}));
}

TEST(IntrusiveListTest, DestroyedListLetsItsNodesGo) {
  Item a(1);
  {
    IntrusiveList<Item> list;
    list.push_back(a);
  }
  EXPECT_FALSE(a.linked());
  IntrusiveList<Item> other;
  other.push_back(a);
  EXPECT_EQ(other.front(), &a);
}

}  // namespace
}  // namespace cenote
