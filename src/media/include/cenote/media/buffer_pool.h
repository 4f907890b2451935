#pragma once

#include <cstdint>
#include <memory>
#include <span>

#include "cenote/base/bytes.h"
#include "cenote/base/error.h"
#include "cenote/runtime/sync.h"

namespace cenote::media {

/// The unit of every device access, of alignment and of the allocator.
inline constexpr std::uint32_t kBlockBytes = 4096;

class BufferPool;

/// Block-aligned memory for I/O, owned; returns to its pool when destroyed. A buffer belongs to its I/O until that has
/// completed. Move-only.
class Buffer {
 public:
  Buffer() = default;
  Buffer(Buffer&& other) noexcept;
  Buffer& operator=(Buffer&& other) noexcept;
  ~Buffer();

  std::byte* data() const { return data_; }
  /// Capacity: the size asked for, rounded up to whole blocks.
  std::uint32_t size() const { return bytes_; }
  MutableBytes span() const { return {data_, bytes_}; }
  explicit operator bool() const { return data_ != nullptr; }
  /// Index of the registered io_uring buffer this memory lies in, or -1.
  int registered_index() const { return registered_index_; }

 private:
  friend class BufferPool;
  BufferPool* pool_ = nullptr;
  std::byte* data_ = nullptr;
  std::uint32_t bytes_ = 0;
  std::uint32_t size_class_ = 0;
  int registered_index_ = -1;
};

struct BufferPoolOptions {
  /// Bound on the memory of all buffers together.
  std::uint64_t budget_bytes = 64ull << 20;
};

/// Aligned I/O buffers of one reactor, in power-of-two size classes from one block to `kMaxBufferBytes`, carved from
/// slabs that a device can register. Freed buffers are kept for reuse; memory never exceeds the budget.
class BufferPool {
 public:
  static constexpr std::uint32_t kMaxBufferBytes = 2u << 20;

  BufferPool(Reactor& reactor, BufferPoolOptions options = {});
  ~BufferPool();

  /// kResourceExhausted when the budget is spent, kOutOfRange above kMaxBufferBytes or for 0. Contents are undefined.
  Result<Buffer> try_allocate(std::uint32_t bytes);
  /// Waits for memory, first come first served.
  Task<Result<Buffer>> allocate(std::uint32_t bytes, Until until);

  std::uint64_t used_bytes() const;
  std::uint64_t budget_bytes() const;
  /// The slabs made so far, for registration with a ring.
  std::span<const MutableBytes> slabs() const;

 private:
  friend class Buffer;
  void free(Buffer& buffer);
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace cenote::media
