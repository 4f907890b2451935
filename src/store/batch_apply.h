#pragma once

#include <cstdint>
#include <vector>

#include "cenote/base/error.h"
#include "cenote/store/operation.h"
#include "store_state.h"

namespace cenote::store {

/// Checks a batch against the state and then changes the state by it: the one piece of code for both new batches and
/// replay, so that replay cannot mean something else.
///
///   prepare(encoded)   everything that can fail; nothing has changed
///   apply(encoded, lsn)   right after, without any wait in between
class BatchApply {
 public:
  enum class Mode : std::uint8_t {
    kLive,    ///< Extents must be reserved or owned: anything else is the caller's defect.
    kReplay,  ///< Extents come from the media: a contradiction is damage.
  };
  /// The most that a batch can take.
  struct Need {
    std::uint64_t frames = 0;   ///< frames of the cache that become dirty or new
    std::uint64_t created = 0;  ///< new pages among them
  };

  BatchApply(StoreState& state, Mode mode) : state_(state), mode_(mode) {}

  /// kPageFault; kNotFound or kExists (tree), kOutOfRange, kInvalidArgument; kCorrupt.
  Result<Need> prepare(ByteView encoded);
  /// Fails only in replay, with kCorrupt.
  Result<> apply(ByteView encoded, Lsn lsn);

 private:
  Result<> prepare_operation(const Operation& operation, Need& need);
  Result<> prepare_put(const Operation& operation, Need& need);
  Result<> prepare_create(const Operation& operation, Need& need);
  Result<> prepare_drop(const Operation& operation, Need& need);
  Result<> count_put(TreeId tree, ByteView key, std::size_t value_bytes, Need& need);
  Result<> require_tree(TreeId tree) const;
  bool made_here(TreeId tree) const;

  Result<> apply_operation(const Operation& operation, Lsn lsn);
  Result<> apply_extent(const Operation& operation, Lsn lsn);
  void create_tree(const Operation& operation, Lsn lsn);
  void drop_tree(TreeId tree, Lsn lsn);

  StoreState& state_;
  Mode mode_;
  // Of the batch being prepared.
  std::vector<Operation> creates_;
  std::vector<TreeId> drops_;
};

}  // namespace cenote::store
