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
  take(other);
  return *this;
}

// Precondition: this one is empty.
void Payload::take(Payload& other) {
  only_ = other.only_;
  only_owner_ = std::exchange(other.only_owner_, nullptr);
  bytes_ = std::exchange(other.bytes_, 0);
  any_ = std::exchange(other.any_, false);
  more_ = std::move(other.more_);
}

Payload::Parts& Payload::more() {
  if (more_) return *more_;
  more_ = std::make_unique<Parts>();
  if (any_) more_->spans.push_back(only_);
  if (only_owner_ != nullptr) more_->owners.push_back(std::exchange(only_owner_, nullptr));
  return *more_;
}

void Payload::add_span(ByteView memory) {
  if (any_) {
    more().spans.push_back(memory);
  } else {
    only_ = memory;
    any_ = true;
  }
  bytes_ += memory.size();
}

void Payload::add(media::Buffer buffer, std::uint32_t offset, std::uint32_t bytes) {
  ASSERT(offset <= buffer.size() && bytes <= buffer.size() - offset);
  add_span(buffer.span().subspan(offset, bytes));
  more().buffers.push_back(std::move(buffer));
}

void Payload::add(ByteView memory, PayloadOwner& owner) {
  const bool first = !any_;
  add_span(memory);
  if (first) {
    only_owner_ = &owner;
  } else {
    more().owners.push_back(&owner);
  }
}

void Payload::add_static(ByteView memory) { add_span(memory); }

void Payload::clear() {
  // An owner may do anything in release, also destroy itself.
  const std::unique_ptr<Parts> more = std::move(more_);
  PayloadOwner* const only = std::exchange(only_owner_, nullptr);
  bytes_ = 0;
  any_ = false;
  if (only != nullptr) only->release();
  if (!more) return;
  for (PayloadOwner* owner : more->owners) owner->release();
}

}  // namespace cenote::rpc
