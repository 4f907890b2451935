#include "engine_targets.h"

#include <algorithm>
#include <numeric>

#include "cenote/base/format.h"
#include "cenote/protocol/scrub_info.h"
#include "cenote/runtime/sync.h"

namespace cenote::engine {
namespace {

// A short scrub is seen to end at once, and a long one costs nothing.
constexpr Duration kFirstPause = std::chrono::milliseconds(10);
constexpr Duration kLongestPause = std::chrono::seconds(1);

AccountTerms terms_of(const object::SpaceAccount& account) {
  return {.id = account.id(), .name = account.name(), .limit = account.limit(), .soft_limit = account.soft_limit()};
}

TargetsRequest about_account(TargetsOp op, const object::SpaceAccount& account) {
  TargetsRequest request{.op = op, .container = account.id(), .account = terms_of(account)};
  if (account.parent() != nullptr) request.pool_account = terms_of(*account.parent());
  return request;
}

/// Takes what is told of a scrub into its parts; true if there may be more to tell.
bool take_news(ScrubNews news, ContainerScrub& scrub) {
  bool more = !news.ended;
  for (std::size_t index = 0; index < scrub.parts.size(); ++index) {
    ScrubbedTarget& target = news.targets[index];
    ContainerScrub::Progress& progress = scrub.parts[index].progress;
    progress.report = target.report;
    progress.found = target.found;
    progress.damages = target.damages;
    more = more || !target.findings.empty();
    for (object::TargetFinding& finding : target.findings)
      if (progress.findings.size() < kMaxDamagesTold) progress.findings.push_back(std::move(finding));
  }
  return more;
}

}  // namespace

EngineTargets::EngineTargets(Reactor& reactor, LeaderTerm& term, EngineLink& link, std::string name,
                             cluster::EngineSpec spec)
    : reactor_(reactor),
      term_(term),
      link_(link),
      name_(std::move(name)),
      spec_(std::move(spec)),
      capacity_bytes_(std::accumulate(spec_.target_bytes.begin(), spec_.target_bytes.end(), std::uint64_t{0})) {}

Task<Result<TargetsReply>> EngineTargets::call(TargetsRequest request, Duration patience) {
  const Until until = Until::at(reactor_.now() + patience).no_later_than(term_.valid_until());
  if (until.deadline <= reactor_.now())
    co_return fail(Code::kLeaseExpired, "this engine leads no longer: its lease was not renewed in time");
  request.token = term_.token();
  request.number = term_.next_number();
  auto reply = co_await link_.call(std::move(request), until);
  if (!reply && reply.error() == Code::kDeadlineExceeded) {
    // Whoever asked has more time than this call: it is worth another attempt.
    co_return failf(Code::kUnreachable, "engine '{}' does not answer: {}", name_, reply.error().message());
  }
  if (!reply) co_return fail(reply.error().with_context(fmt::format("engine '{}'", name_)));
  co_return reply;
}

Task<Result<>> EngineTargets::tell(TargetsRequest request, Duration patience) {
  CO_CHECK_OK(co_await call(std::move(request), patience));
  co_return Result<>();
}

// One without a copy is asked for it again, and asks itself how long that is worth it.
Task<> EngineTargets::keep_copy() {
  const cluster::Revision wanted = term_.decided_at();
  if (wanted <= copied_ || !knows_copies_) co_return;
  const auto kept = co_await call({.op = TargetsOp::kKeepCopy, .revision = wanted}, kCopyPatience);
  if (kept) copied_ = std::max(copied_, wanted);
  if (!kept && kept.error() == Code::kUnsupported) knows_copies_ = false;
}

Task<Result<>> EngineTargets::tell_for_good(TargetsRequest request) {
  co_await keep_copy();
  co_return co_await tell(std::move(request));
}

Task<Result<>> EngineTargets::describe() {
  CO_TRY(const TargetsReply reply, co_await call({.op = TargetsOp::kDescribe}));
  spec_.target_bytes = reply.about.target_bytes;
  encrypted_ = reply.about.encrypted;
  capacity_bytes_ = reply.about.capacity_bytes;
  co_return Result<>();
}

Task<bool> EngineTargets::answers() {
  const auto reply = co_await call({.op = TargetsOp::kDescribe});
  co_return reply.has_value();
}

Task<Result<>> EngineTargets::create(Uuid container, object::ContainerProperties properties,
                                     std::optional<object::CloneSource> source,
                                     std::shared_ptr<object::SpaceAccount> account) {
  TargetsRequest request = about_account(TargetsOp::kCreate, *account);
  request.container = container;
  request.properties = properties;
  request.source = source;
  co_return co_await tell_for_good(std::move(request));
}

Task<Result<>> EngineTargets::charge_to(Uuid container, std::shared_ptr<object::SpaceAccount> account) {
  TargetsRequest request = about_account(TargetsOp::kCharge, *account);
  request.container = container;
  co_return co_await tell(std::move(request));
}

Task<Result<>> EngineTargets::limits_changed(std::shared_ptr<object::SpaceAccount> account) {
  co_return co_await tell(about_account(TargetsOp::kLimits, *account));
}

Task<Result<>> EngineTargets::destroy(Uuid container) {
  return tell_for_good({.op = TargetsOp::kDestroy, .container = container});
}

Task<Result<Epoch>> EngineTargets::newest_epoch(Uuid /*container*/) {
  CO_TRY(const TargetsReply reply, co_await call({.op = TargetsOp::kNewestEpoch}, kHoldPatience));
  co_return reply.epoch;
}

Task<Result<>> EngineTargets::hold_answers(Uuid /*container*/) {
  // Whatever comes of it, that is what the release has to end.
  hold_number_ = term_.last_number() + 1;
  co_return co_await tell({.op = TargetsOp::kHoldAnswers}, kHoldPatience);
}

Task<Result<>> EngineTargets::release_answers(Uuid /*container*/) {
  return tell({.op = TargetsOp::kReleaseAnswers, .hold_number = hold_number_}, kHoldAnswers);
}

Task<Result<>> EngineTargets::add_snapshot(Uuid container, Epoch epoch) {
  return tell({.op = TargetsOp::kAddSnapshot, .container = container, .epoch = epoch});
}

Task<Result<>> EngineTargets::remove_snapshot(Uuid container, Epoch epoch) {
  return tell_for_good({.op = TargetsOp::kRemoveSnapshot, .container = container, .epoch = epoch});
}

Task<Result<>> EngineTargets::roll_back(Uuid container, Epoch to, Uuid request) {
  return tell_for_good({.op = TargetsOp::kRollBack, .container = container, .id = request, .epoch = to});
}

Task<Result<>> EngineTargets::check_rollback(Uuid container, Epoch to) {
  return tell({.op = TargetsOp::kCheckRollback, .container = container, .epoch = to});
}

Task<Result<object::Usage>> EngineTargets::measure_flattening(Uuid container) {
  CO_TRY(const TargetsReply reply,
         co_await call({.op = TargetsOp::kMeasureFlattening, .container = container}, kMeasure + kPatience));
  co_return reply.usage;
}

Task<Result<>> EngineTargets::start_flattening(Uuid container) {
  return tell_for_good({.op = TargetsOp::kStartFlattening, .container = container});
}

Task<Result<std::optional<FlattenInfo>>> EngineTargets::flattening(Uuid container) {
  CO_TRY(TargetsReply reply, co_await call({.op = TargetsOp::kFlattening, .container = container}));
  if (reply.flattening && !reply.flattening->obstacle.empty())
    reply.flattening->obstacle = fmt::format("engine '{}', {}", name_, reply.flattening->obstacle);
  co_return std::move(reply.flattening);
}

Task<Result<object::Usage>> EngineTargets::used(Uuid container) {
  CO_TRY(const TargetsReply reply, co_await call({.op = TargetsOp::kUsed, .container = container}));
  co_return reply.usage;
}

Task<Result<std::vector<HeldContainer>>> EngineTargets::list_containers(Uuid after) {
  CO_TRY(TargetsReply reply, co_await call({.op = TargetsOp::kListContainers, .id = after}));
  co_return std::move(reply.containers);
}

Task<Result<std::vector<Epoch>>> EngineTargets::list_snapshots(Uuid container) {
  CO_TRY(TargetsReply reply, co_await call({.op = TargetsOp::kListSnapshots, .container = container}));
  co_return std::move(reply.snapshots);
}

Task<Result<std::vector<TargetMoveStatus>>> EngineTargets::moves(Uuid pool) {
  CO_TRY(TargetsReply reply, co_await call({.op = TargetsOp::kMoves, .id = pool}));
  co_return std::move(reply.moves);
}

Task<std::vector<Result<>>> EngineTargets::scrub(ContainerScrub& scrub) {
  const std::uint64_t high = reactor_.random();
  const Uuid id = Uuid::from_random(high, reactor_.random());
  std::vector<Result<>> outcomes(scrub.parts.size());
  const auto followed = co_await follow(scrub, id, outcomes);
  if (!followed) std::ranges::fill(outcomes, followed);
  // It ends by itself where this does not arrive.
  static_cast<void>(co_await tell({.op = TargetsOp::kEndScrub, .id = id}));
  co_return outcomes;
}

Task<Result<>> EngineTargets::follow(ContainerScrub& scrub, Uuid id, std::vector<Result<>>& outcomes) {
  CO_CHECK_OK(co_await tell({.op = TargetsOp::kBeginScrub,
                             .container = scrub.container,
                             .id = id,
                             .bytes_per_second = scrub.bytes_per_second}));
  Duration pause = kFirstPause;
  for (bool cancelled = false;;) {
    TargetsRequest question{.op = TargetsOp::kScrubProgress, .id = id};
    for (const ContainerScrub::Part& part : scrub.parts)
      question.findings_known.push_back(static_cast<std::uint32_t>(part.progress.findings.size()));
    CO_TRY(TargetsReply reply, co_await call(std::move(question)));
    if (reply.scrub.targets.size() != scrub.parts.size())
      co_return failf(Code::kProtocolError, "engine '{}' checked {} targets of {}", name_, reply.scrub.targets.size(),
                      scrub.parts.size());
    const bool ended = reply.scrub.ended;
    for (std::size_t index = 0; ended && index < outcomes.size(); ++index) {
      const ScrubbedTarget& target = reply.scrub.targets[index];
      outcomes[index] = target.outcome == Code::kOk ? Result<>() : fail(target.outcome, target.error);
    }
    if (!take_news(std::move(reply.scrub), scrub)) co_return Result<>();
    if (ended) continue;
    if (cancelled) {
      co_await reactor_.sleep_for(pause);
    } else if (!co_await sleep_for(reactor_, pause, scrub.parts.front().cancel)) {
      cancelled = true;
      pause = kFirstPause;
      CO_CHECK_OK(co_await tell({.op = TargetsOp::kCancelScrub, .id = id}));
    }
    pause = std::min(2 * pause, kLongestPause);
  }
}

Task<std::vector<ContainerScrub::Progress>> EngineTargets::progress_of(ContainerScrub& scrub) {
  std::vector<ContainerScrub::Progress> progress;
  for (const ContainerScrub::Part& part : scrub.parts) progress.push_back(part.progress);
  co_return progress;
}

Task<> EngineTargets::cancel(ContainerScrub& scrub) {
  for (ContainerScrub::Part& part : scrub.parts) part.cancel.cancel();
  co_return;
}

}  // namespace cenote::engine
