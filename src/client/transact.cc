// Transactions: views of a container, the requests behind them, and the loop that runs them again.

#include <algorithm>
#include <set>

#include "cenote/base/format.h"
#include "cenote/protocol/opcodes.h"
#include "impl.h"
#include "payload.h"
#include "transaction.h"

namespace cenote::async {
namespace {

constexpr Duration kPauseMin = std::chrono::microseconds(200);
constexpr Duration kPauseMax = std::chrono::milliseconds(100);

/// The targets that answer for what a transaction read and changed, in a pool without a map.
Result<std::set<cluster::TargetId>> targets_of(const CommitRequest& request, const cluster::PoolLayout& layout,
                                               cluster::PlacementSeed seed) {
  std::set<cluster::TargetId> result;
  const auto add = [&](const ObjectId& object, ByteView dkey) -> Result<> {
    TRY(const cluster::TargetId home, layout.home(object, seed, dkey));
    result.insert(home);
    return {};
  };
  const auto add_whole = [&](const ObjectId& object, bool spread) -> Result<> {
    if (!spread) return add(object, {});
    TRY(const auto all, layout.all());
    result.insert(all.begin(), all.end());
    return {};
  };
  const auto is_spread = [](const ObjectId& object) { return object.object_class() != ObjectClass::kS1; };
  for (const AkeyRead& read : request.reads) CHECK_OK(add(read.object, read.dkey));
  for (const ListRead& list : request.lists) {
    const bool spread = list.request.level == ListLevel::kObjects || is_spread(list.request.object);
    CHECK_OK(list.request.level >= ListLevel::kAkeys ? add(list.request.object, list.request.dkey)
                                                     : add_whole(list.request.object, spread));
  }
  for (const QueryRead& query : request.queries) {
    CHECK_OK(query.request.dkey.empty() ? add_whole(query.request.object, is_spread(query.request.object))
                                        : add(query.request.object, query.request.dkey));
  }
  for (const PunchRequest& punch : request.punches) {
    CHECK_OK(punch.level == PunchLevel::kObject ? add_whole(punch.object, is_spread(punch.object))
                                                : add(punch.object, punch.dkey));
  }
  for (const UpdateRequest& update : request.updates) CHECK_OK(add(update.object, update.dkey));
  return result;
}

/// Where a transaction is committed: at the leader of its first change, or else of what it read first. What it touches
/// besides is for that one to find.
template <typename State>
Result<Destination> committed_at(const State& state, const CommitRequest& request) {
  if (!request.updates.empty()) return state.home(request.updates.front().object, request.updates.front().dkey);
  if (!request.punches.empty()) return state.home(request.punches.front().object, request.punches.front().dkey);
  if (!request.reads.empty()) return state.home(request.reads.front().object, request.reads.front().dkey);
  for (const ListRead& list : request.lists) {
    if (list.request.level != ListLevel::kObjects) return state.home(list.request.object, list.request.dkey);
  }
  if (!request.queries.empty())
    return state.home(request.queries.front().request.object, request.queries.front().request.dkey);
  return fail(Code::kInvalidArgument, "changes: none, so there is nothing to commit");
}

/// As above in a pool without a map, whose only engine runs transactions of one target.
template <typename State>
Result<Destination> only_target(const State& state, const CommitRequest& request) {
  TRY(const auto targets, targets_of(request, state.routes->layout(), state.seed()));
  if (targets.size() == 1) return state.at(*targets.begin());
  return failf(Code::kUnsupported,
               "the transaction spans {} targets, {} and {} for instance: it has to stay on one. All of "
               "an object of class S1 lies on one",
               targets.size(), targets.begin()->value(), targets.rbegin()->value());
}

/// Whether an error says what somebody decided on what he read; not that nothing could be read.
bool is_decision(const Error& error) {
  switch (error.code()) {
    case Code::kNotFound:
    case Code::kExists:
    case Code::kGone:
    case Code::kNotEmpty:
    case Code::kNotADirectory:
    case Code::kIsADirectory:
    case Code::kConditionFailed:
    case Code::kInvalidArgument:
      return true;
    default:
      return false;
  }
}

}  // namespace

Container Container::begin_transaction() const {
  ASSERT(!state_->transaction);
  auto view = std::make_shared<State>();
  view->client = state_->client;
  view->impl = state_->impl;
  view->routes = state_->routes;
  view->info = state_->info;
  view->checksums = state_->checksums;
  view->transaction = std::make_shared<Transaction>(*this);
  return Container(std::move(view));
}

bool Container::in_transaction() const { return state_->transaction != nullptr; }

Task<Result<>> Container::commit_transaction(Until until) {
  const auto state = state_;
  if (!state->transaction) co_return fail(Code::kInvalidArgument, "no transaction: nothing to commit");
  CO_CHECK_OK(co_await state->transaction->commit(state->impl->bounded(until)));
  co_return Result<>();
}

Result<> Container::check_no_transaction(std::string_view what) const {
  if (!state_->transaction) return {};
  return failf(Code::kInvalidArgument, "{} cannot be a part of a transaction", what);
}

Task<Result<Epoch>> Container::begin(const ObjectId& object, ByteView dkey, Until until) {
  const auto state = state_;
  if (state->snapshot) co_return state->epoch;
  Bytes body;
  encode(BeginRequest{state->info.id}, body);
  Destination place = state->reader(object, dkey);
  if (object == ObjectId()) {  // all objects are what it reads first
    CO_TRY(const auto anywhere, whole_pool(*state->routes, state->info.redundancy));
    place = anywhere.front();
    place.plan = nullptr;
  }
  CO_TRY(const rpc::Reply reply, co_await state->impl->call(Opcode::kBegin, body, {}, {}, place, until));
  CO_TRY(const BeginReply begun, decode_begin_reply(reply.body));
  co_return begun.snapshot;
}

Task<Result<UpdateReply>> Container::commit(CommitRequest& request, std::span<const ByteView> payload,
                                            std::shared_ptr<const cluster::PoolLayout> plan, Until until) {
  const auto state = state_;
  CO_CHECK_OK(check_writable());
  const bool has_map = state->routes->layout().map() != nullptr;
  CO_TRY(Destination place, has_map ? committed_at(*state, request) : only_target(*state, request));
  if (has_map) place.plan = std::move(plan);
  std::size_t next = 0;
  for (UpdateRequest& update : request.updates) {
    // Each update has its own part of the payload.
    std::uint64_t bytes = 0;
    for (const AkeyUpdate& akey : update.akeys) bytes += akey.bytes;
    const std::size_t first = next;
    for (std::uint64_t left = bytes; left > 0; ++next) left -= payload[next].size();
    const Scattered<const std::byte> data{payload.subspan(first, next - first)};
    if (state->checksums) fill_checksums(update, data);
  }
  CO_CHECK_OK(validate(request));
  Bytes body;
  encode(request, body);
  until = state->impl->bounded(until);
  Leases::Changing changing(state->impl->leases, request);
  auto reply = co_await state->impl->call(Opcode::kCommit, body, rpc::BulkSource(payload), {}, place, until);
  changing.ended(reply, until);
  if (!reply) co_return fail(std::move(reply).error());
  co_return decode_update_reply(reply->body);
}

Task<Result<>> Container::pause_before_retry(std::uint32_t attempts, Until until) {
  Client::Impl& impl = *state_->impl;
  const Duration longest = std::min(kPauseMin * (1u << std::min(attempts, 16u)), kPauseMax);
  // Drawn, so that two that met do not meet again.
  const Instant end =
      impl.reactor.now() +
      Duration(static_cast<std::int64_t>(impl.reactor.random() % static_cast<std::uint64_t>(longest.count())));
  if (end >= until.deadline) co_return fail(Code::kDeadlineExceeded, "no time is left for another attempt");
  const Result<> waited = co_await impl.closing.wait(until.no_later_than(end));
  if (waited) co_return fail(Code::kStopped, "the client is closing");
  if (waited.error() != Code::kDeadlineExceeded) co_return waited;
  co_return Result<>();
}

Task<Result<>> Container::transact(Body body, Until until) {
  Container self = *this;
  CO_CHECK_OK(self.check_no_transaction("another transaction"));
  until = self.state_->impl->bounded(until);
  for (std::uint32_t attempts = 1;; ++attempts) {
    Container view = self.begin_transaction();
    auto outcome = co_await body(view);
    const bool decided = !outcome && is_decision(outcome.error());
    if (outcome) outcome = co_await view.commit_transaction(until);
    view.state_->transaction->end();
    if (decided) {
      // Nothing proves what a failure was decided on, and the snapshot may be older than what this client, or another
      // one that told it so, was answered for by other targets: what is newest has the last word.
      Container latest = self.begin_transaction();
      latest.state_->transaction->read_latest();
      const auto again = co_await body(latest);
      latest.state_->transaction->end();
      if (!again) co_return is_decision(again.error()) ? again : outcome;
    } else if (outcome || outcome.error() != Code::kTxRestart) {
      co_return outcome;
    }
    const auto paused = co_await self.pause_before_retry(attempts, until);
    // That the time is over says less than what kept it from ending.
    if (!paused) co_return paused.error() == Code::kDeadlineExceeded ? outcome : paused;
  }
}

}  // namespace cenote::async
