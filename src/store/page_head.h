#pragma once

#include <cstddef>
#include <cstdint>

#include "cenote/base/bytes.h"
#include "cenote/base/codec.h"

namespace cenote::store {

inline constexpr std::size_t kHeadBytes = 4;

/// The first four bytes of a suffix as a number, zeros after its end: equal or smaller whenever the suffix is smaller.
inline std::uint32_t head_of(ByteView suffix) {
  if (suffix.size() >= kHeadBytes) return load_be<std::uint32_t>(suffix.data());
  std::uint32_t head = 0;
  for (std::size_t i = 0; i < suffix.size(); ++i) head |= std::to_integer<std::uint32_t>(suffix[i]) << (24 - 8 * i);
  return head;
}

}  // namespace cenote::store
