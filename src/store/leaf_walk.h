#pragma once

#include <vector>

#include "examination_state.h"
#include "page.h"
#include "tree_rules.h"

namespace cenote::store {

/// What is behind TreeWalk: the leaves of one tree in order, from `from` on, around whatever cannot be read.
///
/// Invariant: `todo_` is what is still to be visited, the next one last; the present leaf is pinned.
class LeafWalk {
 public:
  LeafWalk(ExaminationState& state, TreeId tree, TreeWalk::Purpose purpose, ByteView from);
  LeafWalk(const LeafWalk&) = delete;
  LeafWalk& operator=(const LeafWalk&) = delete;
  ~LeafWalk() { release(); }

  Task<bool> next();
  std::uint32_t count() const { return end_ - first_; }
  ByteView key(std::uint32_t index) { return PageView(leaf_->data).key(first_ + index, key_); }
  ByteView value(std::uint32_t index) const { return PageView(leaf_->data).value(first_ + index); }
  PageId page() const { return leaf_->id; }

 private:
  void release();
  /// Whether the page may be read: in a check, each page belongs to one parent.
  bool admit(const ExpectedPage& expected);
  Task<> read_ahead();
  Task<Result<>> fetch_ahead(PageId id);
  /// Whether an inner page is lost, whose leaves may still be there.
  bool hides_leaves(const ExpectedPage& expected) const;
  void fault(const ExpectedPage& expected, std::string message);
  Task<> find_leaves_below(ExpectedPage lost, std::string message);
  Task<> list_leaves();
  Task<Frame*> fetch(const ExpectedPage& expected);
  /// False: nothing in the page can be used.
  bool check_page(PageView page, const ExpectedPage& expected);
  void push_children(PageView page);

  ExaminationState& state_;
  TreeId tree_;
  TreeWalk::Purpose purpose_;
  Bytes from_;
  PageId root_{};
  std::vector<ExpectedPage> todo_;
  std::size_t read_to_ = 0;  // what lies in todo_ from here on was read ahead
  // An inner page that was just found to be lost, and why; and all leaves of the tree, once they were listed.
  std::optional<std::pair<ExpectedPage, std::string>> lost_;
  std::optional<std::vector<ExpectedPage>> leaves_;
  Frame* leaf_ = nullptr;
  std::uint32_t first_ = 0;
  std::uint32_t end_ = 0;
  KeyBuffer key_{};
};

}  // namespace cenote::store
