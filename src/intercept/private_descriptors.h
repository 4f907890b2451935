#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>

namespace cenote::intercept {

/// Descriptors that this library opened for itself: the program does not know them, and must neither use nor close
/// them. They have high numbers, out of the way of programs that want one in particular.
class PrivateDescriptors {
 public:
  static constexpr std::size_t kMost = 64;

  /// Moves one that was just opened out of the way and remembers it; its new number. One that cannot be remembered is
  /// closed (-1, EMFILE).
  int adopt(int descriptor);
  void forget(int descriptor);
  bool contains(int descriptor) const;
  /// The smallest number from `from` on; -1: none.
  int next(int from) const;
  /// In a child: closes what the parent goes on with, and forgets it.
  void close_all();

 private:
  /// Each is a number, or -1.
  std::atomic<int> numbers_[kMost] = {};
  std::atomic<std::size_t> used_{0};
};

/// The one of this process.
extern constinit PrivateDescriptors private_descriptors;

}  // namespace cenote::intercept
