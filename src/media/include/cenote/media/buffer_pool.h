#pragma once

#include <cstdint>
#include <memory>
#include <span>

#include "cenote/base/bytes.h"
#include "cenote/base/error.h"
#include "cenote/runtime/sync.h"

namespace cenote::media {

inline constexpr std::uint64_t kHugePageBytes = 2u << 20;
/// Asks for huge pages where the system gives them to who asks (transparent_hugepage = madvise): whole ones of
/// `memory`, which begins at a multiple of one. Refused, memory is slower and no less right.
void prefer_huge_pages(MutableBytes memory);

/// The unit of every device access, of alignment and of the allocator.
inline constexpr std::uint32_t kBlockBytes = 4096;

class BufferPool;

/// Block-aligned memory for I/O, owned; returns to its pool when destroyed. A buffer belongs to its I/O until that has
/// completed. Move-only.
class Buffer {
 public:
  Buffer() = default;
  /// Memory that somebody else owns and keeps, unchanged by others, for as long as this object lives: block-aligned
  /// whole blocks. It returns to no pool, so this is how a buffer is lent to another reactor.
  static Buffer borrow(MutableBytes memory);
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
  std::uint32_t run_ = 0;  // number of its first block in the pool
  int registered_index_ = -1;
};

struct BufferPoolOptions {
  /// Bound on the memory of all buffers together; rounded down to whole blocks.
  std::uint64_t budget_bytes = 64ull << 20;
};

/// Makes the slabs of a pool known to a ring. The pool owns it, tells it of every slab once, and destroys it before the
/// slabs are unmapped.
class SlabRegistrar {
 public:
  SlabRegistrar() = default;
  SlabRegistrar(const SlabRegistrar&) = delete;
  SlabRegistrar& operator=(const SlabRegistrar&) = delete;
  virtual ~SlabRegistrar() = default;
  /// Index under which the ring knows slab number `slab`, or -1 when it does not; its buffers then do ordinary I/O.
  virtual int add(std::size_t slab, MutableBytes memory) = 0;
};

/// Aligned I/O buffers of one reactor, in power-of-two size classes from one block to `kMaxBufferBytes`, carved from
/// slabs that a device can register. Slabs are made when they are first needed and kept until the pool goes; memory
/// never exceeds the budget. Freed neighbours join again, so any size can be had when enough contiguous memory of a
/// slab is free. Under AddressSanitizer memory outside live buffers is poisoned. Destroyed only after all its buffers.
class BufferPool {
 public:
  static constexpr std::uint32_t kMaxBufferBytes = 2u << 20;

  BufferPool(Reactor& reactor, BufferPoolOptions options = {});
  ~BufferPool();

  /// kResourceExhausted when the budget is spent, when what is left of it is too scattered, or when others wait
  /// already; kOutOfRange above kMaxBufferBytes or for 0. Contents are undefined.
  Result<Buffer> try_allocate(std::uint32_t bytes);
  /// Waits for memory, first come first served: a large request at the head is not overtaken by small ones. Besides
  /// the errors of the wait, kOutOfRange for a size that the budget can never hold.
  Task<Result<Buffer>> allocate(std::uint32_t bytes, Until until);

  /// Bytes of the size classes of all live buffers: what they take from the budget.
  std::uint64_t used_bytes() const;
  std::uint64_t budget_bytes() const;
  /// The slabs made so far.
  std::span<const MutableBytes> slabs() const;
  /// Tells `registrar` of all slabs, now and as they are made; once per pool. Buffers allocated before keep index -1.
  void register_slabs(std::unique_ptr<SlabRegistrar> registrar);
  bool registered() const;
  void check_invariants() const;

 private:
  friend class Buffer;
  /// An empty buffer when there is no room.
  Buffer take(std::uint32_t bytes);
  void free(Buffer& buffer);
  void serve_waiting();
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace cenote::media
