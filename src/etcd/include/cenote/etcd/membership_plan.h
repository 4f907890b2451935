#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "cenote/base/time.h"
#include "cenote/cluster/pool_map.h"
#include "cenote/etcd/etcd_cluster.h"
#include "cenote/etcd/joined_system.h"

// Which engines of a system run the members of its etcd: as many as make the loss of one harmless, no more.
namespace cenote::etcd {

/// What an engine sees, and what it knows of itself.
struct MembershipView {
  struct Engine {
    cluster::Rank rank;
    bool up = false;
    Duration gone = {};  ///< for how long it has been seen to be gone
  };
  struct Member {
    ClusterMember member;
    Duration silent = {};  ///< for how long it has been seen without a name, or without an answer
  };
  std::vector<Engine> engines;
  std::vector<Member> members;
  cluster::Rank self;
  std::optional<OwnMember> own;  ///< the member that this engine runs, or is to run
  bool own_data_lost = false;    ///< of one that has run; or it is of another address
  bool may_add = true;           ///< this engine can run etcd, as far as it knows
  std::string peer_url;          ///< of the member that it would run
  Duration vacant = {};          ///< for how long a member has been missing
  /// After so long without it an engine's membership goes to another one.
  Duration patience = std::chrono::minutes(10);
};

enum class MembershipStep : std::uint8_t {
  kNone,
  kAdd,      ///< become a member, without a vote at first
  kStart,    ///< the cluster knows of it: start it
  kPromote,  ///< ask for a vote
  kForget,   ///< it was put out by others: it ends
  kRemove,   ///< put another one out, whose engine is gone
};

struct MembershipPlan {
  MembershipStep step = MembershipStep::kNone;
  std::uint64_t member = 0;  ///< of kPromote and kRemove
  friend bool operator==(const MembershipPlan&, const MembershipPlan&) = default;
};

/// What this engine does next. All engines go by the same rules, each by what it sees; what several do at the same
/// time etcd decides, which takes one learner at a time and refuses what costs it its majority.
///
/// Rules: one member with one or two engines that are up, three with more. The engine with the lowest rank that has
/// none becomes one; the others after it as long as it does not, one after the other. A member whose engine is gone, or
/// that does not answer, for longer than the patience is put out by the up engine with the lowest rank, if another
/// engine can take its place and all other members run. What a member promised is in its data, so one of this engine's
/// that is not the one it runs is put out, never started. What is another engine's is not touched, wherever it is.
MembershipPlan plan_membership(const MembershipView& view);
/// How many members there should be.
std::size_t wanted_members(const MembershipView& view);

/// "engine-7".
std::string member_name(cluster::Rank rank);
/// The endpoints of the members that answer; empty: none does.
std::vector<std::string> voting_endpoints(const std::vector<ClusterMember>& members);
/// What a member that enters the cluster is told of it.
std::string initial_cluster_of(const std::vector<ClusterMember>& members, const OwnMember& own);

}  // namespace cenote::etcd
