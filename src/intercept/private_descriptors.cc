#include "private_descriptors.h"

#include <fcntl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>

#include "guard.h"

namespace cenote::intercept {
namespace {

// Programs count from the bottom; above this, tables of theirs would grow for nothing.
constexpr rlim_t kHighest = 1u << 16;
constexpr rlim_t kRoom = 128;

int close_really(int descriptor) { return static_cast<int>(::syscall(SYS_close, descriptor)); }

/// From where on to look for a free number.
int high_place() {
  rlimit limit{};
  if (::getrlimit(RLIMIT_NOFILE, &limit) != 0) return 0;
  const rlim_t end = std::min(limit.rlim_cur, kHighest);
  return static_cast<int>(end > 2 * kRoom ? end - kRoom : end / 2);
}

}  // namespace

constinit PrivateDescriptors private_descriptors;

int PrivateDescriptors::adopt(int descriptor) {
  if (descriptor < 0) return descriptor;
  const int moved = static_cast<int>(::syscall(SYS_fcntl, descriptor, F_DUPFD_CLOEXEC, high_place()));
  if (moved >= 0) {
    close_really(descriptor);
    descriptor = moved;
  }
  // Stored as one more than the number, so that nothing is 0.
  for (std::atomic<int>& slot : numbers_) {
    int nothing = 0;
    if (slot.compare_exchange_strong(nothing, descriptor + 1)) {
      used_.fetch_add(1);
      return descriptor;
    }
  }
  close_really(descriptor);
  errno = EMFILE;
  return -1;
}

void PrivateDescriptors::forget(int descriptor) {
  for (std::atomic<int>& slot : numbers_) {
    int expected = descriptor + 1;
    if (slot.compare_exchange_strong(expected, 0)) used_.fetch_sub(1);
  }
}

bool PrivateDescriptors::contains(int descriptor) const {
  if (used_.load(std::memory_order_relaxed) == 0) return false;
  return std::ranges::any_of(
      numbers_, [&](const std::atomic<int>& slot) { return slot.load(std::memory_order_relaxed) == descriptor + 1; });
}

int PrivateDescriptors::next(int from) const {
  int found = -1;
  for (const std::atomic<int>& slot : numbers_) {
    const int number = slot.load(std::memory_order_relaxed) - 1;
    if (number >= std::max(from, 0) && (found < 0 || number < found)) found = number;
  }
  return found;
}

void PrivateDescriptors::close_all() {
  for (std::atomic<int>& slot : numbers_) {
    if (const int stored = slot.exchange(0); stored != 0) close_really(stored - 1);
  }
  used_.store(0);
}

}  // namespace cenote::intercept
