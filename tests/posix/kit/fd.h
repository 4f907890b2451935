#pragma once

#include <unistd.h>

#include <utility>

namespace cenote::posix_tests {

/// An open file descriptor, closed at the end.
class Fd {
 public:
  Fd() = default;
  explicit Fd(int number) : number_(number) {}
  Fd(Fd&& other) noexcept : number_(std::exchange(other.number_, -1)) {}
  Fd& operator=(Fd&& other) noexcept {
    if (this != &other) {
      close();
      number_ = std::exchange(other.number_, -1);
    }
    return *this;
  }
  Fd(const Fd&) = delete;
  Fd& operator=(const Fd&) = delete;
  ~Fd() { close(); }

  int get() const { return number_; }
  bool is_open() const { return number_ >= 0; }
  /// Returns what close(2) returned; 0 when nothing was open.
  int close() { return number_ < 0 ? 0 : ::close(std::exchange(number_, -1)); }
  int release() { return std::exchange(number_, -1); }

 private:
  int number_ = -1;
};

}  // namespace cenote::posix_tests
