#pragma once

#include <bit>
#include <concepts>
#include <cstring>

#include "cenote/base/bytes.h"
#include "cenote/base/error.h"

namespace cenote {

/// Little-endian integers at an unaligned address: the byte order of every format of Cenote. The caller has checked
/// the bounds.
template <std::unsigned_integral T>
T load_le(const std::byte* from) {
  T value;
  std::memcpy(&value, from, sizeof value);
  if constexpr (std::endian::native == std::endian::big) value = std::byteswap(value);
  return value;
}
template <std::unsigned_integral T>
void store_le(std::byte* to, T value) {
  if constexpr (std::endian::native == std::endian::big) value = std::byteswap(value);
  std::memcpy(to, &value, sizeof value);
}
/// Big-endian, only where byte order must be numeric order (keys).
template <std::unsigned_integral T>
T load_be(const std::byte* from) {
  T value;
  std::memcpy(&value, from, sizeof value);
  if constexpr (std::endian::native == std::endian::little) value = std::byteswap(value);
  return value;
}
template <std::unsigned_integral T>
void store_be(std::byte* to, T value) {
  if constexpr (std::endian::native == std::endian::little) value = std::byteswap(value);
  std::memcpy(to, &value, sizeof value);
}

/// Appends to a byte vector: fixed integers, length-prefixed strings. Never fails; the writer of a bounded format
/// checks its bounds before.
class Encoder {
 public:
  explicit Encoder(Bytes& out) : out_(out) {}

  template <std::unsigned_integral T>
  void integer(T value) {
    const std::size_t at = out_.size();
    out_.resize(at + sizeof value);
    store_le(out_.data() + at, value);
  }
  void raw(ByteView bytes) { out_.insert(out_.end(), bytes.begin(), bytes.end()); }
  /// u32 length, then the bytes.
  void blob(ByteView bytes) {
    integer(static_cast<std::uint32_t>(bytes.size()));
    raw(bytes);
  }
  void text(std::string_view value) { blob(as_bytes(value)); }
  void zeros(std::size_t count) { out_.resize(out_.size() + count); }
  std::size_t size() const { return out_.size(); }

 private:
  Bytes& out_;
};

/// Reads what Encoder wrote, from bytes that nobody has vouched for. The first read past the end makes the decoder
/// bad for good and every later read returns zero or empty; the caller checks `finish()` once, before it uses any
/// value.
class Decoder {
 public:
  explicit Decoder(ByteView from) : rest_(from) {}

  template <std::unsigned_integral T>
  T integer() {
    if (!take(sizeof(T))) return 0;
    return load_le<T>(taken_);
  }
  /// View into the source; valid as long as the source.
  ByteView raw(std::size_t count) {
    if (!take(count)) return {};
    return {taken_, count};
  }
  ByteView blob(std::size_t limit = SIZE_MAX) {
    const auto count = integer<std::uint32_t>();
    if (count > limit) bad_ = true;
    return raw(count);
  }
  std::string text(std::size_t limit) { return to_text(blob(limit)); }
  /// Padding that must be zero.
  void zeros(std::size_t count) {
    for (std::byte value : raw(count)) bad_ = bad_ || value != std::byte{0};
  }
  /// Marks the input as malformed, for a rule the caller checked itself.
  void require(bool holds) { bad_ = bad_ || !holds; }

  bool bad() const { return bad_; }
  std::size_t remaining() const { return bad_ ? 0 : rest_.size(); }
  ByteView rest() const { return bad_ ? ByteView{} : rest_; }
  /// kMalformed naming `what` unless every read succeeded and nothing is left over.
  Result<> finish(std::string_view what) const;
  /// The same, where trailing bytes are allowed.
  Result<> check(std::string_view what) const;

 private:
  bool take(std::size_t count) {
    if (bad_ || rest_.size() < count) {
      bad_ = true;
      return false;
    }
    taken_ = rest_.data();
    rest_ = rest_.subspan(count);
    return true;
  }

  ByteView rest_;
  const std::byte* taken_ = nullptr;
  bool bad_ = false;
};

}  // namespace cenote
