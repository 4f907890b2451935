#include "cenote/media/buffer_pool.h"

#include <sys/mman.h>

#include <algorithm>
#include <bit>
#include <cstring>
#include <utility>
#include <vector>

#include "buddy.h"
#include "cenote/base/format.h"
#include "cenote/runtime/intrusive_list.h"

#if defined(CENOTE_ASAN)
#include <sanitizer/asan_interface.h>
#endif

namespace cenote::media {
namespace {

constexpr std::uint32_t kSlabBytes = BufferPool::kMaxBufferBytes;
static_assert(kSlabBytes == BuddyAllocator::kRunBlocksMax * kBlockBytes);

// Under ASan a touch of memory that is in no buffer ends the program; otherwise these cost nothing.
void forbid([[maybe_unused]] MutableBytes memory) {
#if defined(CENOTE_ASAN)
  ASAN_POISON_MEMORY_REGION(memory.data(), memory.size());
#endif
}
void permit([[maybe_unused]] MutableBytes memory) {
#if defined(CENOTE_ASAN)
  ASAN_UNPOISON_MEMORY_REGION(memory.data(), memory.size());
#endif
}

unsigned order_of(std::uint32_t bytes) {
  const std::uint32_t blocks = (bytes + kBlockBytes - 1) / kBlockBytes;
  return static_cast<unsigned>(std::bit_width(blocks - 1));
}

constexpr std::uint64_t run_bytes(unsigned order) { return std::uint64_t{kBlockBytes} << order; }

Result<> check_size(std::uint32_t bytes) {
  if (bytes > 0 && bytes <= BufferPool::kMaxBufferBytes) return {};
  return failf(Code::kOutOfRange, "buffer of {} bytes: a buffer has 1 to {} bytes", bytes, BufferPool::kMaxBufferBytes);
}

}  // namespace

void prefer_huge_pages(MutableBytes memory) {
  const std::size_t whole = memory.size() / kHugePageBytes * kHugePageBytes;
  if (whole > 0) static_cast<void>(::madvise(memory.data(), whole, MADV_HUGEPAGE));
}

// Invariants (check_invariants):
//  - Slab i holds the buddy allocator's blocks [i * kRunBlocksMax, ...); only the last slab may be shorter.
//  - The slabs together never exceed the budget; used_bytes is what the buddy allocator has handed out.
//  - A waiter that stands in `waiting` has no buffer; while one stands there nobody else is served before it.
struct BufferPool::Impl {
  /// A coroutine that waits for memory; lives in the frame of `allocate`.
  struct Ticket : ListNode<> {
    Ticket(Reactor& reactor, std::uint32_t bytes_wanted) : bytes(bytes_wanted), served(reactor) {}
    std::uint32_t bytes;
    Event served;
    Buffer buffer;
  };

  Impl(Reactor& owner, BufferPoolOptions options)
      : reactor(owner), budget_bytes(options.budget_bytes / kBlockBytes * kBlockBytes) {}

  bool add_slab();
  void tell_registrar(std::size_t slab);
  std::optional<std::uint32_t> take_run(unsigned order);
  void check_invariants() const;

