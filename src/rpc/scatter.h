#pragma once

#include <sys/uio.h>

#include <cstring>
#include <span>

#include "cenote/base/bytes.h"

namespace cenote::rpc {

/// Calls `visit(span)` for the parts of a scatter list from byte `offset` on, until it returns false.
template <typename Byte, typename Visit>
void visit_from(std::span<const std::span<Byte>> list, std::size_t offset, Visit visit) {
  for (std::span<Byte> part : list) {
    if (offset >= part.size()) {
      offset -= part.size();
      continue;
    }
    if (!visit(part.subspan(offset))) return;
    offset = 0;
  }
}

/// Copies into the list from byte `offset` on; the list has room.
inline void scatter(std::span<const MutableBytes> list, std::size_t offset, ByteView from) {
  visit_from(list, offset, [&](MutableBytes part) {
    const std::size_t count = from.size() < part.size() ? from.size() : part.size();
    if (count > 0) std::memcpy(part.data(), from.data(), count);
    from = from.subspan(count);
    return !from.empty();
  });
}

inline iovec to_iovec(ByteView bytes) {
  return {const_cast<std::byte*>(bytes.data()), bytes.size()};  // the kernel's type knows no const
}

}  // namespace cenote::rpc
