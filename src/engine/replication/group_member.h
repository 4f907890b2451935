#pragma once

#include <map>
#include <memory>
#include <vector>

#include "cenote/runtime/scope.h"
#include "container_cache.h"
#include "engine_links.h"
#include "entry_note.h"
#include "leases/lease_table.h"
#include "messages.h"
#include "target.h"
#include "version_fence.h"

namespace cenote::engine {

class GroupLeader;

/// Where a target is, in the system and as the leader of entries.
struct TargetAddress {
  cluster::Rank engine;
  std::uint16_t index = 0;  ///< there
  /// What entries that it leads are named by.
  std::uint32_t number() const { return engine.value() * cluster::kMaxEngineTargets + index; }
  friend auto operator<=>(const TargetAddress&, const TargetAddress&) = default;
};

/// A target as a member of redundancy groups: prepares entries, learns what became of them, and finds out about those
/// of which it hears nothing (docs/protocols/replication.md). On the target's reactor.
class GroupMember {
 public:
  struct Options {
    TargetAddress self;
    media::BufferPool* buffers = nullptr;  ///< of the reactor
    /// How long an entry is prepared before its leader is asked what became of it.
    Duration patience = std::chrono::seconds(1);
  };
  /// All of them outlive it; `containers` and `links` are of the target's reactor.
  GroupMember(Target& target, ContainerCache& containers, EngineLinks& links, LeaseTable& leases, Options options,
              Logger logger);
  ~GroupMember();
  /// Once, before anything else. The others of the same target.
  void start(GroupLeader& leader);
  Task<> stop();

  /// What is to be prepared; all of it is borrowed for the call.
  struct Prepared {
    const PrepareMessage& message;  ///< but for its request
    const CommitRequest& request;
    const EntryNote& note;  ///< the message's
    MutableBytes payload;   ///< of the updates
    std::uint64_t payload_bytes = 0;
  };
  /// A failure is no answer: it may be prepared or not.
  Task<Result<PrepareAnswer>> prepare(Prepared what, Until until);
  /// `under`: what they were asked or decided under, which they are refused under another version of (kStaleMap); null
  /// for commits and what may be forgotten, which are right in any.
  Task<DecideAnswer> decide(const std::vector<EntryDecision>& decisions, const cluster::PoolLayout* under);
  Task<Result<AskAnswer>> ask(const AskMessage& message);
  /// Finds out what became of an entry that is in the way here, and does that here, too. kDeadlineExceeded: its leader
  /// does not know (yet).
  Task<Result<EntryState>> resolve(object::UndecidedEntry entry, Until until);

  /// The layout of the container's pool that this engine serves. kNotReady: it waits for one to be active; kStaleMap:
  /// it has no part in the pool.
  Task<Result<std::shared_ptr<const cluster::PoolLayout>>> layout_of(Uuid container);
  Instant now() const { return target_.reactor().now(); }
  const TargetAddress& self() const { return options_.self; }
  object::ObjectStore& objects() const { return target_.objects(); }
  /// The target works on this version of a pool's map from now on: nothing that was begun under an earlier one goes on
  /// when this returns. If it has no part in the pool any more, it drops all that it holds undecided or refused of it,
  /// as the others decide without it.
  Task<Result<>> follow(Uuid pool, const cluster::PoolLayout& layout);
  /// For what changes data without an entry, as long as it runs. kStaleMap.
  Result<VersionFence::Pass> enter(const Uuid& pool, cluster::MapVersion version) {
    return fence_.enter(pool, version);
  }
  /// Where this target is in a pool; nullopt: it is none of it.
  std::optional<cluster::TargetId> number_in(const cluster::PoolLayout& layout) const;
  /// Waits until nothing is undecided here that was begun in an earlier version of the pool's map than this.
  Task<Result<>> settle_older(std::shared_ptr<const cluster::PoolLayout> layout, Until until);
  /// Memory for payloads.
  Task<Result<media::Buffer>> allocate(std::uint32_t bytes, Until until);
  /// Waits until nothing undecided is in the way of a request, which the caller keeps.
  template <typename Request>
  Task<Result<>> settle_before(const Request& request, Until until) {
    while (auto entry = objects().undecided_before(request)) CO_CHECK_OK(co_await resolve(*std::move(entry), until));
    co_return Result<>();
  }
  /// The same of all of a container up to an epoch.
  Task<Result<>> settle_all(Uuid container, Epoch epoch, Until until);
  Until bounded(Until until) { return {until.deadline, &target_.cancel_source()}; }

 private:
  struct Resolution;
  Task<Result<>> leave(Uuid pool);
  Task<Result<store::Lsn>> apply(const std::vector<EntryDecision>& decisions, DecideAnswer& answer);
  Task<Result<>> prepare_now(const Prepared& what, Until until, PrepareAnswer& answer);
  bool is_leased(const Uuid& container) const;
  Task<Result<>> decline(const PrepareMessage& message, const Error& reason, PrepareAnswer& answer);
  Result<> check_age(const PrepareMessage& message) const;
  bool waits_for(const object::EntryName& name, const object::EntryName& other) const;
  Task<Result<EntryState>> find_outcome(const object::UndecidedEntry& entry, Until until);
  struct Outcome;
  Task<Result<>> carry_out(const object::UndecidedEntry& entry, Outcome outcome);
  Task<Result<Outcome>> ask_leader(const object::UndecidedEntry& entry, Until until);
  static Task<> watch(GroupMember& self);
  Task<> look_after_entries();
  Task<> resolve_old();

  Target& target_;
  ContainerCache& containers_;
  EngineLinks& links_;
  LeaseTable& leases_;
  Options options_;
  Logger logger_;
  GroupLeader* leader_ = nullptr;
  VersionFence fence_;
  Scope scope_;
  Condition prepared_;
  std::map<object::EntryName, std::shared_ptr<Resolution>> resolutions_;
  /// By leader: of refused entries that were forgotten, the latest. A prepare that is as old has been overtaken.
  std::map<std::uint32_t, Epoch> forgotten_;
};

}  // namespace cenote::engine
