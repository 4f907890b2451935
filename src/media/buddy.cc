#include "buddy.h"

#include <algorithm>
#include <bit>

#include "cenote/base/assert.h"

namespace cenote::media {

std::uint32_t BuddyAllocator::add_region(std::uint32_t blocks) {
  ASSERT(blocks > 0 && blocks <= kRunBlocksMax);
  const auto first = static_cast<std::uint32_t>(blocks_.size());
  blocks_.resize(blocks_.size() + kRunBlocksMax);
  // A region that is no power of two is a descending sequence of runs, each aligned to its own size.
  std::uint32_t at = 0;
  while (at < blocks) {
    const auto order = static_cast<unsigned>(std::bit_width(blocks - at)) - 1;
    link(first + at, order);
    at += 1u << order;
  }
  free_blocks_ += blocks;
  return first;
}

std::optional<std::uint32_t> BuddyAllocator::allocate(unsigned order) {
  ASSERT(order <= kMaxOrder);
  unsigned found = order;
  while (found <= kMaxOrder && free_[found] == kNone) ++found;
  if (found > kMaxOrder) return std::nullopt;
  const std::uint32_t first = free_[found];
  unlink(first);
  while (found > order) {
    --found;
    link(first + (1u << found), found);
  }
  blocks_[first].state = State::kAllocated;
  blocks_[first].order = static_cast<std::uint8_t>(order);
  free_blocks_ -= 1u << order;
  return first;
}

void BuddyAllocator::free(std::uint32_t first, unsigned order) {
  ASSERT(first < blocks_.size());
  ASSERT(blocks_[first].state == State::kAllocated && blocks_[first].order == order);
  blocks_[first].state = State::kInside;
  free_blocks_ += 1u << order;
  while (order < kMaxOrder) {
    const std::uint32_t buddy = first ^ (1u << order);
    if (blocks_[buddy].state != State::kFree || blocks_[buddy].order != order) break;
    unlink(buddy);
    first = std::min(first, buddy);
    ++order;
  }
  link(first, order);
}

void BuddyAllocator::link(std::uint32_t first, unsigned order) {
  Block& block = blocks_[first];
  block = {.next = free_[order], .previous = kNone, .order = static_cast<std::uint8_t>(order), .state = State::kFree};
  if (block.next != kNone) blocks_[block.next].previous = first;
  free_[order] = first;
}

void BuddyAllocator::unlink(std::uint32_t first) {
  Block& block = blocks_[first];
  if (block.previous == kNone) {
    free_[block.order] = block.next;
  } else {
    blocks_[block.previous].next = block.next;
  }
  if (block.next != kNone) blocks_[block.next].previous = block.previous;
  block = {};
}

void BuddyAllocator::check_invariants() const {
  std::uint64_t counted = 0, listed = 0;
  for (std::uint32_t at = 0; at < blocks_.size();) {
    const Block& block = blocks_[at];
    if (block.state == State::kInside) {
      ++at;  // past the end of a short region
      continue;
    }
    const std::uint32_t run = 1u << block.order;
    ASSERT(at % run == 0 && at + run <= blocks_.size());
    for (std::uint32_t inside = at + 1; inside < at + run; ++inside) ASSERT(blocks_[inside].state == State::kInside);
    if (block.state == State::kFree) {
      counted += run;
      const Block& buddy = blocks_[at ^ run % kRunBlocksMax];
      ASSERT(run == kRunBlocksMax || buddy.state != State::kFree || buddy.order != block.order);
    }
    at += run;
  }
  for (unsigned order = 0; order <= kMaxOrder; ++order) {
    for (std::uint32_t at = free_[order]; at != kNone; at = blocks_[at].next) {
      ASSERT(blocks_[at].state == State::kFree && blocks_[at].order == order);
      ASSERT(blocks_[at].next == kNone || blocks_[blocks_[at].next].previous == at);
      listed += 1u << order;
    }
  }
  ASSERT(counted == free_blocks_ && listed == free_blocks_);
}

}  // namespace cenote::media
