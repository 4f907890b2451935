#include "targets_service.h"

#include "cenote/base/format.h"
#include "cenote/protocol/scrub_info.h"
#include "turn.h"

namespace cenote::engine {

struct TargetsService::Scrub {
  Scrub(Uuid number, std::size_t targets) : id(number), scrub(targets) {}

  Uuid id;
  ContainerScrub scrub;
  bool ended = false;
  std::vector<Result<>> outcomes;
  Instant asked{};  // when somebody wanted to know of it
};

namespace {

/// The reply to what tells only whether it was done.
Result<TargetsReply> done(Result<> outcome) {
  CHECK_OK(outcome);
  return TargetsReply();
}

ScrubbedTarget told(const ContainerScrub::Progress& progress, std::size_t known, std::size_t& room) {
  ScrubbedTarget target;
  target.report = progress.report;
  target.found = progress.found;
  target.damages = progress.damages;
  for (std::size_t i = known; i < progress.findings.size(); ++i) {
    const std::size_t bytes = encoded_bytes(progress.findings[i]);
    // The order is kept: what has no room comes with a later answer.
    if (bytes > room) break;
    room -= bytes;
    target.findings.push_back(progress.findings[i]);
  }
  return target;
}

}  // namespace

Result<> TargetsService::admit(const TargetsRequest& request) {
  if (request.token < token_) {
    return failf(Code::kLeaseExpired,
                 "the engine was asked by the leader of revision {}, and has heard of a later one, of revision {}",
                 request.token, token_);
  }
  if (request.token > token_) {
    token_ = request.token;
    last_change_ = 0;
  }
  return {};
}

Task<Result<TargetsReply>> TargetsService::call(TargetsRequest request, Until until) {
  CO_CHECK_OK(admit(request));
  if (is_change(request.op)) co_return co_await change(std::move(request), until);
  co_return co_await answer(std::move(request));
}

Task<Result<TargetsReply>> TargetsService::change(TargetsRequest request, Until until) {
  CO_CHECK_OK(co_await turn_.acquire(1, until));
  const Turn turn(turn_);
  // Others may have come while it waited.
  CO_CHECK_OK(admit(request));
  if (request.number < last_change_) {
    co_return failf(Code::kRequestExpired, "change {} of the leader came after its change {}, and was not made",
                    request.number, last_change_);
  }
  last_change_ = request.number;
  co_return done(co_await make_change(std::move(request)));
}

Task<Result<>> TargetsService::make_change(TargetsRequest request) {
  switch (request.op) {
    case TargetsOp::kCreate:
      co_return co_await create(std::move(request));
    case TargetsOp::kCharge:
      co_return co_await charge(std::move(request));
    case TargetsOp::kLimits:
      accounts_.set_limits(request.account);
      co_return Result<>();
    case TargetsOp::kDestroy:
      co_return co_await destroy(request.container);
    case TargetsOp::kHoldAnswers:
      co_return co_await hold_answers(request.number);
    case TargetsOp::kReleaseAnswers:
      co_return co_await release_answers(request.hold_number);
    case TargetsOp::kAddSnapshot:
      co_return co_await targets_.add_snapshot(request.container, request.epoch);
    case TargetsOp::kRemoveSnapshot:
      co_return co_await targets_.remove_snapshot(request.container, request.epoch);
    case TargetsOp::kRollBack:
      co_return co_await targets_.roll_back(request.container, request.epoch, request.id);
    case TargetsOp::kStartFlattening:
      co_return co_await targets_.start_flattening(request.container);
    default:
      ASSERT(false);
  }
  co_return Result<>();
}

Task<Result<TargetsReply>> TargetsService::answer(TargetsRequest request) {
  TargetsReply reply;
  switch (request.op) {
    case TargetsOp::kDescribe:
      reply.about = {.encrypted = targets_.encrypted(),
                     .capacity_bytes = targets_.capacity_bytes(),
                     .target_bytes = targets_.engines().front().target_bytes};
      break;
    case TargetsOp::kNewestEpoch: {
      CO_TRY(reply.epoch, co_await targets_.newest_epoch({}));
      break;
    }
    case TargetsOp::kCheckRollback:
      CO_CHECK_OK(co_await targets_.check_rollback(request.container, request.epoch));
      break;
    case TargetsOp::kMeasureFlattening: {
      CO_TRY(reply.usage, co_await measure_flattening(request.container));
      break;
    }
    case TargetsOp::kFlattening: {
      CO_TRY(reply.flattening, co_await targets_.flattening(request.container));
      break;
    }
    case TargetsOp::kUsed: {
      CO_TRY(reply.usage, co_await targets_.used(request.container));
      break;
    }
    case TargetsOp::kListContainers: {
      CO_TRY(reply.containers, co_await targets_.list_containers(request.id));
      break;
    }
    case TargetsOp::kListSnapshots: {
      CO_TRY(reply.snapshots, co_await targets_.list_snapshots(request.container));
      break;
    }
    case TargetsOp::kMoves: {
      CO_TRY(reply.moves, co_await targets_.moves(request.id));
      break;
    }
    case TargetsOp::kKeepCopy:
      // Whether it could be kept is the engine's own trouble: it serves without.
      if (copy_ != nullptr) static_cast<void>(co_await copy_->keep(request.revision));
      break;
    case TargetsOp::kBeginScrub:
      CO_CHECK_OK(begin_scrub(request));
      break;
    case TargetsOp::kScrubProgress: {
      CO_TRY(reply.scrub, co_await scrub_news(std::move(request)));
      break;
    }
    case TargetsOp::kCancelScrub:
    case TargetsOp::kEndScrub:
      CO_CHECK_OK(co_await cancel_scrub(request.id, request.op == TargetsOp::kEndScrub));
      break;
    default:
      ASSERT(false);
  }
  co_return reply;
}

Task<Result<>> TargetsService::create(TargetsRequest request) {
  const bool known = knows(request.container);
  auto account = accounts_.of(request.pool_account, request.account);
  auto created = co_await targets_.create(request.container, request.properties, request.source, std::move(account));
  // Requests are for those that every target has. What some have by now the leader ends, or makes again.
  if (!created && !known) accounts_.forget(request.container);
  co_return created;
}

Task<Result<>> TargetsService::charge(TargetsRequest request) {
  co_return co_await targets_.charge_to(request.container, accounts_.of(request.pool_account, request.account));
}

Task<Result<>> TargetsService::destroy(Uuid container) {
  accounts_.forget(container);
  co_return co_await targets_.destroy(container);
}

Task<Result<>> TargetsService::hold_answers(std::uint64_t number) {
  held_ = 0;
  CO_CHECK_OK(co_await targets_.hold_answers({}));
  held_ = number;
  co_return Result<>();
}

Task<Result<>> TargetsService::release_answers(std::uint64_t number) {
  const bool held = std::exchange(held_, 0) == number && number != 0;
  CO_CHECK_OK(co_await targets_.release_answers({}));
  if (held) co_return Result<>();
  // Another start of the engine lies between, or another leader: answers were given that should have been held.
  co_return fail(Code::kBusy, "the targets have not held their answers all the time: try again");
}

/// What the engine's targets would copy has to fit its share.
Task<Result<object::Usage>> TargetsService::measure_flattening(Uuid container) {
  CO_TRY(const object::Usage added, co_await targets_.measure_flattening(container));
  const auto account = accounts_.find(container);
  if (!account) co_return added;
  auto fits = account->charge(added);
  if (!fits) co_return fail(std::move(fits).error());
  account->refund(added);
  co_return added;
}

Result<> TargetsService::begin_scrub(const TargetsRequest& request) {
  if (scrubs_.contains(request.id)) return {};
  if (scrubs_.size() >= kMaxScrubs)
    return failf(Code::kBusy, "{} containers are being checked on this engine already", scrubs_.size());
  const auto scrub = std::make_shared<Scrub>(request.id, targets_.target_count());
  scrub->scrub.container = request.container;
  scrub->scrub.bytes_per_second = request.bytes_per_second;
  scrub->asked = reactor_.now();
  if (!scope_.spawn(run_scrub(scrub)) || !scope_.spawn(watch_scrub(scrub)))
    return fail(Code::kNotReady, "the engine is stopping");
  scrubs_[request.id] = scrub;
  return {};
}

Task<> TargetsService::run_scrub(std::shared_ptr<Scrub> scrub) {
  scrub->outcomes = co_await targets_.scrub(scrub->scrub);
  scrub->ended = true;
}

/// Ends and forgets a scrub that nobody asks for any more: its leader is gone.
Task<> TargetsService::watch_scrub(std::shared_ptr<Scrub> scrub) {
  for (;;) {
    const Instant enough = scrub->asked + kScrubPatience;
    if (!co_await sleep_until(reactor_, enough, scope_.cancel_source())) break;
    if (reactor_.now() < scrub->asked + kScrubPatience) continue;
    scrubs_.erase(scrub->id);
    break;
  }
  if (!scrub->ended) co_await targets_.cancel(scrub->scrub);
}

Task<Result<ScrubNews>> TargetsService::scrub_news(TargetsRequest request) {
  const auto found = scrubs_.find(request.id);
  if (found == scrubs_.end())
    co_return fail(Code::kNotFound, "the engine does not check this container: it has started again since");
  const auto scrub = found->second;
  scrub->asked = reactor_.now();
  ScrubNews news;
  // Before the progress is read: what is told of one that has ended is all there will be.
  news.ended = scrub->ended;
  const auto progress = co_await targets_.progress_of(scrub->scrub);
  std::size_t room = kMaxDamageBytesTold;
  for (std::size_t index = 0; index < progress.size(); ++index) {
    const std::size_t known = index < request.findings_known.size() ? request.findings_known[index] : 0;
    ScrubbedTarget& target = news.targets.emplace_back(told(progress[index], known, room));
    if (!news.ended || scrub->outcomes[index]) continue;
    target.outcome = scrub->outcomes[index].error().code();
    target.error = scrub->outcomes[index].error().message();
  }
  co_return news;
}

Task<Result<>> TargetsService::cancel_scrub(Uuid id, bool forget) {
  const auto found = scrubs_.find(id);
  if (found == scrubs_.end()) co_return Result<>();
  const auto scrub = found->second;
  scrub->asked = reactor_.now();
  if (forget) scrubs_.erase(found);
  if (!scrub->ended) co_await targets_.cancel(scrub->scrub);
  co_return Result<>();
}

Task<> TargetsService::stop() {
  co_await scope_.stop();
  scrubs_.clear();
}

}  // namespace cenote::engine
