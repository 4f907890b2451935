#pragma once

#include "cenote/base/bytes.h"

namespace cenote::object {

/// LEB128: seven bits a byte, least significant first, high bit set on all but the last.
template <typename Out>
void append_varint(Out& out, std::uint64_t value) {
  while (value >= 0x80) {
    out.push_back(static_cast<std::byte>(value | 0x80));
    value >>= 7;
  }
  out.push_back(static_cast<std::byte>(value));
}

/// Reads stored bytes that nobody has vouched for: the first thing wrong makes it bad for good and everything after
/// reads as zero. A number with a superfluous last byte is wrong: each value has one encoding.
class VarintReader {
 public:
  explicit VarintReader(ByteView from) : rest_(from) {}

  std::uint64_t next() {
    std::uint64_t value = 0;
    for (std::uint32_t shift = 0; shift < 64; shift += 7) {
      const std::uint32_t byte = this->byte();
      value |= std::uint64_t{byte & 0x7f} << shift;
      if (byte < 0x80) {
        if ((byte == 0 && shift > 0) || (shift == 63 && byte > 1)) break;
        return bad_ ? 0 : value;
      }
    }
    bad_ = true;
    return 0;
  }
  std::uint64_t bounded(std::uint64_t limit) {
    const std::uint64_t value = next();
    if (value <= limit) return value;
    bad_ = true;
    return 0;
  }
  std::uint32_t byte() {
    if (bad_ || rest_.empty()) {
      bad_ = true;
      return 0;
    }
    const auto value = static_cast<std::uint32_t>(rest_[0]);
    rest_ = rest_.subspan(1);
    return value;
  }
  ByteView raw(std::uint64_t count) {
    if (bad_ || rest_.size() < count) {
      bad_ = true;
      return {};
    }
    const ByteView taken = rest_.first(count);
    rest_ = rest_.subspan(count);
    return taken;
  }
  bool bad() const { return bad_; }
  ByteView rest() const { return bad_ ? ByteView{} : rest_; }

 private:
  ByteView rest_;
  bool bad_ = false;
};

}  // namespace cenote::object
