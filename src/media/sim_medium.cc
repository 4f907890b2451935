#include <algorithm>
#include <cstring>

#include "block_map.h"
#include "cenote/base/assert.h"
#include "cenote/media/sim_device.h"

namespace cenote::media {
namespace {

// splitmix64 (Steele, Lea, Flood, 2014): a good sequence from any start, without state to keep.
std::uint64_t mix(std::uint64_t value) {
  value += 0x9e3779b97f4a7c15;
  value = (value ^ (value >> 30)) * 0xbf58476d1ce4e5b9;
  value = (value ^ (value >> 27)) * 0x94d049bb133111eb;
  return value ^ (value >> 31);
}

}  // namespace

// Copy-on-write: copying the map shares every block with the original.
struct SimMedium::Impl {
  BlockMap blocks;
};

SimMedium::SimMedium(std::uint64_t blocks) : blocks_(blocks), impl_(std::make_unique<Impl>()) {}
SimMedium::~SimMedium() = default;

std::uint64_t SimMedium::block_count() const { return blocks_; }

void SimMedium::read_block(BlockNo block, MutableBytes into) const {
  ASSERT(block.value() < blocks_ && into.size() == kBlockBytes);
  const SharedBlock contents = impl_->blocks.find(block.value());
  if (contents) {
    copy_bytes(contents->bytes, into);
  } else {
    unwritten_contents(block, into);
  }
}

void SimMedium::unwritten_contents(BlockNo block, MutableBytes into) {
  const std::uint64_t start = mix(block.value());
  for (std::size_t at = 0; at < kBlockBytes; at += sizeof start) {
    const std::uint64_t word = mix(start + at);  // none waits for the one before: recovery reads megabytes of this
    std::memcpy(into.data() + at, &word, sizeof word);
  }
}

void SimMedium::write_block(BlockNo block, ByteView from) {
  ASSERT(from.size() == kBlockBytes);
  auto contents = std::make_shared<BlockContents>();
  copy_bytes(from, contents->bytes);
  store_shared(block, std::move(contents));
}

void SimMedium::store_shared(BlockNo block, std::shared_ptr<const BlockContents> contents) {
  ASSERT(block.value() < blocks_);
  impl_->blocks.store(block.value(), std::move(contents));
}

void SimMedium::erase_block(BlockNo block) { store_shared(block, nullptr); }

bool SimMedium::written(BlockNo block) const { return impl_->blocks.find(block.value()) != nullptr; }

BlockNo SimMedium::next_written(BlockNo from, BlockNo end) const {
  return BlockNo(impl_->blocks.next_stored(from.value(), end.value()));
}

std::unique_ptr<SimMedium> SimMedium::clone() const {
  auto copy = std::make_unique<SimMedium>(blocks_);
  copy->impl_->blocks = impl_->blocks;
  return copy;
}

void SimMedium::grow(std::uint64_t blocks) {
  ASSERT(blocks >= blocks_);
  blocks_ = blocks;
}

}  // namespace cenote::media
