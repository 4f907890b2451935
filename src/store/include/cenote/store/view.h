#pragma once

#include <optional>
#include <string_view>

#include "cenote/base/error.h"
#include "cenote/store/batch.h"
#include "cenote/store/types.h"

namespace cenote::store {

class StoreImpl;
class Trees;
struct Frame;
struct LeafPosition;

/// What a plain function given to `Store::run` may do: look at the trees and, last, change them. Nothing here waits.
/// When a page is missing the call fails with kPageFault and when there is no log room with kMustWait; the function
/// returns that error (TRY does) and `Store::run` calls it again once the reason is gone, from its beginning: it must
/// have no side effect before `apply` has succeeded.
class View {
 public:
  View(const View&) = delete;
  View& operator=(const View&) = delete;

  /// The value, or nullopt. The bytes stay valid until `apply` or until the function returns.
  Result<std::optional<ByteView>> get(TreeId tree, ByteView key);

  /// The tree of this name, if there is one.
  std::optional<TreeId> find_tree(std::string_view name);

  /// Applies the batch to the trees, at once and in full, and queues its log record. Its Lsn is what a reply that
  /// depends on it must wait for. kNoSpace, kKeyTooLarge, kValueTooLarge, kOutOfRange, kExists (tree name), kNotFound
  /// (tree), kFenced: then nothing has changed.
  Result<Lsn> apply(const Batch& batch);

  /// The highest Lsn that anything read through this view may hold, errors and "not there" included: a reply must not
  /// leave before it is durable (I4).
  Lsn seen() const { return seen_; }

 private:
  friend class Attempts;
  friend class Cursor;
  friend class StoreImpl;
  friend struct ViewMaker;  // of the cursor's tests, which need no store
  View(StoreImpl& store, Trees& trees) : store_(store), trees_(trees) {}

  void note_answer(const Error& error);

  StoreImpl& store_;
  Trees& trees_;
  Lsn seen_{};
  bool applied_ = false;
};

/// Ordered walk over one tree, valid inside one call of the function given to `Store::run` and until `apply`. A move
/// that finds nothing, or fails, leaves the position as it was.
class Cursor {
 public:
  Cursor(View& view, TreeId tree) : view_(view), tree_(tree) {}

  /// Positions at the first entry with key >= `key`. False: there is none.
  Result<bool> seek(ByteView key);
  /// Positions at the last entry with key <= `key`. False: there is none.
  Result<bool> seek_at_most(ByteView key);
  /// To the entry behind or before the present position, which there must be. False: there is none.
  Result<bool> next();
  Result<bool> previous();

  /// Of the present position; valid until the cursor moves.
  ByteView key() const { return key_; }
  /// Of the present position; like what View::get gives it stays valid until `apply` or until the function returns,
  /// wherever the cursor moves: looking at pages that are cached evicts none.
  ByteView value() const { return value_; }

 private:
  Result<bool> move_to(const Result<std::optional<LeafPosition>>& found);

  View& view_;
  TreeId tree_;
  Frame* leaf_ = nullptr;
  std::uint32_t slot_ = 0;
  KeyBuffer key_buffer_;  // the prefix of the page put back before the suffix
  ByteView key_;
  ByteView value_;
};

}  // namespace cenote::store
