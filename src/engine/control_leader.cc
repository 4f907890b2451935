#include "control_leader.h"

#include "control_service.h"
#include "fenced_coordinator.h"
#include "leader_record.h"

namespace cenote::engine {

/// What a leader runs.
struct ControlLeader::Service {
  Service(Reactor& reactor, cluster::Coordinator& outside, cluster::Revision since, LeaderTerm& rights,
          std::vector<cluster::ListedEngine> listed, std::unique_ptr<LeaderTargets> reached, SystemView& system)
      : engines(std::move(listed)),
        targets(std::move(reached)),
        coordinator(outside, kLeaderKey, since, rights),
        control(reactor, coordinator, targets->all()),
        api(control, system),
        callers(reactor),
        returns(reactor) {}

  std::vector<cluster::ListedEngine> engines;
  std::unique_ptr<LeaderTargets> targets;
  FencedCoordinator coordinator;
  ControlService control;
  AdminApi api;
  Gate callers;
  Scope returns;  ///< of lost engines, and what concerns those that have left: one task at a time
  /// By pool and engine that has left it.
  struct Left {
    cluster::MapVersion version;
    Instant empty_at{};
  };
  std::map<std::pair<Uuid, cluster::Rank>, Left> left;
};

/// From the candidacy under a lease to what ended it.
struct ControlLeader::Term {
  Term(cluster::LeaseId l, EngineReturns::Options options) : lease(l), returns(options) {}

