#pragma once

#include <fmt/format.h>

#include "cenote/base/assert.h"
#include "cenote/cluster/pool_map.h"

// Maps for tests and for the seeds of fuzzers.
namespace cenote::cluster::map_examples {

inline Uuid id(std::uint64_t number) { return Uuid::from_random(0x1111'2222'3333'4444, number); }

/// An engine of `targets` targets of 1 TiB.
inline EngineSpec engine(std::string path, std::uint32_t rank, std::size_t targets,
                         std::uint64_t bytes = std::uint64_t{1} << 40) {
  return {.path = std::move(path),
          .rank = Rank(rank),
          .id = id(rank),
          .target_bytes = std::vector<std::uint64_t>(targets, bytes)};
}

/// `racks` racks of `nodes` nodes, each of one engine.
inline std::vector<EngineSpec> racks_of_engines(std::uint32_t racks, std::uint32_t nodes, std::size_t targets,
                                                std::uint32_t first_rack = 0) {
  std::vector<EngineSpec> engines;
  for (std::uint32_t rack = first_rack; rack < first_rack + racks; ++rack) {
    for (std::uint32_t node = 0; node < nodes; ++node)
      engines.push_back(engine(fmt::format("rack{}/node{}", rack, node), rack * nodes + node, targets));
  }
  return engines;
}

inline PoolMap map_of(const std::vector<EngineSpec>& engines) {
  auto map = PoolMap::create(id(0), {"rack"}, engines);
  ASSERT(map.has_value());
  return *std::move(map);
}

/// The example of docs/formats/pool-map.md.
inline PoolMap documented() {
  auto map = PoolMap::create(id(0), {"rack"}, std::vector{engine("a/n1", 3, 2)});
  ASSERT(map.has_value());
  const TargetId lost[] = {TargetId(1)};
  ASSERT(map->apply(MapOperation::kExclude, lost).has_value());
  return *std::move(map);
}

}  // namespace cenote::cluster::map_examples
