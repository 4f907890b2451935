#pragma once

#include "core.h"
#include "history_page.h"

namespace cenote::object {

/// Whether an entry is what a page has at its key; how it is stored is each target's own business.
bool is_same(const HistoryEntry& copied, const Entry& entry);

/// Erases what the container holds in a page's range, of what the cover names and not newer than it says, where it is
/// not in the page, or there with another content: what is left from earlier times. Before the page is put.
Task<Result<>> erase_leftovers(Core& core, Uuid container, const HistoryContent& page, const HistoryCover& cover,
                               Until until, store::Lsn& seen);

}  // namespace cenote::object
