#pragma once

#include <map>
#include <memory>
#include <set>
#include <unordered_map>
#include <vector>

#include "entry_plan.h"
#include "group_member.h"
#include "key_locks.h"

namespace cenote::engine {

/// A target as the leader of redundancy groups: carries out changes at all their members, and settles what was left
/// undecided (docs/protocols/replication.md). On the target's reactor.
///
/// Invariant: of one entry there is one decision: it is committed when every voter has it prepared, and refused only
/// when one has refused; `running_` holds those that are not decided yet, or not done here, so that nobody settles them
/// a second time.
class GroupLeader {
 public:
  /// Both outlive it.
  GroupLeader(GroupMember& member, EngineLinks& links, Reactor& reactor, Logger logger);
  ~GroupLeader();
  Task<> stop();

  struct Change {
    const CommitRequest& request;  ///< its changes may be conditional
    MutableBytes payload;          ///< block-aligned, and of `payload_bytes` bytes at least
    std::uint64_t payload_bytes = 0;
    cluster::MapVersion version;  ///< under which it was sent here
    cluster::PlacementSeed seed;
    bool resent = false;                              ///< it may have been sent before
    std::shared_ptr<KeyLocks::Held> locks = nullptr;  ///< of all that it is about; the leader's own
  };
  /// Carries out a change whose leader this target is. All that it names stays the caller's until it returns. A failure
  /// means that it does not take effect, but for kDeadlineExceeded and kUndecided: it may, now or later.
  Task<Result<UpdateReply>> execute(Change change, Until until);
  /// The outcome of an entry whose leader this target is in the present version.
  Task<Result<EntryState>> settle(object::UndecidedEntry entry, Until until);
  struct Counters {
    std::uint64_t changes = 0;   ///< carried out
    std::uint64_t attempts = 0;  ///< at them
    std::uint64_t refused = 0;   ///< of those
    std::uint64_t settled = 0;   ///< entries of others, or of this one's past
  };
  const Counters& counters() const { return counters_; }
  /// Takes up again what an earlier leader of a decided entry has left: that all members know of it, and forget it.
  void take_up(const object::HeldEntryInfo& entry, const EntryNote& note, const cluster::PoolLayout& layout);

 private:
  struct Running;
  struct Decided;
  struct Outbox;
  struct Attempt;
  struct Answer;
  struct Committed;
  Task<Result<UpdateReply>> run(Change& change, Until until);
  Task<Result<std::optional<UpdateReply>>> known_result(const Change& change, Until until);
  Task<Result<UpdateReply>> attempt(Change& change, Epoch& above, bool& again, Until until);
  Task<Result<>> prepare_everywhere(Attempt& attempt, Until until);
  Task<Result<>> prepare_at(Attempt& attempt, std::size_t index, Until until);
  bool is_own(const Attempt& attempt, std::size_t index) const;
  Task<Result<>> prepare_here(Attempt& attempt, std::size_t index, Until until);
  Task<Result<>> prepare_there(Attempt& attempt, std::size_t index, Until until);
  Task<Result<UpdateReply>> decide(Attempt& attempt, Running& running, Epoch& above, bool& again, Until until);
  Task<Result<UpdateReply>> refused(Attempt& attempt, Running& running, Epoch& above, bool& again, Until until);
  Task<Result<UpdateReply>> fail_surely(Change& change, Error error, Until until);

  Task<Result<EntryState>> drive(object::EntryName name, Uuid container, const EntryNote& note, Until until);
  Task<Result<std::optional<EntryState>>> ask_voters(object::EntryName name, Uuid container, const EntryNote& note,
                                                     Until until);
  Task<Result<>> ask_one(cluster::TargetPlace place, EntryDecision decision, Uuid container,
                         const cluster::PoolLayout& layout, Until until, Result<EntryState>& state);
  Task<Result<>> commit(object::EntryName name, Uuid container, std::vector<TargetAddress> members);
  bool commit_soon(Attempt& attempt);
  static Task<> commit_own(GroupLeader& self);
  Task<Result<>> abort(object::EntryName name, Uuid container, const std::vector<cluster::TargetId>& members,
                       cluster::MapVersion version, Until until);
  /// `under`: as of GroupMember::decide.
  Task<Result<DecideAnswer>> tell(TargetAddress where, DecideMessage message, const cluster::PoolLayout* under,
                                  Until until);

  void enqueue(object::EntryName name, EntryEvent event, Uuid container, std::vector<TargetAddress> members);
  void tell_soon(TargetAddress where, EntryDecision decision);
  void confirm(const object::EntryName& name, EntryEvent event);
  void put_back(TargetAddress where, std::vector<EntryDecision> decisions);
  std::vector<EntryDecision> take_waiting(TargetAddress where);
  static Task<> flush(GroupLeader& self, TargetAddress where);
  Task<bool> flush_once(TargetAddress where);
  Task<bool> is_up(Uuid container, TargetAddress where);

  GroupMember& member_;
  EngineLinks& links_;
  Reactor& reactor_;
  Logger logger_;
  Counters counters_;
  KeyLocks locks_;
  Scope scope_;
  std::unordered_map<object::EntryName, std::shared_ptr<Running>, object::EntryNameHash> running_;
  std::vector<Committed> committed_;
  bool committing_ = false;  // `commit_own` runs
  std::unordered_map<object::EntryName, Decided, object::EntryNameHash> decided_;
  std::map<TargetAddress, Outbox> outboxes_;
};

}  // namespace cenote::engine
