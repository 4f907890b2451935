#pragma once

#include "page.h"
#include "store_seal.h"

/// Pages on the media of a sealed store (docs/formats/page.md, "Sealed image"). In memory a page is always plain. The
/// image takes no more room than the page: nonce and tag stand in the place of the hints, which can be made again from
/// the slots.
namespace cenote::store {

/// Writes the sealed and stamped image of `page` to `image`, both of kPageBytes and not the same memory. The page may
/// be read by others meanwhile.
Result<> seal_page(const std::byte* page, MutableBytes image, Sealer& sealer);

/// Makes a page in memory of an image, in place, and checks it against every rule of the format. `seal` is null in a
/// store that is not sealed. kCorrupt names page and rule.
Result<> open_page(MutableBytes image, PageId expected, StoreSeal* seal);

}  // namespace cenote::store
