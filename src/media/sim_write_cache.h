#pragma once

#include <cstdint>
#include <map>
#include <vector>

#include "block_map.h"
#include "cenote/media/sim_device.h"

namespace cenote::media {

/// The writes of a simulated device that are not durable yet: those in flight and those that completed without a flush.
/// Writes of one block take effect in the order of their submission.
///
/// Invariants (check_invariants):
///  - A piece is live until its contents are on the medium or a later write of the same block is; `by_block_` lists
///    exactly the writes with a live piece of a block, in order of submission.
///  - A completed write has a live piece; without one it is forgotten.
class SimWriteCache {
 public:
  /// One block of a write. Null contents: the block becomes unwritten (a discard).
  struct Piece {
    BlockNo block;
    SharedBlock contents;
    bool live = true;
  };
  /// Place in the order of submission, from 1.
  using Order = std::uint64_t;

  explicit SimWriteCache(SimMedium& medium) : medium_(medium) {}

  /// Adds a write in flight; pieces in ascending order of blocks.
  Order begin(std::vector<Piece> pieces);
  /// From here on reads see it.
  void complete(Order order);
  /// Puts it on the medium. Nothing happens if it is there already, or superseded in all its blocks.
  void make_durable(Order order);
  /// Every write completed so far: what a flush submitted now covers.
  std::vector<Order> completed() const;
  /// The whole cache reaches the medium.
  void drain();

  /// What a read finds. `draw` decides, block by block, whether a read sees a write that is still in flight.
  void read(BlockNo block, MutableBytes into, SimWorld& draw) const;
  /// The blocks of [from, end) that were ever written: those on the medium and those of any write here.
  std::vector<BlockNo> blocks_with_contents(BlockNo from, BlockNo end) const;
  /// Applies to `onto`, a copy of the medium or the medium itself, what a crash would keep.
  void resolve(SimMedium& onto, CrashOptions options, SimWorld& draw) const;
  void clear();

  void check_invariants() const;

 private:
  struct Write {
    std::vector<Piece> pieces;
    std::size_t live = 0;
    bool completed = false;
  };

  static Piece& piece_of(Write& write, BlockNo block);
  static const Piece& piece_of(const Write& write, BlockNo block);
  void drop_piece(Order order, BlockNo block);
  /// `order` and every earlier write of the block stop being live in it.
  void settle_block(BlockNo block, Order order);

  SimMedium& medium_;
  Order last_order_ = 0;
  std::map<Order, Write> writes_;
  std::map<std::uint64_t, std::vector<Order>> by_block_;
};

}  // namespace cenote::media
