#include "placer.h"

namespace cenote::bench {

void SimulatedPool::add_racks(std::uint32_t racks, std::uint32_t nodes, std::uint32_t targets_of_node) {
  const std::uint32_t first_rack = targets.empty() ? 0 : targets.back().rack + 1;
  std::uint32_t node = targets.empty() ? 0 : targets.back().node + 1;
  for (std::uint32_t rack = first_rack; rack < first_rack + racks; ++rack) {
    for (std::uint32_t end = node + nodes; node < end; ++node)
      targets.insert(targets.end(), targets_of_node, {.rack = rack, .node = node, .is_lost = false, .weight = 1});
  }
}

}  // namespace cenote::bench
