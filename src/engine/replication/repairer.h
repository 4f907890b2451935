#pragma once

#include <deque>
#include <set>

#include "container_cache.h"
#include "engine_links.h"
#include "group_member.h"
#include "pool_serving.h"

namespace cenote::engine {

/// Makes good what a target holds damaged and other members of the group have whole. What is suspected is told by the
/// scrub and by reads that failed; all data of such a dkey is read, and each damaged entry replaced by what the first
/// of the others that has it gives. An entry has the same content wherever it is held, and its checksums prove it, so
/// this goes beside everything else. On the target's reactor.
class Repairer {
 public:
  /// What is suspected beyond that is left to the next scrub, or read.
  static constexpr std::size_t kMostWaiting = 256;

  /// All of them outlive it, but `containers` and `links` only as far as calls of `stop`.
  Repairer(Target& target, GroupMember& member, ContainerCache& containers, EngineLinks& links, Logger logger);
  ~Repairer();
  /// Once.
  void start();
  Task<> stop();

  /// Some of the data that is shown below a dkey cannot be read here. `container`: one that clients know, or a tree.
  void suspect(const Uuid& container, const ObjectId& object, Bytes dkey);

  struct Counters {
    std::uint64_t repaired = 0;    ///< entries
    std::uint64_t unrepaired = 0;  ///< entries that no other member could make good
  };
  const Counters& counters() const { return counters_; }

 private:
  struct Place {
    Uuid container;
    ObjectId object;
    Bytes dkey;
    friend auto operator<=>(const Place&, const Place&) = default;
  };
  struct Sources;

  static Task<> run(Repairer& self);
  Task<Result<>> repair(const Place& place);
  Task<Result<>> repair_tree(const Place& place, const Sources& sources, Uuid tree);
  Task<Result<>> repair_entry(const Sources& sources, Uuid tree, const object::DamagedEntry& damaged);
  Task<Result<bool>> replace_from(const Sources& sources, cluster::TargetId source, Uuid tree, const Bytes& key);
  Until soon();

  Target& target_;
  GroupMember& member_;
  ContainerCache& containers_;
  EngineLinks& links_;
  Logger logger_;
  std::deque<Place> waiting_;
  std::set<Place> known_;  // those that wait
  Condition more_;
  Scope scope_;
  Counters counters_;
};

}  // namespace cenote::engine
