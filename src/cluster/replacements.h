#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "fault_tree.h"
#include "slot_table.h"

namespace cenote::cluster {

/// `base` with every entry of a target that is not in `members` given to one that is. What an entry becomes hangs on
/// its own draws and on its own group; other losses matter only where a target would get more than its share. So a
/// further loss moves what the lost target had, and a return brings it back, with little else.
SlotTable replace_lost(const FaultTree& tree, const SlotTable& base, std::span<const std::uint32_t> members);

/// How many rows of a round one behind another, anywhere in the table, hold no target twice.
std::uint32_t rows_without_repetition(const SlotTable& table, std::size_t target_count);

}  // namespace cenote::cluster
