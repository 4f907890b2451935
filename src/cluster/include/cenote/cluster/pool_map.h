#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "cenote/base/bytes.h"
#include "cenote/base/error.h"
#include "cenote/base/strong.h"
#include "cenote/base/uuid.h"

namespace cenote::cluster {

/// Every change of a pool map makes a version one higher.
using MapVersion = Strong<struct MapVersionTag>;
/// Number of a target within its pool: its place in the map, for ever.
using TargetId = Strong<struct TargetIdTag, std::uint32_t>;
/// Number of an engine within its system.
using Rank = Strong<struct RankTag, std::uint32_t>;

inline constexpr TargetId kNoTarget{UINT32_MAX};

/// Bounds of a map; what is beyond them is neither made nor decoded.
inline constexpr std::size_t kMaxMapLevels = 8;  ///< levels of domains that users name, above the nodes
inline constexpr std::size_t kMaxMapNameBytes = 63;
inline constexpr std::size_t kMaxMapDomains = 65536;  ///< nodes included
inline constexpr std::size_t kMaxMapEngines = 65536;
inline constexpr std::size_t kMaxMapTargets = 131072;
inline constexpr std::size_t kMaxEngineTargets = 64;

/// What a target does for its pool. Numbers are stored.
enum class ComponentState : std::uint8_t {
  kNew = 1,       ///< In the tree, without data and without a part in placement.
  kUp = 2,        ///< Its data moves in: written, not yet read.
  kUpIn = 3,      ///< Complete.
  kDraining = 4,  ///< Complete, and its data moves out.
  kDown = 5,      ///< Lost; its data is made anew elsewhere.
  kDownOut = 6,   ///< Lost or drained; others have its data.
};
std::string_view state_name(ComponentState state);

/// A node, or one of the levels above it.
struct Domain {
  static constexpr std::uint32_t kRoot = UINT32_MAX;
  std::uint32_t parent = kRoot;  ///< index of the domain above
  std::string name;
  friend bool operator==(const Domain&, const Domain&) = default;
};

struct MapEngine {
  std::uint32_t node = 0;  ///< index of its domain
  Rank rank;
  Uuid id;
  friend bool operator==(const MapEngine&, const MapEngine&) = default;
};

struct MapTarget {
  std::uint32_t engine = 0;  ///< index of its engine
  std::uint16_t index = 0;   ///< within the engine
  ComponentState state = ComponentState::kNew;
  std::uint64_t bytes = 0;  ///< its weight in placement: fixed when it is added
  MapVersion changed;       ///< version of the last change of its state
  MapVersion joined;        ///< version in which it was activated; 0: never
  MapVersion left;          ///< version in which it last ceased to be complete; 0: never
  friend bool operator==(const MapTarget&, const MapTarget&) = default;
};

/// An engine to be added, with its targets.
struct EngineSpec {
  std::string path;  ///< "rack1/node7": one name for each level of the pool, then that of the node
  Rank rank;
  Uuid id;
  std::vector<std::uint64_t> target_bytes;
};

/// What can be asked of a target. `settle` is asked of the map.
enum class MapOperation : std::uint8_t { kActivate, kExclude, kDrain, kReintegrate };

/// Bits of stored maps that this version knows: none so far (docs/formats/pool-map.md).
struct MapFeatures {
  std::uint32_t incompatible = 0;
  std::uint32_t read_only_compatible = 0;
  std::uint32_t compatible = 0;
  friend bool operator==(const MapFeatures&, const MapFeatures&) = default;
};

/// The tree of a pool (root, levels that users name, nodes, engines, targets) in one version. Components are never
/// removed and keep their numbers. An operation that is refused leaves the map as it was; one that is not makes the
/// next version. A value: copies are independent; nothing is durable by itself.
///
/// Two sets of targets follow from the states. Those that *should* hold the data: up and up-in. Those that the data was
/// last complete on, at version `settled`: up-in, draining and down, and what is up again after it left later than
/// that. Placement turns each set into a layout; data moves from the second to the first, and `settle` ends the move.
class PoolMap {
 public:
  /// A pool whose first engines are complete at once, as there is no data: version 1. `levels` are the names of the
  /// kinds of domains above the node ("site", "rack"), the highest first. kInvalidArgument, kOutOfRange: as for `add`.
  static Result<PoolMap> create(Uuid pool, std::vector<std::string> levels, std::span<const EngineSpec> engines);

