#pragma once

#include <cstdint>

#include "cenote/base/bytes.h"

namespace cenote {

/// CRC32C (Castagnoli, RFC 3720), continued from `seed`: crc32c(ab) == crc32c(b, crc32c(a)).
std::uint32_t crc32c(ByteView bytes, std::uint32_t seed = 0);

/// CRC32C of the concatenation of two byte strings from their checksums and the length of the second.
std::uint32_t crc32c_combine(std::uint32_t first, std::uint32_t second, std::uint64_t second_bytes);

/// CRC32C of a byte string with so many zero bytes behind it, from its checksum alone. Up to a few KiB of zeros take
/// less than reading them would.
std::uint32_t crc32c_with_zeros(std::uint32_t crc, std::uint64_t zero_bytes);

/// XXH3, 64 bits: hashes for placement and tables, never for integrity. Part of the on-wire contract (dkey -> target).
std::uint64_t hash64(ByteView bytes, std::uint64_t seed = 0);

}  // namespace cenote
