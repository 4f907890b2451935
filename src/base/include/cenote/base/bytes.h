#pragma once

#include <compare>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "cenote/base/assert.h"

namespace cenote {

/// Read-only view of raw bytes; does not own them.
using ByteView = std::span<const std::byte>;
/// Writable view of raw bytes; does not own them.
using MutableBytes = std::span<std::byte>;
/// Owned bytes, for control paths; the hot paths use views and `media::Buffer`.
using Bytes = std::vector<std::byte>;

inline ByteView as_bytes(std::string_view text) { return std::as_bytes(std::span(text.data(), text.size())); }
inline std::string_view as_text(ByteView bytes) { return {reinterpret_cast<const char*>(bytes.data()), bytes.size()}; }
inline std::string to_text(ByteView bytes) { return std::string(as_text(bytes)); }
inline Bytes to_bytes(ByteView view) { return {view.begin(), view.end()}; }

/// Copies all of `from` to the front of `to`, which has room for it and does not overlap it. As one call: without
/// optimization, and under sanitizers, the algorithms of the library go byte by byte.
inline void copy_bytes(ByteView from, MutableBytes to) {
  ASSERT(from.size() <= to.size());
  if (!from.empty()) std::memcpy(to.data(), from.data(), from.size());
}

/// Order of unsigned bytes, a prefix before its extensions: the order of every tree.
inline std::strong_ordering compare(ByteView a, ByteView b) {
  const std::size_t common = a.size() < b.size() ? a.size() : b.size();
  const int order = common == 0 ? 0 : std::memcmp(a.data(), b.data(), common);
  if (order != 0) return order <=> 0;
  return a.size() <=> b.size();
}
inline bool equal(ByteView a, ByteView b) { return a.size() == b.size() && compare(a, b) == 0; }

/// Lower-case hexadecimal, two digits a byte.
std::string to_hex(ByteView bytes);

/// Printable form for messages and tools: printable ASCII as it is, the rest as \xNN, cut after `limit` bytes with
/// "...".
std::string printable(ByteView bytes, std::size_t limit = 64);

}  // namespace cenote
