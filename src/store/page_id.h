#pragma once

#include <cstdint>

#include "cenote/base/strong.h"
#include "cenote/media/buffer_pool.h"

namespace cenote::store {

/// Logical number of a page: stable for the page's life, while every checkpoint moves the page to new blocks. The page
/// map translates it, so a parent names its children by PageId and does not change when they move. 0 is no page.
using PageId = Strong<struct PageIdTag>;

inline constexpr PageId kNoPage{};

inline constexpr std::uint32_t kPageBytes = 16384;
inline constexpr std::uint32_t kPageBlocks = kPageBytes / media::kBlockBytes;

}  // namespace cenote::store
