#include "sim_write_cache.h"

#include <algorithm>
#include <ranges>
#include <set>
#include <utility>

#include "cenote/base/assert.h"

namespace cenote::media {
namespace {

constexpr std::size_t kSectorBytes = 512;
constexpr std::size_t kSectors = kBlockBytes / kSectorBytes;

enum class Fate { kKept, kLost, kTorn };

Fate draw_fate(CrashOptions options, SimWorld& draw) {
  if (!options.keep_random) return Fate::kLost;
  switch (draw.random_below(options.tear ? 3 : 2)) {
    case 0:
      return Fate::kKept;
    case 1:
      return Fate::kLost;
    default:
      return Fate::kTorn;
  }
}

// Either the first or the last sectors of the new contents reach the medium; the others keep what was there.
void tear_block(SimMedium& onto, const SimWriteCache::Piece& piece, SimWorld& draw) {
  BlockContents torn;
  onto.read_block(piece.block, torn.bytes);
  const std::size_t cut = (1 + draw.random_below(kSectors - 1)) * kSectorBytes;
  const bool keep_head = draw.chance(1, 2);
  const auto from = keep_head ? 0 : cut;
  const auto count = keep_head ? cut : kBlockBytes - cut;
  std::copy_n(piece.contents->bytes.begin() + from, count, torn.bytes.begin() + from);
  onto.write_block(piece.block, torn.bytes);
}

}  // namespace

SimWriteCache::Piece& SimWriteCache::piece_of(Write& write, BlockNo block) {
  auto found = std::ranges::lower_bound(write.pieces, block, {}, &Piece::block);
  ASSERT(found != write.pieces.end() && found->block == block);
  return *found;
}

const SimWriteCache::Piece& SimWriteCache::piece_of(const Write& write, BlockNo block) {
  return piece_of(const_cast<Write&>(write), block);
}

SimWriteCache::Order SimWriteCache::begin(std::vector<Piece> pieces) {
  const Order order = ++last_order_;
  for (const Piece& piece : pieces) by_block_[piece.block.value()].push_back(order);
  const std::size_t live = pieces.size();
  writes_.emplace(order, Write{.pieces = std::move(pieces), .live = live, .completed = false});
  return order;
}

void SimWriteCache::complete(Order order) {
  auto found = writes_.find(order);
  ASSERT(found != writes_.end() && !found->second.completed);
  found->second.completed = true;
  if (found->second.live == 0) writes_.erase(found);
}

void SimWriteCache::make_durable(Order order) {
  auto found = writes_.find(order);
  if (found == writes_.end()) return;
  ASSERT(found->second.completed);
  // Settling drops pieces and, with the last one, the write itself.
  const std::vector<Piece> pieces = found->second.pieces;
  for (const Piece& piece : pieces) {
    if (!piece.live) continue;
    medium_.store_shared(piece.block, piece.contents);
    settle_block(piece.block, order);
  }
}

void SimWriteCache::settle_block(BlockNo block, Order order) {
  auto found = by_block_.find(block.value());
  ASSERT(found != by_block_.end());
  std::vector<Order>& orders = found->second;
  while (!orders.empty() && orders.front() <= order) {
    drop_piece(orders.front(), block);
    orders.erase(orders.begin());
  }
  if (orders.empty()) by_block_.erase(found);
}

void SimWriteCache::drop_piece(Order order, BlockNo block) {
  auto found = writes_.find(order);
  ASSERT(found != writes_.end());
  Piece& piece = piece_of(found->second, block);
  ASSERT(piece.live);
  piece.live = false;
  piece.contents = nullptr;
  --found->second.live;
  if (found->second.live == 0 && found->second.completed) writes_.erase(found);
}

std::vector<SimWriteCache::Order> SimWriteCache::completed() const {
  std::vector<Order> orders;
  for (const auto& [order, write] : writes_) {
    if (write.completed) orders.push_back(order);
  }
  return orders;
}

void SimWriteCache::drain() {
  for (Order order : completed()) make_durable(order);
}

void SimWriteCache::read(BlockNo block, MutableBytes into, SimWorld& draw) const {
  auto found = by_block_.find(block.value());
  const SharedBlock* seen = nullptr;
  if (found != by_block_.end()) {
    for (Order order : std::views::reverse(found->second)) {
      const Write& write = writes_.at(order);
      if (!write.completed && draw.chance(1, 2)) continue;
      seen = &piece_of(write, block).contents;
      break;
    }
  }
  if (seen == nullptr) return medium_.read_block(block, into);
  if (*seen == nullptr) return SimMedium::unwritten_contents(block, into);
  copy_bytes((*seen)->bytes, into);
}

std::vector<BlockNo> SimWriteCache::blocks_with_contents(BlockNo from, BlockNo end) const {
  std::set<BlockNo> blocks;
  for (BlockNo at = medium_.next_written(from, end); at < end;) {
    blocks.insert(at);
    at = medium_.next_written(BlockNo(at.value() + 1), end);
  }
  for (auto at = by_block_.lower_bound(from.value()); at != by_block_.end() && at->first < end.value(); ++at) {
    blocks.insert(BlockNo(at->first));
  }
  return {blocks.begin(), blocks.end()};
}

void SimWriteCache::resolve(SimMedium& onto, CrashOptions options, SimWorld& draw) const {
  for (const auto& [order, write] : writes_) {
    const Fate fate = draw_fate(options, draw);
    if (fate == Fate::kLost) continue;
    const std::size_t torn_at = fate == Fate::kTorn ? draw.random_below(write.pieces.size()) : write.pieces.size();
    for (std::size_t i = 0; i < write.pieces.size(); ++i) {
      const Piece& piece = write.pieces[i];
      if (!piece.live) continue;
      if (i == torn_at && piece.contents) {
        tear_block(onto, piece, draw);
      } else if (fate == Fate::kKept || draw.chance(1, 2)) {
        onto.store_shared(piece.block, piece.contents);
      }
    }
  }
}

void SimWriteCache::clear() {
  writes_.clear();
  by_block_.clear();
}

void SimWriteCache::check_invariants() const {
  std::size_t live = 0, listed = 0;
  for (const auto& [order, write] : writes_) {
    ASSERT(order <= last_order_);
    ASSERT(!write.completed || write.live > 0);
    ASSERT(std::ranges::is_sorted(write.pieces, {}, &Piece::block));
    ASSERT(static_cast<std::size_t>(std::ranges::count(write.pieces, true, &Piece::live)) == write.live);
    live += write.live;
  }
  for (const auto& [block, orders] : by_block_) {
    ASSERT(!orders.empty() && std::ranges::is_sorted(orders));
    for (Order order : orders) ASSERT(piece_of(writes_.at(order), BlockNo(block)).live);
    listed += orders.size();
  }
  ASSERT(live == listed);
}

}  // namespace cenote::media
