#include "cenote/runtime/task.h"

#include <array>
#include <new>

namespace cenote {
namespace {

#if !defined(CENOTE_ASAN) && !defined(CENOTE_TSAN)

// Frames of 64-byte size classes up to 4 KiB; at most kKeptPerClass of each wait for reuse on a thread.
constexpr std::size_t kClassBytes = 64;
constexpr std::size_t kClasses = 64;
constexpr std::size_t kKeptPerClass = 1024;

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

#endif

}  // namespace

#if defined(CENOTE_ASAN) || defined(CENOTE_TSAN)

void* allocate_frame(std::size_t bytes) { return ::operator new(bytes); }
void free_frame(void* frame, std::size_t bytes) noexcept { ::operator delete(frame, bytes); }

#else

void* allocate_frame(std::size_t bytes) {
  const std::size_t size_class = class_of(bytes);
  if (size_class >= kClasses) return ::operator new(bytes);
  if (FreeFrame* frame = pool.free[size_class]) {
    pool.free[size_class] = frame->next;
    --pool.count[size_class];
    return frame;
  }
  return ::operator new((size_class + 1) * kClassBytes);
}

void free_frame(void* frame, std::size_t bytes) noexcept {
  const std::size_t size_class = class_of(bytes);
  if (size_class >= kClasses || pool.count[size_class] >= kKeptPerClass) {
    ::operator delete(frame);
    return;
  }
  auto* freed = static_cast<FreeFrame*>(frame);
  freed->next = pool.free[size_class];
  pool.free[size_class] = freed;
  ++pool.count[size_class];
}

#endif

}  // namespace cenote
