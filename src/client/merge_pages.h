#pragma once

#include <vector>

#include "cenote/protocol/object_requests.h"

namespace cenote::async {

/// Order of the keys in the listing that `request` asks for.
bool listed_before(const ListRequest& request, ByteView a, ByteView b);

/// One page of a listing from the pages of several targets, all asked with `request`: ascending, each key once, at most
/// `request.limit`, and complete up to its anchor. Each page must be complete up to its own anchor, and may be empty
/// before it. Not for kExtents, which one target answers alone.
ListReply merge_pages(std::vector<ListReply> pages, const ListRequest& request);

}  // namespace cenote::async
