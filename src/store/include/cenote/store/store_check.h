#pragma once

#include <optional>
#include <vector>

#include "cenote/store/store.h"

namespace cenote::store {

/// What a check went through.
struct CheckReport {
  std::uint64_t trees = 0;
  std::uint64_t pages = 0;
  std::uint64_t images = 0;  ///< page images read from the media and verified
  std::uint64_t extents = 0;
  std::uint64_t extent_blocks = 0;
};

/// Proves that the store agrees with itself: every tree is in order, every page belongs to exactly one of them, every
/// page image on the media is whole, no block is used twice, and the bitmap is exactly what pages and extents use. The
/// first contradiction is kCorrupt and named.
///
/// `owned`: all extents that the trees' contents refer to, which only the layer above can know; without it, extents are
/// what the bitmap has besides pages, and only checked for not lying on pages. Reads every page. Nothing may change the
/// store meanwhile; its background work is paused.
Task<Result<CheckReport>> check_store(Store& store, std::optional<std::vector<Extent>> owned);

}  // namespace cenote::store
