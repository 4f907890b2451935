#pragma once

#include <algorithm>
#include <array>
#include <concepts>
#include <cstdint>
#include <string_view>

#include "cenote/base/bytes.h"

namespace cenote::fuzz {

/// Takes the bytes of an input apart; what is missing at its end reads as zero or empty, so that every input means
/// something.
class Input {
 public:
  Input(const std::uint8_t* data, std::size_t size) : rest_(std::as_bytes(std::span(data, size))) {}
  explicit Input(ByteView bytes) : rest_(bytes) {}

  std::uint8_t byte() { return rest_.empty() ? std::uint8_t{0} : static_cast<std::uint8_t>(take(1)[0]); }
  ByteView take(std::size_t count) {
    const ByteView taken = rest_.first(std::min(count, rest_.size()));
    rest_ = rest_.subspan(taken.size());
    return taken;
  }
  /// Two bytes of length, then as many bytes.
  ByteView part() {
    const std::size_t low = byte();
    return take(low | std::size_t{byte()} << 8);
  }
  ByteView rest() const { return rest_; }
  bool empty() const { return rest_.empty(); }

 private:
  ByteView rest_;
};

/// Runs one of a target's checks: the first byte of an input says which, the rest is what it checks. Checks take bytes
/// or text.
template <typename Checked, std::size_t kCount>
void run_selected(const std::uint8_t* data, std::size_t size, const std::array<void (*)(Checked), kCount>& checks) {
  Input input(data, size);
  if (input.empty()) return;
  const std::size_t which = input.byte();
  if constexpr (std::same_as<Checked, std::string_view>) {
    checks[which % kCount](as_text(input.rest()));
  } else {
    checks[which % kCount](input.rest());
  }
}

}  // namespace cenote::fuzz