  cluster::LeaseId lease;
  CancelSource over;
  std::unique_ptr<LeaderTerm> rights;  ///< once it is won
  bool serving = false;
  bool settling = false;            ///< what waited for engines that are excluded
  CancelSource* waiting = nullptr;  ///< for something to change
  EngineReturns returns;
  std::unique_ptr<Service> service;
};

ControlLeader::ControlLeader(Reactor& reactor, cluster::Coordinator& coordinator, cluster::Member& member,
                             SystemView& system, Options options, Logger logger)
    : reactor_(reactor),
      coordinator_(coordinator),
      member_(member),
      system_(system),
      options_(std::move(options)),
      logger_(std::move(logger)),
      election_(coordinator, kLeaderKey),
      background_(reactor),
      lease_changed_(reactor) {}

ControlLeader::~ControlLeader() { ASSERT(background_.running() == 0 && term_ == nullptr); }

bool ControlLeader::leads() const { return term_ != nullptr && term_->serving; }

void ControlLeader::start() {
  const bool started = background_.spawn(run(*this));
  ASSERT(started);
}

Task<> ControlLeader::stop() {
  background_.cancel_source().cancel();
  if (term_ != nullptr) end_term(*term_);
  co_await background_.stop();
}

void ControlLeader::end_term(Term& term) {
  term.over.cancel();
  // Nobody waits for what it completes; each step of that may take a while where the coordinator is away.
  if (term.rights != nullptr && (!term.serving || term.settling)) term.rights->end();
  if (term.waiting != nullptr) term.waiting->cancel();
}

void ControlLeader::on_lease() {
  if (term_ != nullptr && term_->lease != member_.lease()) end_term(*term_);
  if (term_ != nullptr && term_->lease == member_.lease() && term_->rights != nullptr)
    term_->rights->extend(member_.valid_until());
  lease_changed_.notify_all();
}

// One round for each registration, or for each failure.
Task<> ControlLeader::run(ControlLeader& self) {
  CancelSource& stopping = self.background_.cancel_source();
  while (!stopping.cancelled()) {
    if (self.member_.lease() == cluster::kNoLease) {
      static_cast<void>(co_await self.lease_changed_.wait({kNoDeadline, &stopping}));
      continue;
    }
    self.term_ = std::make_unique<Term>(self.member_.lease(), self.options_.returns);
    const auto served = co_await self.serve(*self.term_);
    co_await self.end(*self.term_);
    self.term_.reset();
    if (served || stopping.cancelled()) continue;
    self.logger_.warn("control service: no term", {{"error", served.error()}});
    co_await self.pause(self.options_.retry_pause);
  }
}

Task<> ControlLeader::pause(Duration duration) {
  static_cast<void>(co_await sleep_for(reactor_, duration, background_.cancel_source()));
}

Task<Result<>> ControlLeader::serve(Term& term) {
  const auto won = co_await election_.campaign(options_.self, term.lease, {kNoDeadline, &term.over});
  if (term.over.cancelled()) co_return Result<>();
  if (!won) co_return fail(won.error());
  auto led = co_await lead(term, *won);
  // Another engine may do better than one whose targets do not do what is to be completed.
  if (!led && !term.over.cancelled()) {
    static_cast<void>(co_await election_.resign(*won, soon()));
    co_await pause(options_.failed_term_pause);
  }
  co_return led;
}

Task<Result<>> ControlLeader::lead(Term& term, cluster::Leader leader) {
  term.rights = std::make_unique<LeaderTerm>(leader.revision.value(), member_.valid_until());
  logger_.info("this engine leads the control service", {{"since", leader.revision}});
  Result<> outcome;
  while (outcome && !term.over.cancelled()) {
    auto engines = co_await cluster::list_engines(coordinator_, soon());
    if (!engines) co_return fail(engines.error());
    outcome = co_await serve_with(term, leader, *std::move(engines));
    co_await end(term);
  }
  logger_.info("this engine leads the control service no longer", {{"since", leader.revision}});
  co_return outcome;
}

/// Until the term is over, or the engines are others.
Task<Result<>> ControlLeader::serve_with(Term& term, cluster::Leader leader,
                                         std::vector<cluster::ListedEngine> engines) {
  auto targets = options_.targets(*term.rights, engines);
  auto opened = co_await targets->open(coordinator_, soon());
  if (!opened) {
    co_await targets->stop();
    co_return opened;
  }
  term.service = std::make_unique<Service>(reactor_, coordinator_, leader.revision, *term.rights, engines,
                                           std::move(targets), system_);
  auto resumed = co_await term.service->control.resume();
  if (!resumed && !is_of_the_way(resumed.error()))
    co_return fail(resumed.error().with_context("recovering the control state"));
  if (!resumed)
    logger_.warn("an engine cannot be asked: what was interrupted there goes on when it is back",
                 {{"error", resumed.error()}});
  if (term.over.cancelled()) co_return Result<>();
  term.serving = true;
  term.service->returns.spawn(report_unknown(*this, *term.service));
  co_await wait_for_change(term, leader, std::move(engines));
  co_return Result<>();
}

Task<> ControlLeader::wait_for_change(Term& term, cluster::Leader leader, std::vector<cluster::ListedEngine> engines) {
  std::uint64_t settled = term.service->targets->exclusions();
  while (!term.over.cancelled()) {
    // What was interrupted by the loss of engines can be completed without those that are excluded.
    if (const std::uint64_t excluded = term.service->targets->exclusions(); excluded != settled) {
      settled = excluded;
      term.settling = true;
      const auto done = co_await term.service->control.settle(Until::at(reactor_.now() + options_.settle_patience));
      term.settling = false;
      if (!done) logger_.info("not all is completed that waited for excluded engines", {{"error", done.error()}});
      continue;
    }
    CancelSource looking;
    term.waiting = &looking;
    const auto next = co_await election_.changed(leader.revision, {reactor_.now() + options_.watch_engines, &looking});
    term.waiting = nullptr;
    if (term.over.cancelled()) co_return;
    if (next) {
      end_term(term);
      co_return;
    }
    const auto now = co_await cluster::list_engines(coordinator_, soon());
    if (now && !member_.stopped()) begin_returns(term, *now);
    // What is being done for an engine is not broken off because another one cannot be reached.
    const bool more = term.service->targets->reached_more() && term.service->returns.running() == 0;
    if (now && (*now != engines || more)) co_return;
    if (!(next.error() == Code::kDeadlineExceeded) && !(next.error() == Code::kCancelled))
      static_cast<void>(co_await sleep_for(reactor_, options_.retry_pause, term.over));
  }
}

void ControlLeader::begin_returns(Term& term, const std::vector<cluster::ListedEngine>& engines) {
  Service& service = *term.service;
  term.returns.look(engines, service.targets->losses(), reactor_.now());
  if (engines != service.engines || service.returns.running() != 0) return;
  auto due = term.returns.due(reactor_.now());
  if (due.empty()) return begin_emptying(service);
  service.returns.spawn(run_returns(*this, term, std::move(due)));
}

/// What engines hold of pools that they have left at an operator's wish; one at a time.
void ControlLeader::begin_emptying(Service& service) {
  const Instant now = reactor_.now();
  std::erase_if(service.left, [&](const auto& known) { return !service.targets->left().contains(known.first.first); });
  for (const auto& [pool, left] : service.targets->left()) {
    for (const cluster::Rank rank : left.engines) {
      if (rank.value() >= service.engines.size() || !service.engines[rank.value()].up) continue;
      Service::Left& known = service.left[{pool, rank}];
      if (known.version != left.version) known = {left.version, now + options_.empty_after};
      if (now < known.empty_at) continue;
      known.empty_at = kNoDeadline;
      service.returns.spawn(empty_left(*this, service, pool, rank));
      return;
    }
  }
}

/// After a recovery of the coordinator: what only the targets know of.
Task<> ControlLeader::report_unknown(ControlLeader& self, Service& service) {
  for (const cluster::ListedEngine& engine : service.engines) {
    if (service.returns.stopping()) co_return;
    if (!engine.up) continue;
    const auto unknown = co_await service.control.kept_unknown(engine.place.rank);
    if (!unknown) continue;
    for (const Uuid& container : *unknown) {
      self.logger_.warn("an engine holds a container that no record knows, and keeps it: see 'cenote system recover'",
                        {{"rank", engine.place.rank}, {"container", container}});
    }
  }
}

Task<> ControlLeader::empty_left(ControlLeader& self, Service& service, Uuid pool, cluster::Rank engine) {
  const auto done = co_await service.control.empty_left(pool, engine, {kNoDeadline, &service.returns.cancel_source()});
  if (done || service.returns.stopping()) co_return;
  service.left[{pool, engine}].empty_at = self.reactor_.now() + self.options_.empty_after;
  self.logger_.info("what an engine holds of a pool that it has left could not be given back yet",
                    {{"rank", engine}, {"pool", pool}, {"error", done.error()}});
}

Task<> ControlLeader::run_returns(ControlLeader& self, Term& term, std::vector<EngineReturns::Due> due) {
  Service& service = *term.service;
  for (const EngineReturns::Due& pool : due) {
    if (!pool.back.empty()) co_await self.take_back(term, pool.pool, pool.back);
    if (service.returns.stopping()) co_return;
    if (pool.stayed.empty()) continue;
    for (const cluster::Rank rank : pool.stayed) term.returns.note_tried(pool.pool, rank, self.reactor_.now());
    // What cannot be forgotten now can be later.
    static_cast<void>(co_await service.control.forget_losses(pool.pool, pool.stayed,
                                                             {kNoDeadline, &service.returns.cancel_source()}));
  }
}

/// Together, so that the data moves once; where that is refused, each by itself.
Task<> ControlLeader::take_back(Term& term, Uuid pool, std::vector<cluster::Rank> engines) {
  Service& service = *term.service;
  const auto changed =
      co_await service.control.take_back(pool, engines, {kNoDeadline, &service.returns.cancel_source()});
  if (service.returns.stopping()) co_return;
  if (!changed && engines.size() > 1) {
    for (const cluster::Rank rank : engines) {
      co_await take_back(term, pool, std::vector<cluster::Rank>(1, rank));
      if (service.returns.stopping()) co_return;
    }
    co_return;
  }
  if (!changed) {
    if (term.returns.note_refused(pool, engines.front(), changed.error(), reactor_.now()))
      logger_.warn("an engine that was lost is back and does not get its part of a pool yet: it is tried again",
                   {{"rank", engines.front()}, {"error", changed.error()}});
    co_return;
  }
  for (const cluster::Rank rank : engines) term.returns.note_tried(pool, rank, reactor_.now());
  for (const EngineChange& engine : changed->engines) {
    if (engine.outcome != kChangeBegun) continue;
    logger_.info("an engine that was lost is back and gets its part of a pool again",
                 {{"rank", engine.rank}, {"pool", changed->label}, {"map_version", changed->map_version}});
  }
}

Task<Result<>> ControlLeader::check_engines(Term& term) {
  const auto now = co_await cluster::list_engines(coordinator_, soon());
  if (!now || term.service == nullptr || *now == term.service->engines) co_return Result<>();
  if (term.waiting != nullptr) term.waiting->cancel();
  co_return fail(Code::kNotReady, "engines have come or gone at this moment: try again");
}

// What runs comes to its end by itself: its transactions fail once somebody else leads.
Task<> ControlLeader::end(Term& term) {
  term.serving = false;
  if (term.service == nullptr) co_return;
  co_await term.service->targets->stop();
  co_await term.service->returns.stop();
  co_await term.service->callers.close();
  co_await term.service->control.stop();
  term.service.reset();
}

Task<Result<std::string>> ControlLeader::handle(AdminRequest request, Until until) {
  Term* const term = term_.get();
  if (term == nullptr || !term->serving || !term->service->callers.enter()) {
    co_return fail(Code::kNotReady, "this engine does not lead the control service at the moment: try again");
  }
  Service& service = *term->service;
  Result<> current;
  if (needs_all_engines(request.method, request.path)) current = co_await check_engines(*term);
  Result<std::string> answer = fail(Code::kInternal);
  if (current) {
    const bool changes = request.method != AdminMethod::kGet;
    answer = co_await service.api.handle(std::move(request), until);
    // What is answered for outlives the coordinator.
    if (answer && changes) co_await service.targets->keep_copies();
  } else {
    answer = fail(std::move(current).error());
  }
  // What it had begun goes on when it is asked again.
  if (!answer && answer.error() == Code::kStopped)
    answer = fail(Code::kNotReady, "engines have come or gone at this moment: try again");
  service.callers.leave();
  co_return answer;
}

}  // namespace cenote::engine