  Reactor& reactor;
  std::uint64_t budget_bytes;
  std::uint64_t mapped_bytes = 0;
  std::uint64_t used_bytes = 0;
  BuddyAllocator runs;
  std::vector<MutableBytes> slabs;
  std::vector<int> registered;  // per slab: index in the ring's table, or -1
  std::unique_ptr<SlabRegistrar> registrar;
  IntrusiveList<Ticket> waiting;
};

bool BufferPool::Impl::add_slab() {
  const std::uint64_t bytes = std::min<std::uint64_t>(kSlabBytes, budget_bytes - mapped_bytes);
  if (bytes == 0) return false;
  void* memory = ::mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (memory == MAP_FAILED) return false;
  slabs.emplace_back(static_cast<std::byte*>(memory), bytes);
  registered.push_back(-1);
  mapped_bytes += bytes;
  runs.add_region(static_cast<std::uint32_t>(bytes / kBlockBytes));
  tell_registrar(slabs.size() - 1);
  forbid(slabs.back());
  return true;
}

void BufferPool::Impl::tell_registrar(std::size_t slab) {
  if (registrar) registered[slab] = registrar->add(slab, slabs[slab]);
}

std::optional<std::uint32_t> BufferPool::Impl::take_run(unsigned order) {
  std::optional<std::uint32_t> first = runs.allocate(order);
  if (!first && add_slab()) first = runs.allocate(order);
  return first;
}

void BufferPool::Impl::check_invariants() const {
  runs.check_invariants();
  std::uint64_t total = 0;
  for (std::size_t i = 0; i < slabs.size(); ++i) {
    ASSERT(slabs[i].size() == kSlabBytes || i + 1 == slabs.size());
    total += slabs[i].size();
  }
  ASSERT(total == mapped_bytes && mapped_bytes <= budget_bytes);
  ASSERT(used_bytes + runs.free_blocks() * kBlockBytes == mapped_bytes);
  ASSERT(registered.size() == slabs.size());
}

Buffer::Buffer(Buffer&& other) noexcept
    : pool_(std::exchange(other.pool_, nullptr)),
      data_(std::exchange(other.data_, nullptr)),
      bytes_(std::exchange(other.bytes_, 0)),
      size_class_(other.size_class_),
      run_(other.run_),
      registered_index_(std::exchange(other.registered_index_, -1)) {}

Buffer& Buffer::operator=(Buffer&& other) noexcept {
  if (this == &other) return *this;
  Buffer dropped(std::move(*this));
  pool_ = std::exchange(other.pool_, nullptr);
  data_ = std::exchange(other.data_, nullptr);
  bytes_ = std::exchange(other.bytes_, 0);
  size_class_ = other.size_class_;
  run_ = other.run_;
  registered_index_ = std::exchange(other.registered_index_, -1);
  return *this;
}

Buffer Buffer::borrow(MutableBytes memory) {
  ASSERT(memory.size() % kBlockBytes == 0 && memory.size() <= UINT32_MAX);
  Buffer buffer;
  buffer.data_ = memory.data();
  buffer.bytes_ = static_cast<std::uint32_t>(memory.size());
  return buffer;
}

Buffer::~Buffer() {
  if (pool_ != nullptr) pool_->free(*this);
}

BufferPool::BufferPool(Reactor& reactor, BufferPoolOptions options) : impl_(std::make_unique<Impl>(reactor, options)) {}

BufferPool::~BufferPool() {
  ASSERT(impl_->used_bytes == 0);
  ASSERT(impl_->waiting.empty());
  // The ring lets go of the slabs before they are unmapped.
  impl_->registrar.reset();
  for (MutableBytes slab : impl_->slabs) {
    permit(slab);
    ::munmap(slab.data(), slab.size());
  }
}

Result<Buffer> BufferPool::try_allocate(std::uint32_t bytes) {
  CHECK_OK(check_size(bytes));
  if (!impl_->waiting.empty()) return fail(Code::kResourceExhausted, "others wait for buffers");
  Buffer buffer = take(bytes);
  if (!buffer) {
    return failf(Code::kResourceExhausted, "no room for a buffer of {} bytes: {} of {} bytes in use", bytes,
                 impl_->used_bytes, impl_->budget_bytes);
  }
  return buffer;
}

Task<Result<Buffer>> BufferPool::allocate(std::uint32_t bytes, Until until) {
  CO_CHECK_OK(check_size(bytes));
  if (run_bytes(order_of(bytes)) > impl_->budget_bytes) {
    co_return failf(Code::kOutOfRange, "buffer of {} bytes never fits the pool's budget of {} bytes", bytes,
                    impl_->budget_bytes);
  }
  if (impl_->waiting.empty()) {
    if (Buffer buffer = take(bytes)) co_return buffer;
  }
  Impl::Ticket ticket(impl_->reactor, bytes);
  impl_->waiting.push_back(ticket);
  Result<> waited = co_await ticket.served.wait(until);
  if (!waited) {
    // One that gives up at the head may have been all that kept smaller requests behind it waiting.
    ticket.unlink();
    ticket.buffer = {};
    serve_waiting();
    co_return fail(std::move(waited).error());
  }
  co_return std::move(ticket.buffer);
}

Buffer BufferPool::take(std::uint32_t bytes) {
  const unsigned order = order_of(bytes);
  Buffer buffer;
  const std::optional<std::uint32_t> first = impl_->take_run(order);
  if (!first) return buffer;
  const std::uint32_t slab = *first / BuddyAllocator::kRunBlocksMax;
  const std::uint32_t offset = *first % BuddyAllocator::kRunBlocksMax * kBlockBytes;
  buffer.pool_ = this;
  buffer.data_ = impl_->slabs[slab].data() + offset;
  buffer.bytes_ = (bytes + kBlockBytes - 1) / kBlockBytes * kBlockBytes;
  buffer.size_class_ = order;
  buffer.run_ = *first;
  buffer.registered_index_ = impl_->registered[slab];
  impl_->used_bytes += run_bytes(order);
  permit(buffer.span());
  return buffer;
}

void BufferPool::free(Buffer& buffer) {
  ASSERT(buffer.pool_ == this);
  impl_->runs.free(buffer.run_, buffer.size_class_);
  impl_->used_bytes -= run_bytes(buffer.size_class_);
  forbid(buffer.span());
  buffer.pool_ = nullptr;
  serve_waiting();
}

void BufferPool::serve_waiting() {
  while (Impl::Ticket* ticket = impl_->waiting.front()) {
    ticket->buffer = take(ticket->bytes);
    if (!ticket->buffer) return;
    ticket->unlink();
    ticket->served.set();
  }
}

void BufferPool::register_slabs(std::unique_ptr<SlabRegistrar> registrar) {
  ASSERT(!impl_->registrar);
  impl_->registrar = std::move(registrar);
  for (std::size_t slab = 0; slab < impl_->slabs.size(); ++slab) impl_->tell_registrar(slab);
}

bool BufferPool::registered() const { return impl_->registrar != nullptr; }
std::uint64_t BufferPool::used_bytes() const { return impl_->used_bytes; }
std::uint64_t BufferPool::budget_bytes() const { return impl_->budget_bytes; }
std::span<const MutableBytes> BufferPool::slabs() const { return impl_->slabs; }
void BufferPool::check_invariants() const { impl_->check_invariants(); }

}  // namespace cenote::media
