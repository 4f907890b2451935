#include "cenote/rpc/bulk.h"

#include "cenote/base/assert.h"

namespace cenote::rpc {

MutableBytes PulledBulk::span(std::size_t index) const {
  ASSERT(index < count_);
  const std::size_t before = index * media::BufferPool::kMaxBufferBytes;
  const std::size_t left = bytes_ - before;
  return buffers_[index].span().first(left < media::BufferPool::kMaxBufferBytes ? left
                                                                                : media::BufferPool::kMaxBufferBytes);
}

Payload::Payload(Payload&& other) noexcept
    : spans_(std::move(other.spans_)),
      buffers_(std::move(other.buffers_)),
      owners_(std::move(other.owners_)),
      bytes_(std::exchange(other.bytes_, 0)) {
  other.owners_.clear();
  other.spans_.clear();
}

Payload& Payload::operator=(Payload&& other) noexcept {
  if (this == &other) return *this;
  clear();
  spans_.swap(other.spans_);
  buffers_.swap(other.buffers_);
  owners_.swap(other.owners_);
  bytes_ = std::exchange(other.bytes_, 0);
  return *this;
}

void Payload::add(media::Buffer buffer, std::uint32_t offset, std::uint32_t bytes) {
  ASSERT(offset <= buffer.size() && bytes <= buffer.size() - offset);
  add_static(buffer.span().subspan(offset, bytes));
  buffers_.push_back(std::move(buffer));
}

void Payload::add(ByteView memory, PayloadOwner& owner) {
  add_static(memory);
  owners_.push_back(&owner);
}

void Payload::add_static(ByteView memory) {
  spans_.push_back(memory);
  bytes_ += memory.size();
}

void Payload::clear() {
  spans_.clear();
  buffers_.clear();
  bytes_ = 0;
  // An owner may do anything in release, also destroy itself.
  for (PayloadOwner* owner : std::exchange(owners_, {})) owner->release();
}

}  // namespace cenote::rpc
