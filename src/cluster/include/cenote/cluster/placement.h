#pragma once

#include <array>
#include <cstdint>
#include <memory>
#include <vector>

#include "cenote/base/bytes.h"
#include "cenote/base/small_vector.h"
#include "cenote/base/strong.h"
#include "cenote/cluster/pool_map.h"
#include "cenote/protocol/object_class.h"
#include "cenote/protocol/object_id.h"

namespace cenote::cluster {

/// Keeps the objects of different containers apart that have the same ids, as roots of file systems do. A clone has
/// that of its source, which its data lies with. Zero is a seed like any other.
using PlacementSeed = Strong<struct PlacementSeedTag>;

/// Where the groups of an object begin, whatever the map.
class ObjectPlace {
 public:
  explicit ObjectPlace(const ObjectId& object, PlacementSeed seed = {});
  std::uint64_t point() const { return point_; }

 private:
  std::uint64_t point_;
};

/// The group of an object that holds a dkey: for classes with a fixed number of groups below that number, for class X
/// any. Dkeys that are numbers and follow one another lie in groups that do, others anywhere.
std::uint32_t group_of(const ObjectId& object, const ClassParts& parts, ByteView dkey);

/// A target and the place in the group that it holds: for erasure codes which of the k + m parts.
struct Holder {
  std::uint32_t position;
  TargetId target;
  friend bool operator==(const Holder&, const Holder&) = default;
};
using Holders = SmallVector<Holder, 2 * 6>;

/// One redundancy group in one version of the map.
struct GroupLayout {
  std::uint32_t size = 0;
  /// Complete holder of each position; kNoTarget: none is left, or the one that is back lacks what was written
  /// meanwhile.
  std::array<TargetId, kMaxGroupSize> complete{};  // beyond `size` of no meaning
  /// Where each position belongs: equal to `complete` where nothing moves. kNoTarget: the pool has too few targets
  /// left.
  std::array<TargetId, kMaxGroupSize> wanted{};

  /// Whether a target has all data of a position.
  bool is_complete(TargetId target) const;
  /// Whom a read may ask.
  Holders readers() const;
  /// Whom a write must reach: old and new holders while data moves. By position; at most two of each.
  Holders writers() const;
};

/// Layouts of all groups of one size under one version of a pool map: a pure function of the two, the same in every
/// process. Immutable, so any number of threads may use one; copies share their tables. docs/placement.md has the
/// algorithm and what it costs.
class Placement {
 public:
  /// Builds the tables: milliseconds for hundreds of targets, for ten thousand 0.1 s or, after many extensions
  /// and losses, 2 s; not for a data path. `before`,
  /// a placement of the same group size for another version of the map, saves most of that where no target joined or
  /// settled since. kOutOfRange: no class has such groups. kResourceExhausted: the map has fewer targets than a group.
  static Result<Placement> build(const PoolMap& map, std::uint32_t group_size, const Placement* before = nullptr);

  MapVersion version() const { return version_; }
  std::uint32_t group_size() const { return group_size_; }

  /// A group of an object whose class has groups of this size. `index` is below the class's number of groups, or
  /// anything for class X. Below a microsecond; for objects that `is_walked`, that for each group up to this one, so
  /// who needs several asks for all of them.
  GroupLayout group(const ObjectPlace& place, const ClassParts& parts, std::uint32_t index) const;
  /// All groups of an object with a fixed number of them.
  std::vector<GroupLayout> groups(const ObjectPlace& place, const ClassParts& parts) const;
  /// Whether a group of such an object hangs on those before it: the object has at most as many members as the pool has
  /// targets, so none may be used twice, and its groups take more rows than the tables keep free of repetitions.
  bool is_walked(const ClassParts& parts) const;

  /// Fault domains that lack data which the pool was last complete with, and members that it had no targets for. No
  /// group lacks more members than that, so a pool goes on losing targets safely until it is its redundancy factor.
  std::uint32_t incomplete_domains() const { return incomplete_domains_; }

  /// Of the tables, those counted once that several share.
  std::size_t memory_bytes() const;

 private:
  struct View;
  struct Builder;

  Placement() = default;

  MapVersion version_;
  std::uint32_t group_size_ = 0;
  std::uint32_t incomplete_domains_ = 0;
  std::shared_ptr<const std::vector<bool>> is_complete_;  // by target
  std::shared_ptr<const View> relied_on_;
  std::shared_ptr<const View> wanted_;
};

}  // namespace cenote::cluster
