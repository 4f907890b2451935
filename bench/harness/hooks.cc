#include "harness/hooks.h"

#include <atomic>
#include <cerrno>
#include <cstddef>

#include "harness/costs.h"

// Replaces malloc of the whole program (glibc calls ours instead of its own) and wraps the memcpy and memmove of what
// is linked statically (-Wl,--wrap). Neither leaves room for an object to hold the counts, hence the globals; neither
// may allocate, hence their constant initialisation.

extern "C" {
// NOLINTBEGIN(bugprone-reserved-identifier,readability-identifier-naming): names given by glibc and by the linker.
void* __libc_malloc(std::size_t bytes);
void* __libc_calloc(std::size_t count, std::size_t bytes);
void* __libc_realloc(void* memory, std::size_t bytes);
void* __libc_memalign(std::size_t alignment, std::size_t bytes);
void* __real_memcpy(void* to, const void* from, std::size_t bytes);
void* __real_memmove(void* to, const void* from, std::size_t bytes);
// NOLINTEND(bugprone-reserved-identifier,readability-identifier-naming)
}

namespace cenote::bench {
namespace {

struct AtomicCounts {
  std::atomic<std::uint64_t> allocations{0};
  std::atomic<std::uint64_t> allocated_bytes{0};
  std::atomic<std::uint64_t> payload_copied_bytes{0};
};

// NOLINTBEGIN(cppcoreguidelines-avoid-non-const-global-variables)
constinit std::atomic<bool> hooks_enabled{false};
constinit AtomicCounts process_counts;
constinit thread_local HookCounts thread_counts;
// NOLINTEND(cppcoreguidelines-avoid-non-const-global-variables)

void on_allocation(std::size_t bytes) {
  if (!hooks_enabled.load(std::memory_order_relaxed)) [[likely]]
    return;
  process_counts.allocations.fetch_add(1, std::memory_order_relaxed);
  process_counts.allocated_bytes.fetch_add(bytes, std::memory_order_relaxed);
  ++thread_counts.allocations;
  thread_counts.allocated_bytes += bytes;
}

void on_copy(std::size_t bytes) {
  if (bytes < kPayloadCopyBytes || !hooks_enabled.load(std::memory_order_relaxed)) [[likely]]
    return;
  process_counts.payload_copied_bytes.fetch_add(bytes, std::memory_order_relaxed);
  thread_counts.payload_copied_bytes += bytes;
}

}  // namespace

void enable_hooks(bool on) { hooks_enabled.store(on, std::memory_order_relaxed); }

HookCounts hook_counts_of_process() {
  return {.allocations = process_counts.allocations.load(std::memory_order_relaxed),
          .allocated_bytes = process_counts.allocated_bytes.load(std::memory_order_relaxed),
          .payload_copied_bytes = process_counts.payload_copied_bytes.load(std::memory_order_relaxed)};
}

HookCounts hook_counts_of_thread() { return thread_counts; }

}  // namespace cenote::bench

extern "C" {
// NOLINTBEGIN(bugprone-reserved-identifier,readability-identifier-naming)
void* malloc(std::size_t bytes) {
  cenote::bench::on_allocation(bytes);
  return __libc_malloc(bytes);
}

void* calloc(std::size_t count, std::size_t bytes) {
  cenote::bench::on_allocation(count * bytes);
  return __libc_calloc(count, bytes);
}

void* realloc(void* memory, std::size_t bytes) {
  cenote::bench::on_allocation(bytes);
  return __libc_realloc(memory, bytes);
}

void* aligned_alloc(std::size_t alignment, std::size_t bytes) {
  cenote::bench::on_allocation(bytes);
  return __libc_memalign(alignment, bytes);
}

int posix_memalign(void** memory, std::size_t alignment, std::size_t bytes) {
  cenote::bench::on_allocation(bytes);
  *memory = __libc_memalign(alignment, bytes);
  return *memory == nullptr ? ENOMEM : 0;
}

void* __wrap_memcpy(void* to, const void* from, std::size_t bytes) {
  cenote::bench::on_copy(bytes);
  return __real_memcpy(to, from, bytes);
}

void* __wrap_memmove(void* to, const void* from, std::size_t bytes) {
  cenote::bench::on_copy(bytes);
  return __real_memmove(to, from, bytes);
}
// NOLINTEND(bugprone-reserved-identifier,readability-identifier-naming)
}