  /// Adds engines; their targets are new. kInvalidArgument: a path of another depth or with a bad name, a target of no
  /// size, no target. kExists: a rank or an engine that is there. kOutOfRange: beyond a bound.
  Result<> add(std::span<const EngineSpec> engines);
  /// Asks one thing of all of `targets`. kInvalidArgument, naming the first for which it is not legal.
  Result<> apply(MapOperation operation, std::span<const TargetId> targets);
  /// Ends the move towards the layout of version `moved`: all data is where that version wants it. kStaleMap: what
  /// should hold data has changed since, so the move is longer. kInvalidArgument: nothing moves.
  Result<> settle(MapVersion moved);

  /// The same map, so many versions later: where versions may have been published that nobody knows of any more.
  void skip_versions(std::uint64_t count) { version_ = MapVersion(version_.value() + count); }

  Uuid pool() const { return pool_; }
  MapVersion version() const { return version_; }
  MapVersion settled() const { return settled_; }
  MapFeatures features() const { return features_; }
  std::span<const std::string> levels() const { return levels_; }
  std::span<const Domain> domains() const { return domains_; }
  std::span<const MapEngine> engines() const { return engines_; }
  std::span<const MapTarget> targets() const { return targets_; }
  const MapTarget& target(TargetId id) const { return targets_[id.value()]; }

  /// "rack1/node7".
  std::string path_of(const MapEngine& engine) const;
  /// The targets below a domain, an engine ("rack1/node7/4": its rank), or of one ("rack1/node7/4/0": its index there).
  /// kNotFound: no such component. The empty path is the root.
  Result<std::vector<TargetId>> below(std::string_view path) const;
  /// State and version of a component with these targets: that of its most useful target, and the latest of all
  /// versions.
  ComponentState state_of(std::span<const TargetId> targets) const;
  MapVersion changed_of(std::span<const TargetId> targets) const;

  /// Whether the target should hold data.
  bool is_wanted(const MapTarget& target) const;
  /// Whether the data was last complete with this target in its place.
  bool is_relied_on(const MapTarget& target) const;
  /// Whether all that belongs on the target is there and can be read.
  static bool is_complete(const MapTarget& target);
  /// Whether data may lie elsewhere than it should: the two sets differ, or what joined since the last settle was lost.
  bool is_moving() const;

  /// Asserts what the class promises of the states and versions of each target.
  void check_invariants() const;

  friend bool operator==(const PoolMap&, const PoolMap&) = default;

 private:
  friend Result<PoolMap> decode_pool_map(ByteView bytes);
  friend Bytes encode_pool_map(const PoolMap& map);

  PoolMap() = default;
  class Builder;
  Result<> require_writable() const;
  const char* broken_rule() const;
  const char* broken_rule_of_tree() const;
  const char* broken_rule_of(const MapTarget& target) const;

  Uuid pool_;
  MapVersion version_;
  MapVersion settled_;
  MapFeatures features_;
  std::vector<std::string> levels_;
  std::vector<Domain> domains_;
  std::vector<MapEngine> engines_;
  std::vector<MapTarget> targets_;
};

/// The bytes of docs/formats/pool-map.md.
Bytes encode_pool_map(const PoolMap& map);
/// kMalformed: not the encoding of a map. kNewerFormat, kUnsupported: of one that this version cannot read, or must not
/// change as it does not know all of it. kOutOfRange: beyond a bound. Reserves no more memory than the bytes are long.
Result<PoolMap> decode_pool_map(ByteView bytes);

}  // namespace cenote::cluster
