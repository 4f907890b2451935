#include "control_leader.h"

#include "control_service.h"
#include "fenced_coordinator.h"
#include "leader_record.h"

namespace cenote::engine {

/// What a leader runs.
struct ControlLeader::Service {
  Service(Reactor& reactor, cluster::Coordinator& outside, cluster::Revision since, ContainerTargets& targets,
          SystemView& system)
      : coordinator(outside, kLeaderKey, since), control(reactor, coordinator, targets), api(control, system) {}

  FencedCoordinator coordinator;
  ControlService control;
  AdminApi api;
};

/// From the candidacy under a lease to what ended it.
struct ControlLeader::Term {
  Term(Reactor& reactor, cluster::LeaseId l) : lease(l), callers(reactor) {}

  cluster::LeaseId lease;
  CancelSource over;
  Gate callers;
  bool serving = false;
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
  if (term_ != nullptr) term_->over.cancel();
  co_await background_.stop();
}

void ControlLeader::on_lease() {
  if (term_ != nullptr && term_->lease != member_.lease()) term_->over.cancel();
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
    self.term_ = std::make_unique<Term>(self.reactor_, self.member_.lease());
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
  term.service = std::make_unique<Service>(reactor_, coordinator_, leader.revision, options_.targets(), system_);
  auto resumed = co_await term.service->control.resume();
  if (!resumed) co_return fail(resumed.error().with_context("recovering the control state"));
  if (term.over.cancelled()) co_return Result<>();
  term.serving = true;
  logger_.info("this engine leads the control service", {{"since", leader.revision}});
  while (!term.over.cancelled()) {
    const auto next = co_await election_.changed(leader.revision, {kNoDeadline, &term.over});
    if (next || term.over.cancelled()) break;
    static_cast<void>(co_await sleep_for(reactor_, options_.retry_pause, term.over));
  }
  logger_.info("this engine leads the control service no longer", {{"since", leader.revision}});
  co_return Result<>();
}

// What runs comes to its end by itself: its transactions fail from now on.
Task<> ControlLeader::end(Term& term) {
  term.serving = false;
  co_await term.callers.close();
  if (term.service != nullptr) co_await term.service->control.stop();
  term.service.reset();
}

Task<Result<std::string>> ControlLeader::handle(AdminRequest request, Until until) {
  Term* const term = term_.get();
  if (term == nullptr || !term->serving || !term->callers.enter()) {
    co_return fail(Code::kNotReady, "this engine does not lead the control service at the moment: try again");
  }
  auto answer = co_await term->service->api.handle(std::move(request), until);
  term->callers.leave();
  co_return answer;
}

}  // namespace cenote::engine
