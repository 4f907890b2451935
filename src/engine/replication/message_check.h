#pragma once

#include <gtest/gtest.h>

#include "cenote/base/bytes.h"
#include "cenote/base/error.h"

namespace cenote::engine {

/// Encodes, decodes, encodes again: the same. Cut anywhere, or longer, it is refused.
template <typename Message>
Message check(const Message& message, Result<Message> (*decode)(ByteView)) {
  Bytes bytes;
  encode(message, bytes);
  auto decoded = decode(bytes);
  EXPECT_TRUE(decoded.has_value()) << decoded.error().to_string();
  if (!decoded) return {};
  Bytes again;
  encode(*decoded, again);
  EXPECT_EQ(again, bytes);
  for (std::size_t size = 0; size < bytes.size(); ++size)
    EXPECT_FALSE(decode(ByteView(bytes).first(size)).has_value()) << size;
  bytes.push_back(std::byte{0});
  EXPECT_FALSE(decode(bytes).has_value());
  return *std::move(decoded);
}

}  // namespace cenote::engine
