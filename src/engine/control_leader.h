#pragma once

#include <functional>
#include <memory>
#include <string>

#include "admin_api.h"
#include "cenote/base/log.h"
#include "cenote/cluster/election.h"
#include "cenote/cluster/member.h"
#include "cenote/runtime/scope.h"
#include "engine_returns.h"
#include "leader_targets.h"

namespace cenote::engine {

/// One engine's candidacy for the post of control leader, and the control service while it holds it. Control reactor
/// only.
///
/// When engines come or go the control service is made anew, within the term, so that it reaches them. Engines that
/// were lost and are back get their part in pools again (EngineReturns).
///
/// Invariants: the control service exists only within a term, and has completed what was interrupted before anything
/// else is asked of it, but for what concerns engines that cannot be asked; its transactions require that this term
/// still lasts; a term ends with the registration under whose lease it was won.
class ControlLeader {
 public:
  struct Options {
    std::string self;  ///< value of the post: a LeaderRecord
    /// The way to the targets of these engines, for a term.
    std::function<std::unique_ptr<LeaderTargets>(LeaderTerm&, std::vector<cluster::ListedEngine>)> targets;
    Duration call_timeout = std::chrono::seconds(2);
    /// How often is looked whether engines have come or gone.
    Duration watch_engines = std::chrono::seconds(1);
    /// Before the next attempt after a failure; longer where another engine may have more luck.
    Duration retry_pause = std::chrono::milliseconds(200);
    Duration failed_term_pause = std::chrono::seconds(2);
    /// How long what was interrupted waits for its turn when engines were excluded.
    Duration settle_patience = std::chrono::seconds(10);
    EngineReturns::Options returns = {};
    /// How long an engine has to have left a pool until what it holds of it is destroyed; and how long after a failure.
    Duration empty_after = std::chrono::seconds(60);
  };

  /// All of them outlive it.
  ControlLeader(Reactor& reactor, cluster::Coordinator& coordinator, cluster::Member& member, SystemView& system,
                Options options, Logger logger);
  ~ControlLeader();

  void start();
  /// Ends a term and the candidacy; requests that run end first. Must be awaited before destruction.
  Task<> stop();
  /// The member's lease may have become another.
  void on_lease();

  bool leads() const;
  /// kNotReady while this engine does not lead.
  Task<Result<std::string>> handle(AdminRequest request, Until until);

 private:
  struct Service;
  struct Term;

  static Task<> run(ControlLeader& self);
  Task<Result<>> serve(Term& term);
  Task<Result<>> lead(Term& term, cluster::Leader leader);
  Task<Result<>> serve_with(Term& term, cluster::Leader leader, std::vector<cluster::ListedEngine> engines);
  /// kNotReady: other engines are there than the control service reaches; it soon reaches them.
  Task<Result<>> check_engines(Term& term);
  static void end_term(Term& term);
  Task<> wait_for_change(Term& term, cluster::Leader leader, std::vector<cluster::ListedEngine> engines);
  void begin_returns(Term& term, const std::vector<cluster::ListedEngine>& engines);
  static Task<> run_returns(ControlLeader& self, Term& term, std::vector<EngineReturns::Due> due);
  void begin_emptying(Service& service);
  static Task<> report_unknown(ControlLeader& self, Service& service);
  static Task<> empty_left(ControlLeader& self, Service& service, Uuid pool, cluster::Rank engine);
  Task<> take_back(Term& term, Uuid pool, std::vector<cluster::Rank> engines);
  Task<> end(Term& term);
  Task<> pause(Duration duration);
  Until soon() const { return Until::at(reactor_.now() + options_.call_timeout); }

  Reactor& reactor_;
  cluster::Coordinator& coordinator_;
  cluster::Member& member_;
  SystemView& system_;
  Options options_;
  Logger logger_;
  cluster::Election election_;
  Scope background_;
  Condition lease_changed_;
  std::unique_ptr<Term> term_;
};

}  // namespace cenote::engine
