#include "cenote/base/uuid.h"

#include <algorithm>

#include "cenote/base/checksum.h"
#include "cenote/base/codec.h"
#include "cenote/base/format.h"

namespace cenote {
namespace {

constexpr std::string_view kShape = "xxxxxxxx-xxxx-xxxx-xxxx-xxxxxxxxxxxx";

int hex_value(char digit) {
  if (digit >= '0' && digit <= '9') return digit - '0';
  if (digit >= 'a' && digit <= 'f') return digit - 'a' + 10;
  if (digit >= 'A' && digit <= 'F') return digit - 'A' + 10;
  return -1;
}

}  // namespace

Uuid Uuid::from_random(std::uint64_t high, std::uint64_t low) {
  Uuid id;
  store_be(id.bytes_.data(), (high & ~std::uint64_t{0xf000}) | 0x4000);
  store_be(id.bytes_.data() + 8, (low & ~(std::uint64_t{3} << 62)) | (std::uint64_t{2} << 62));
  return id;
}

Result<Uuid> Uuid::parse(std::string_view text) {
  const auto malformed = [&] { return failf(Code::kInvalidArgument, "'{}' is no UUID (want {})", text, kShape); };
  if (text.size() != kShape.size()) return malformed();
  Uuid id;
  std::size_t digits = 0;
  for (std::size_t i = 0; i < text.size(); ++i) {
    if (kShape[i] == '-') {
      if (text[i] != '-') return malformed();
      continue;
    }
    const int value = hex_value(text[i]);
    if (value < 0) return malformed();
    id.bytes_[digits / 2] |= static_cast<std::byte>(digits % 2 == 0 ? value << 4 : value);
    ++digits;
  }
  return id;
}

Uuid Uuid::from_bytes(std::span<const std::byte, 16> bytes) {
  Uuid id;
  std::ranges::copy(bytes, id.bytes_.begin());
  return id;
}

std::string Uuid::to_string() const {
  const std::string digits = to_hex(bytes_);
  std::string text;
  std::size_t next = 0;
  for (char c : kShape) text += c == '-' ? '-' : digits[next++];
  return text;
}

}  // namespace cenote

std::size_t std::hash<cenote::Uuid>::operator()(const cenote::Uuid& id) const noexcept {
  return cenote::hash64(id.bytes());
}
