#include "map_builder.h"

#include <algorithm>

#include "cenote/base/format.h"

namespace cenote::cluster {
namespace {

bool is_name_character(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '.' || c == '_' || c == '-';
}

}  // namespace

bool is_map_name(std::string_view name) {
  return !name.empty() && name.size() <= kMaxMapNameBytes && std::ranges::all_of(name, is_name_character);
}

PoolMap::Builder::Builder(PoolMap& map) : map_(map) {
  for (std::uint32_t i = 0; i < map.domains_.size(); ++i)
    domains_.emplace(std::pair(map.domains_[i].parent, map.domains_[i].name), i);
  for (const MapEngine& engine : map.engines_) {
    ranks_.insert(engine.rank);
    ids_.insert(engine.id);
  }
}

Result<> PoolMap::Builder::add(const EngineSpec& spec) {
  CHECK_OK(check(spec));
  TRY(const std::uint32_t node, node_of(spec.path));
  ranks_.insert(spec.rank);
  ids_.insert(spec.id);
  const auto engine = static_cast<std::uint32_t>(map_.engines_.size());
  map_.engines_.push_back({.node = node, .rank = spec.rank, .id = spec.id});
  std::uint16_t index = 0;
  for (const std::uint64_t bytes : spec.target_bytes)
    map_.targets_.push_back({.engine = engine, .index = index++, .bytes = bytes, .changed = map_.version_});
  return {};
}

Result<> PoolMap::Builder::check(const EngineSpec& spec) const {
  const std::uint32_t rank = spec.rank.value();
  if (ranks_.contains(spec.rank)) return failf(Code::kExists, "the pool has an engine of rank {}", rank);
  if (ids_.contains(spec.id)) return failf(Code::kExists, "the pool has the engine {}", spec.id.to_string());
  if (spec.target_bytes.empty()) return failf(Code::kInvalidArgument, "the engine of rank {} has no target", rank);
  if (std::ranges::count(spec.target_bytes, 0u) > 0)
    return failf(Code::kInvalidArgument, "the engine of rank {} has a target of no size", rank);
  if (spec.target_bytes.size() > kMaxEngineTargets || map_.engines_.size() == kMaxMapEngines ||
      map_.targets_.size() + spec.target_bytes.size() > kMaxMapTargets)
    return failf(Code::kOutOfRange, "at most {} targets in an engine, {} engines and {} targets in a pool",
                 kMaxEngineTargets, kMaxMapEngines, kMaxMapTargets);
  return {};
}

Result<std::uint32_t> PoolMap::Builder::node_of(std::string_view path) {
  std::uint32_t at = Domain::kRoot;
  std::size_t depth = 0;
  for (std::string_view rest = path;; ++depth) {
    const std::size_t slash = rest.find('/');
    const std::string_view name = rest.substr(0, slash);
    if (!is_map_name(name) || depth > map_.levels_.size()) break;
    TRY(at, domain(at, name));
    if (slash == std::string_view::npos) {
      ++depth;
      break;
    }
    rest.remove_prefix(slash + 1);
  }
  if (depth == map_.levels_.size() + 1 && std::ranges::count(path, '/') == std::ssize(map_.levels_)) return at;
  return failf(
      Code::kInvalidArgument,
      "'{}' is no path of a node of this pool: {} names and a slash between each two, of letters, digits, '.', '_' "
      "and '-', each at most {} long",
      printable(as_bytes(path)), map_.levels_.size() + 1, kMaxMapNameBytes);
}

Result<std::uint32_t> PoolMap::Builder::domain(std::uint32_t parent, std::string_view name) {
  const auto next = static_cast<std::uint32_t>(map_.domains_.size());
  const auto [at, is_new] = domains_.try_emplace(std::pair(parent, std::string(name)), next);
  if (!is_new) return at->second;
  if (next == kMaxMapDomains) return failf(Code::kOutOfRange, "at most {} domains in a pool", kMaxMapDomains);
  map_.domains_.push_back({.parent = parent, .name = std::string(name)});
  return next;
}

}  // namespace cenote::cluster
