#pragma once

#include <string_view>

#include "cenote/base/bytes.h"
#include "cenote/base/error.h"
#include "cenote/store/types.h"

namespace cenote::store {

/// Who may use the space that is kept back when the store is nearly full.
enum class SpaceClass : std::uint8_t {
  kForeground,  ///< Refused with kNoSpace once only the reserve is left.
  kCompaction,  ///< May use a quarter of the reserve, from which it makes room.
  kReclaim,     ///< Deletes, punches, aggregation: may use half of the reserve, since they give space back.
};

/// A set of changes that become visible and durable together or not at all. It is kept in the form of the log record,
/// so that committing costs one copy and replay runs the same code. Limits are checked by `Store::run` when it applies
/// the batch. Reusable after `clear`.
class Batch {
 public:
  void put(TreeId tree, ByteView key, ByteView value);
  /// Erasing a key that is not there is no error.
  void erase(TreeId tree, ByteView key);
  /// `id` comes from `Store::next_tree_id`; the name must be free.
  void create_tree(TreeId id, std::string_view name);
  /// Removes the name at once; pages are reclaimed in slices.
  void drop_tree(TreeId id);
  /// Makes a reserved extent owned: from now on it stays allocated until released.
  void claim(Extent extent);
  /// Gives an owned extent back; its blocks are reused when this batch is durable and no ExtentGuard from before is
  /// left.
  void release(Extent extent);
  void set_space_class(SpaceClass space_class) { space_class_ = space_class; }

  SpaceClass space_class() const { return space_class_; }
  bool empty() const { return operations_ == 0; }
  /// Whether extents are claimed: their data must be durable before the log record is.
  bool claims() const { return claims_; }
  /// kOk, or why the batch cannot be applied.
  Code flaw() const { return flaw_; }
  std::uint32_t operations() const { return operations_; }
  /// The encoded operations, as the log stores them (docs/formats/store.md).
  ByteView encoded() const { return encoded_; }
  void clear();

 private:
  bool admit(Code flaw);

  Bytes encoded_;
  std::uint32_t operations_ = 0;
  std::uint32_t entries_ = 0;  // puts and erases
  Code flaw_ = Code::kOk;
  bool claims_ = false;
  SpaceClass space_class_ = SpaceClass::kForeground;
};

}  // namespace cenote::store
