#pragma once

#include <cstddef>
#include <cstring>
#include <memory>
#include <new>

#include "cenote/base/assert.h"
#include "cenote/base/bytes.h"
#include "cenote/media/buffer_pool.h"

namespace cenote::store {

/// Block-aligned memory of a fixed size for the store's own metadata I/O. Owned; move-only; zeroed when made.
class AlignedBuffer {
 public:
  AlignedBuffer() = default;
  /// `bytes` is a multiple of a block.
  explicit AlignedBuffer(std::size_t bytes)
      : data_(static_cast<std::byte*>(::operator new(bytes, std::align_val_t{media::kBlockBytes}))), bytes_(bytes) {
    ASSERT(bytes % media::kBlockBytes == 0);
    std::memset(data_.get(), 0, bytes);
  }

  std::byte* data() const { return data_.get(); }
  std::size_t size() const { return bytes_; }
  MutableBytes span() const { return {data_.get(), bytes_}; }
  MutableBytes first(std::size_t bytes) const { return span().first(bytes); }

 private:
  struct Free {
    void operator()(std::byte* memory) const { ::operator delete(memory, std::align_val_t{media::kBlockBytes}); }
  };
  std::unique_ptr<std::byte, Free> data_;
  std::size_t bytes_ = 0;
};

}  // namespace cenote::store
