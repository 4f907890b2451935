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

Payload& Payload::operator=(Payload&& other) noexcept {
  if (this == &other) return *this;
  clear();
  parts_ = std::move(other.parts_);
  return *this;
}

Payload::Parts& Payload::parts() {
  if (!parts_) parts_ = std::make_unique<Parts>();
  return *parts_;
}

void Payload::add(media::Buffer buffer, std::uint32_t offset, std::uint32_t bytes) {
  ASSERT(offset <= buffer.size() && bytes <= buffer.size() - offset);
  add_static(buffer.span().subspan(offset, bytes));
  parts().buffers.push_back(std::move(buffer));
}

void Payload::add(ByteView memory, PayloadOwner& owner) {
  add_static(memory);
  parts().owners.push_back(&owner);
}

void Payload::add_static(ByteView memory) {
  parts().spans.push_back(memory);
  parts().bytes += memory.size();
}

void Payload::clear() {
  if (!parts_) return;
  // An owner may do anything in release, also destroy itself.
  const std::unique_ptr<Parts> parts = std::move(parts_);
  for (PayloadOwner* owner : parts->owners) owner->release();
}

}  // namespace cenote::rpc
