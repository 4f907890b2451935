#pragma once

#include <sys/types.h>

#include <array>
#include <atomic>
#include <cstddef>

#include "spin_lock.h"

namespace cenote::intercept {

/// Something in a mount, as the kernel names it.
struct Target {
  dev_t device = 0;
  ino_t number = 0;
  friend bool operator==(const Target&, const Target&) = default;
};

/// A few files. One more than it has room for, and it holds all there are for good.
class FileSet {
 public:
  static constexpr std::size_t kRoom = 256;

  void insert(Target target);
  void erase(Target target);
  bool contains(Target target);
  /// To be held across a fork.
  SpinLock& lock() { return lock_; }

 private:
  Target* find(Target target);

  SpinLock lock_;
  std::array<Target, kRoom> targets_{};
  std::atomic<std::size_t> count_{0};
  std::atomic<bool> holds_all_{false};
};

}  // namespace cenote::intercept
