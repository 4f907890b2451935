#pragma once

#include <map>
#include <set>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "cenote/cluster/pool_map.h"

namespace cenote::cluster {

/// Whether a level, a domain or a node may be called so: 1 to kMaxMapNameBytes letters, digits, '.', '_' and '-'.
bool is_map_name(std::string_view name);

/// Adds engines to a map that nobody sees yet; the caller throws it away after a failure.
class PoolMap::Builder {
 public:
  explicit Builder(PoolMap& map);
  /// Its targets are new, in the version that the map has.
  Result<> add(const EngineSpec& spec);

 private:
  Result<std::uint32_t> node_of(std::string_view path);
  Result<std::uint32_t> domain(std::uint32_t parent, std::string_view name);
  Result<> check(const EngineSpec& spec) const;

  PoolMap& map_;
  std::map<std::pair<std::uint32_t, std::string>, std::uint32_t> domains_;
  std::set<Rank> ranks_;
  std::set<Uuid> ids_;
};

}  // namespace cenote::cluster
