#pragma once

#include <functional>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "cenote/cluster/election.h"
#include "cenote/cluster/member.h"

namespace cenote::cluster {

struct SupervisorOptions {
  std::string name;  ///< of the candidate, as others see it
  Duration lease_ttl = std::chrono::seconds(5);
  Duration renew_every = std::chrono::seconds(1);
  Duration call_timeout = std::chrono::seconds(2);
  Duration retry_pause = std::chrono::milliseconds(200);
  /// What passes between the sight of an ended lease and anything that rests on its end: as long as a member's clock
  /// may lag behind those of coordinator and supervisor while a lease lasts. With the default an engine is excluded 7.5
  /// to 8 s after its last renewal.
  Duration drift_margin = std::chrono::milliseconds(2500);
  /// How far the wall clocks of two engines may be apart (rpc::kClockOffsetMax).
  Duration clock_offset_max = std::chrono::seconds(1);
  /// How long changes are gathered before they are looked at together.
  Duration gather = std::chrono::milliseconds(20);
  /// The wall clock to go by; nothing: the reactor's. Later than every other one but for `clock_offset_max`.
  std::function<WallTime()> wall_now = {};
  /// Whether it may have the post, asked again and again: its clock is right, say. When it turned false: `reconsider`.
  std::function<Result<>()> may_lead = [] { return Result<>(); };
  std::function<void(const Error&)> report = [](const Error&) {};
  /// Told of every suspicion; nothing else happens on one.
  std::function<void(Rank, const std::string&)> on_suspicion = [](Rank, const std::string&) {};
};

/// Excludes engines whose lease has ended, activates map versions and ends moves of data, for all pools; one of the
/// engines' supervisors is elected to do it. It keeps nothing that the coordinator does not hold, but since when a
/// lease has been seen to be gone: a successor counts that anew, so it is later, never earlier. Every change requires
/// that it still leads, and that all it was decided on is as it was. While the system is stopped (SystemStop) it does
/// nothing, and for nobody a margin passes.
class Supervisor {
 public:
  /// All of them outlive it.
  Supervisor(Reactor& reactor, Coordinator& coordinator, SupervisorOptions options);
  ~Supervisor();

  void start();
  /// Gives up the post, if the coordinator can be reached within `until`. Must be awaited before destruction.
  Task<> stop(Until until);
  /// What `may_lead` says may have become another: who may not gives up the post.
  void reconsider();
  /// As far as it knows.
  bool leads() const { return leads_; }
  /// A refused connection, silence: no reason to exclude anybody.
  void suspect(Rank rank, const std::string& why) { options_.on_suspicion(rank, why); }

 private:
  struct Engine;
  using Engines = std::map<Rank, Engine>;
  /// An incarnation that has no lease, and since when that is known.
  struct Absence {
    Incarnation incarnation;
    Instant since{};
  };

  static Task<> run(Supervisor& self);
  static Task<> keep_lease(Supervisor& self, LeaseId lease, Scope& term);
  Task<Result<>> serve_term();
  Task<Result<>> lead(Leader leader);
  Task<Result<>> pass(Leader leader);
  Task<Result<Engines>> read_engines();
  void judge(Engine& engine, Rank rank);
  Task<Result<>> supervise(StoredMap stored, const Engines& engines, Leader leader);
  Task<Result<>> exclude(StoredMap stored, PoolMap next, Engine engine, Rank rank, Leader leader);
  Task<Result<>> mark_suspended(StoredMap stored, std::vector<Rank> ranks, Leader leader);
  Task<Result<>> settle(StoredMap stored, Leader leader);
  Task<Result<>> activate(StoredMap stored, const Engines& engines, Leader leader);
  Epoch latest_possible(Epoch closed) const;
  Transaction as_leader(const Leader& leader) const;
  /// Of one call within the term.
  Until soon() const;

  Reactor& reactor_;
  Coordinator& coordinator_;
  SupervisorOptions options_;
  Election election_;
  Scope background_;
  std::unique_ptr<Scope> term_;  ///< as long as the present lease; cancelled with it
  LeaseId lease_ = kNoLease;
  bool leads_ = false;
  std::map<Rank, Absence> absences_;
  Instant next_judgement_ = kNoDeadline;  ///< when the next absence has lasted for the margin
};

}  // namespace cenote::cluster
