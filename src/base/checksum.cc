#include "cenote/base/checksum.h"

#include <isa-l/crc.h>
#include <xxhash.h>

#include <climits>

#include "cenote/base/codec.h"

namespace cenote {
namespace {

// x^(8 * bytes) mod P as a linear operator on the 32-bit remainder, by squaring (the method of zlib's crc32_combine).
constexpr std::uint32_t kPolynomial = 0x82f63b78;  // CRC32C, reflected

constexpr std::uint32_t multiply_mod(std::uint32_t a, std::uint32_t b) {
  std::uint32_t product = 0;
  for (std::uint32_t bit = 1u << 31; bit != 0; bit >>= 1) {
    if ((a & bit) != 0) product ^= b;
    b = (b & 1) != 0 ? (b >> 1) ^ kPolynomial : b >> 1;
  }
  return product;
}

#if defined(__SSE4_2__)
// Up to here the instruction alone, eight bytes after eight, beats the set-up of the library's parallel streams.
constexpr std::size_t kShortBytes = 128;

std::uint32_t short_remainder(ByteView bytes, std::uint32_t remainder) {
  const std::byte* at = bytes.data();
  std::size_t left = bytes.size();
  std::uint64_t wide = remainder;
  for (; left >= 8; at += 8, left -= 8) wide = __builtin_ia32_crc32di(wide, load_le<std::uint64_t>(at));
  remainder = static_cast<std::uint32_t>(wide);
  if (left >= 4) {
    remainder = __builtin_ia32_crc32si(remainder, load_le<std::uint32_t>(at));
    at += 4;
    left -= 4;
  }
  for (; left > 0; ++at, --left) remainder = __builtin_ia32_crc32qi(remainder, std::to_integer<unsigned char>(*at));
  return remainder;
}
#endif

}  // namespace

std::uint32_t crc32c(ByteView bytes, std::uint32_t seed) {
#if defined(__SSE4_2__)
  if (bytes.size() <= kShortBytes) return ~short_remainder(bytes, ~seed);
#endif
  // ISA-L works on the inverted remainder and takes a non-const pointer and an int length.
  auto* data = reinterpret_cast<unsigned char*>(const_cast<std::byte*>(bytes.data()));
  std::uint32_t remainder = ~seed;
  std::size_t left = bytes.size();
  while (left > 0) {
    const int chunk = left > INT_MAX ? INT_MAX : static_cast<int>(left);
    remainder = crc32_iscsi(data, chunk, remainder);
    data += chunk;
    left -= static_cast<std::size_t>(chunk);
  }
  return ~remainder;
}

std::uint32_t crc32c_combine(std::uint32_t first, std::uint32_t second, std::uint64_t second_bytes) {
  // The reflected representation of x^0 is the top bit, of x^8 the bit eight below it.
  std::uint32_t shift = 1u << 31;
  std::uint32_t power = 1u << 23;
  for (std::uint64_t n = second_bytes; n != 0; n >>= 1) {
    if ((n & 1) != 0) shift = multiply_mod(shift, power);
    power = multiply_mod(power, power);
  }
  return multiply_mod(shift, first) ^ second;
}

std::uint64_t hash64(ByteView bytes, std::uint64_t seed) {
  return XXH3_64bits_withSeed(bytes.data(), bytes.size(), seed);
}

}  // namespace cenote
