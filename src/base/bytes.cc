#include "cenote/base/bytes.h"

namespace cenote {
namespace {

constexpr char kHexDigits[] = "0123456789abcdef";

void append_hex(std::string& text, std::byte value) {
  text += kHexDigits[std::to_integer<unsigned>(value) >> 4];
  text += kHexDigits[std::to_integer<unsigned>(value) & 15];
}

}  // namespace

std::string to_hex(ByteView bytes) {
  std::string text;
  text.reserve(bytes.size() * 2);
  for (std::byte value : bytes) append_hex(text, value);
  return text;
}

std::string printable(ByteView bytes, std::size_t limit) {
  std::string text;
  for (std::byte value : bytes.first(bytes.size() < limit ? bytes.size() : limit)) {
    const auto character = std::to_integer<unsigned char>(value);
    if (character >= 0x20 && character < 0x7f && character != '\\') {
      text += static_cast<char>(character);
    } else {
      text += "\\x";
      append_hex(text, value);
    }
  }
  if (bytes.size() > limit) text += "...";
  return text;
}

}  // namespace cenote
