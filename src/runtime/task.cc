#include "cenote/runtime/task.h"

#include <algorithm>
#include <array>
#include <new>
#include <utility>

namespace cenote {
namespace {

#if !defined(CENOTE_ASAN) && !defined(CENOTE_TSAN)

// Frames of 64-byte size classes up to 16 KiB (requests are decoded in frames, and their keys lie there, too). So many
// of each wait for reuse on a thread, and no more than that are of 4 MiB.
constexpr std::size_t kClassBytes = 64;
constexpr std::size_t kClasses = 256;
constexpr std::size_t kKeptPerClass = 1024;
constexpr std::size_t kKeptBytesPerClass = 4u << 20;
constexpr std::size_t kept_of(std::size_t size_class) {
  return std::min(kKeptPerClass, kKeptBytesPerClass / ((size_class + 1) * kClassBytes));
}

struct FreeFrame {
  FreeFrame* next;
};

struct FramePool {
  std::array<FreeFrame*, kClasses> free{};
  std::array<std::size_t, kClasses> count{};

  ~FramePool() {
    for (FreeFrame* frame : free) {
      while (frame != nullptr) ::operator delete(std::exchange(frame, frame->next));
    }
  }
};

thread_local FramePool pool;

constexpr std::size_t class_of(std::size_t bytes) { return (bytes - 1) / kClassBytes; }

constexpr bool pooled(std::size_t bytes, std::align_val_t alignment) {
  return class_of(bytes) < kClasses && static_cast<std::size_t>(alignment) <= __STDCPP_DEFAULT_NEW_ALIGNMENT__;
}

#endif

}  // namespace

#if defined(CENOTE_ASAN) || defined(CENOTE_TSAN)

void* allocate_frame(std::size_t bytes, std::align_val_t alignment) { return ::operator new(bytes, alignment); }
void free_frame(void* frame, std::size_t bytes, std::align_val_t alignment) noexcept {
  ::operator delete(frame, bytes, alignment);
}

#else

void* allocate_frame(std::size_t bytes, std::align_val_t alignment) {
  if (!pooled(bytes, alignment)) return ::operator new(bytes, alignment);
  const std::size_t size_class = class_of(bytes);
  if (FreeFrame* frame = pool.free[size_class]) {
    pool.free[size_class] = frame->next;
    --pool.count[size_class];
    return frame;
  }
  return ::operator new((size_class + 1) * kClassBytes);
}

void free_frame(void* frame, std::size_t bytes, std::align_val_t alignment) noexcept {
  if (!pooled(bytes, alignment)) return ::operator delete(frame, bytes, alignment);
  const std::size_t size_class = class_of(bytes);
  if (pool.count[size_class] >= kept_of(size_class)) return ::operator delete(frame);
  auto* freed = static_cast<FreeFrame*>(frame);
  freed->next = pool.free[size_class];
  pool.free[size_class] = freed;
  ++pool.count[size_class];
}

#endif

}  // namespace cenote
