#include "group_leader.h"

#include <algorithm>

#include "cenote/base/format.h"
#include "gather.h"
#include "group_leader_impl.h"

namespace cenote::engine {
namespace {

/// Of an encoded change with a key or two, and of what else is in a message with it.
constexpr std::size_t kUsualBytes = 512;
constexpr Duration kAskPause = std::chrono::milliseconds(50);
constexpr Duration kAgainPause = std::chrono::microseconds(200);
constexpr Duration kAgainPauseMax = std::chrono::milliseconds(20);
/// How far the epoch of a later attempt may be put ahead of all clocks, so that others do not overtake it again.
constexpr std::int64_t kSlackMax = std::chrono::nanoseconds(std::chrono::milliseconds(20)).count();

object::Member kind_of(const EntryPlan::Member& member) {
  if (member.checks) return object::Member::kChecking;
  return member.incomplete ? object::Member::kIncomplete : object::Member::kComplete;
}

std::uint64_t bytes_of(const UpdateRequest& update) {
  std::uint64_t bytes = 0;
  for (const AkeyUpdate& akey : update.akeys) bytes += akey.bytes;
  return bytes;
}

bool is_held(const Result<EntryState>& state) {
  return state && (*state == EntryState::kPrepared || *state == EntryState::kCommitted);
}

}  // namespace

struct GroupLeader::Answer {
  bool arrived = false;
  PrepareAnswer prepared;
  Error failure{Code::kInternal};
};

/// One attempt at one change.
struct GroupLeader::Attempt {
  Change& change;
  EntryPlan plan;
  std::shared_ptr<const cluster::PoolLayout> layout;
  object::EntryName name;
  Bytes note;
  Bytes encoded;                      ///< the whole change
  std::vector<TargetAddress> places;  ///< of the plan's members
  std::vector<Answer> answers;
  bool unheard = false;  ///< by the others, so far

  bool holds(std::size_t index) const { return answers[index].arrived && is_held(answers[index].prepared.state); }
};

GroupLeader::GroupLeader(GroupMember& member, EngineLinks& links, Reactor& reactor, Logger logger)
    : member_(member), links_(links), reactor_(reactor), logger_(std::move(logger)), locks_(reactor), scope_(reactor) {}

GroupLeader::~GroupLeader() { ASSERT(running_.empty()); }

Task<> GroupLeader::stop() { co_await scope_.stop(); }

// --- One change

Task<Result<UpdateReply>> GroupLeader::execute(Change change, Until until) {
  // What may bring an array into being has all of it to itself.
  const bool exist = member_.objects().knows_arrays(change.request);
  change.locks = std::make_shared<KeyLocks::Held>(
      locks_, KeyLocks::wanted_by(change.request, exist ? KeyLocks::Arrays::kExist : KeyLocks::Arrays::kMayBeBorn));
  CO_CHECK_OK(co_await change.locks->acquire(member_.bounded(until)));
  co_return co_await run(change, member_.bounded(until));
}

Task<Result<UpdateReply>> GroupLeader::run(Change& change, Until until) {
  Epoch above;
  for (Duration pause = kAgainPause;; pause = std::min(2 * pause, kAgainPauseMax)) {
    CO_TRY(const auto known, co_await known_result(change, until));
    if (known) co_return *known;
    bool again = false;
    auto outcome = co_await attempt(change, above, again, until);
    if (outcome) ++counters_.changes;
    if (outcome || !again) {
      if (outcome || outcome.error() == Code::kDeadlineExceeded || outcome.error() == Code::kUndecided ||
          outcome.error() == Code::kStaleMap)
        co_return outcome;
      co_return co_await fail_surely(change, std::move(outcome).error(), until);
    }
    if (reactor_.now() + pause >= until.deadline)
      co_return failf(Code::kDeadlineExceeded, "others were faster at the same keys all the time: {}",
                      outcome.error().message());
    CO_CHECK_OK(co_await sleep_for(reactor_, pause, scope_.cancel_source()));
  }
}

/// Settles what is in the way here; the result, if an earlier attempt of the request took effect.
Task<Result<std::optional<UpdateReply>>> GroupLeader::known_result(const Change& change, Until until) {
  for (;;) {
    const auto other = member_.objects().undecided_before(change.request);
    if (!other) break;
    CO_CHECK_OK(co_await member_.resolve(*other, until));
  }
  if (change.request.id.session == 0) co_return std::optional<UpdateReply>();
  co_return co_await member_.objects().kept_result(change.request.id);
}

// A failure may be told when no member holds an attempt that could still take effect.
Task<Result<UpdateReply>> GroupLeader::fail_surely(Change& change, Error error, Until until) {
  if (!change.resent || change.request.id.session == 0) co_return fail(std::move(error));
  CO_TRY(const auto layout, co_await member_.layout_of(change.request.container));
  CO_TRY(const EntryPlan plan, plan_entry(change.request, *layout, change.seed));
  if (layout->version() != change.version) co_return fail(Code::kStaleMap, "the map has changed meanwhile");
  Bytes body;
  encode(AskMessage{change.request.container, change.request.id}, body);
  for (const EntryPlan::Member& member : plan.members) {
    const cluster::TargetPlace place = layout->place_of(member.target);
    if (place.engine == member_.self().engine && place.index == member_.self().index) continue;
    for (;;) {
      const auto reply = co_await links_.call(
          place.engine,
          {.opcode = Opcode::kAskRequest, .target = place.index, .version = layout->version(), .body = body}, until);
      if (!reply)
        co_return failf(Code::kDeadlineExceeded, "not all members say what they know of the request: {}",
                        reply.error().message());
      CO_TRY(const AskAnswer answer, decode_ask_answer(reply->body));
      if (answer.result) co_return *answer.result;
      if (!answer.attempt) break;
      CO_CHECK_OK(co_await member_.resolve(*answer.attempt, until));
    }
  }
  co_return fail(std::move(error));
}

Task<Result<UpdateReply>> GroupLeader::attempt(Change& change, Epoch& above, bool& again, Until until) {
  CO_TRY(auto layout, co_await member_.layout_of(change.request.container));
  if (layout->version() != change.version)
    co_return failf(Code::kStaleMap, "the request was made for version {} of the pool's map; the engine has {}",
                    change.version.value(), layout->version().value());
  CO_TRY(EntryPlan plan, plan_entry(change.request, *layout, change.seed));
  if (plan.unchecked) co_return fail(*std::move(plan.unchecked));
  Attempt attempt{.change = change,
                  .plan = std::move(plan),
                  .layout = std::move(layout),
                  .name = {},
                  .note = {},
                  .encoded = {},
                  .places = {},
                  .answers = {}};
  CO_TRY(attempt.note, encode(attempt.plan.note));
  for (const EntryPlan::Member& member : attempt.plan.members) {
    const cluster::TargetPlace place = attempt.layout->place_of(member.target);
    attempt.places.push_back({place.engine, place.index});
  }
  attempt.answers.resize(attempt.places.size());
  attempt.encoded.reserve(kUsualBytes);
  encode(change.request, attempt.encoded);
  if (above != kEpochZero) member_.objects().observe(above);
  CO_TRY(const Epoch epoch, co_await member_.objects().draw_epoch(until));
  attempt.name = {member_.self().number(), epoch};

  ++counters_.attempts;
  const auto running = std::make_shared<Running>(reactor_);
  running_.emplace(attempt.name, running);
  auto outcome = co_await decide(attempt, *running, above, again, until);
  if (!running->is_committed) running_.erase(attempt.name);
  running->ended.set();
  // Whoever asks again with the same id learns what became of it.
  if (!outcome && !running->outcome && !(outcome.error() == Code::kDeadlineExceeded))
    co_return failf(Code::kUndecided, "it is not decided yet whether the change takes effect: {}",
                    outcome.error().message());
  co_return outcome;
}

Task<Result<UpdateReply>> GroupLeader::decide(Attempt& attempt, Running& running, Epoch& above, bool& again,
                                              Until until) {
  const Uuid container = attempt.change.request.container;
  const UpdateReply reply{attempt.name.epoch};
  CO_CHECK_OK(co_await prepare_everywhere(attempt, until));
  bool all = true;
  for (std::size_t index = 0; index < attempt.answers.size(); ++index) all = all && attempt.holds(index);
  if (all) {
    running.is_committed = commit_soon(attempt);
    if (!running.is_committed) CO_CHECK_OK(co_await commit(attempt.name, container, attempt.places));
    running.outcome = EntryState::kCommitted;
    co_return reply;
  }
  const bool any_refused = std::ranges::any_of(attempt.answers, [](const Answer& answer) {
    return answer.arrived && answer.prepared.state == EntryState::kRefused;
  });
  if (any_refused) {
    auto outcome = co_await refused(attempt, running, above, again, until);
    co_return outcome;
  }
  CO_TRY(running.outcome, co_await drive(attempt.name, container, attempt.plan.note, until));
  if (*running.outcome == EntryState::kCommitted) co_return reply;
  again = true;
  co_return fail(Code::kBusy, "a member did not answer in time");
}

bool GroupLeader::is_own(const Attempt& attempt, std::size_t index) const {
  return attempt.places[index] == member_.self();
}

/// Where conditions or reads decide, which often fail, the others are not bothered before they are known to hold. And
/// who lacks data comes last: it checks nothing, and may be all that is left of a group when those who did have been
/// emptied; so that it has the entry prepared says that they all had.
Task<Result<>> GroupLeader::prepare_everywhere(Attempt& attempt, Until until) {
  std::size_t own = 0;
  while (own < attempt.places.size() && !is_own(attempt, own)) ++own;
  if (own == attempt.places.size())
    co_return fail(Code::kInternal, "the leader of a change is no member of its groups");
  const bool may_fail = is_conditional(attempt.change.request) || attempt.change.request.has_reads();
  if (may_fail && !attempt.plan.members[own].incomplete) {
    attempt.unheard = true;
    CO_CHECK_OK(co_await prepare_here(attempt, own, until));
    const Answer& answer = attempt.answers[own];
    if (!answer.arrived) co_return fail(answer.failure);
    if (!is_held(answer.prepared.state)) co_return Result<>();
    attempt.unheard = false;
  }
  for (const bool incomplete : {false, true}) {
    std::vector<std::size_t> asked;
    for (std::size_t index = 0; index < attempt.places.size(); ++index)
      if (attempt.plan.members[index].incomplete == incomplete) asked.push_back(index);
    if (asked.empty()) continue;
    static_cast<void>(co_await gather(reactor_, asked.size(),
                                      [&](std::size_t index) { return prepare_at(attempt, asked[index], until); }));
    const bool all = std::ranges::all_of(asked, [&](std::size_t index) { return attempt.holds(index); });
    if (!all) break;
  }
  co_return Result<>();
}

Task<Result<>> GroupLeader::prepare_at(Attempt& attempt, std::size_t index, Until until) {
  if (attempt.answers[index].arrived) co_return Result<>();
  if (is_own(attempt, index)) {
    // When the messages to the others are on their way.
    if (attempt.places.size() > 1) co_await reactor_.yield();
    co_return co_await prepare_here(attempt, index, until);
  }
  co_return co_await prepare_there(attempt, index, until);
}

Task<Result<>> GroupLeader::prepare_here(Attempt& attempt, std::size_t index, Until until) {
  const EntryPlan::Member& member = attempt.plan.members[index];
  Change& change = attempt.change;
  PrepareMessage message{.name = attempt.name,
                         .note = attempt.note,
                         .member = kind_of(member),
                         .decided = {},
                         .request = {},
                         .unheard = attempt.unheard};
  MutableBytes payload = change.payload;
  std::uint64_t bytes = change.payload_bytes;
  media::Buffer gathered;
  if (!member.whole) {
    // Its part of the payload, in one piece.
    bytes = 0;
    for (const UpdateRequest& update : member.part.updates) bytes += bytes_of(update);
    payload = {};
    if (bytes > 0) {
      auto room = co_await member_.allocate(static_cast<std::uint32_t>(bytes), until);
      if (!room) {
        attempt.answers[index].failure = std::move(room).error();
        co_return Result<>();
      }
      gathered = *std::move(room);
      std::uint64_t from = 0, to = 0;
      for (std::uint32_t i = 0; i < change.request.updates.size(); ++i) {
        const std::uint64_t size = bytes_of(change.request.updates[i]);
        if (std::ranges::binary_search(member.updates, i)) {
          std::copy_n(change.payload.data() + from, size, gathered.data() + to);
          to += size;
        }
        from += size;
      }
      payload = gathered.span();
    }
  }
  const CommitRequest& request = member.whole ? change.request : member.part;
  auto answer = co_await member_.prepare({message, request, attempt.plan.note, payload, bytes}, until);
  attempt.answers[index].arrived = answer.has_value();
  if (answer) {
    attempt.answers[index].prepared = *std::move(answer);
  } else {
    attempt.answers[index].failure = std::move(answer).error();
  }
  co_return Result<>();
}

Task<Result<>> GroupLeader::prepare_there(Attempt& attempt, std::size_t index, Until until) {
  const EntryPlan::Member& member = attempt.plan.members[index];
  const TargetAddress where = attempt.places[index];
  Change& change = attempt.change;
  std::vector<std::span<const std::byte>> pieces;
  if (member.whole && change.payload_bytes > 0) pieces.emplace_back(change.payload.first(change.payload_bytes));
  std::uint64_t from = 0;
  for (std::uint32_t i = 0; !member.whole && i < change.request.updates.size(); ++i) {
    const std::uint64_t size = bytes_of(change.request.updates[i]);
    if (size > 0 && std::ranges::binary_search(member.updates, i))
      pieces.emplace_back(change.payload.subspan(from, size));
    from += size;
  }
  const rpc::BulkSource payload =
      pieces.empty() ? rpc::BulkSource() : rpc::BulkSource(std::span<const rpc::BulkSource::Span>(pieces));
  // Until it answers, as long as there is time: it may restart meanwhile.
  for (;;) {
    const std::vector<EntryDecision> decided = take_waiting(where);
    Bytes body;
    body.reserve(attempt.encoded.size() + attempt.note.size() + kUsualBytes);
    encode_prepare(attempt.name, attempt.note, kind_of(member), decided, body);
    if (member.whole) {
      body.insert(body.end(), attempt.encoded.begin(), attempt.encoded.end());
    } else {
      encode(member.part, body);
    }
    const auto reply = co_await links_.call(where.engine,
                                            {.opcode = Opcode::kPrepareEntry,
                                             .target = where.index,
                                             .version = attempt.layout->version(),
                                             .body = body,
                                             .payload = payload},
                                            until);
    Result<PrepareAnswer> answer = fail(Code::kInternal);
    if (reply) {
      answer = decode_prepare_answer(reply->body);
    } else {
      answer = fail(reply.error());
    }
    if (answer) {
      for (const EntryDecision& decision : decided) confirm(decision.name, decision.event);
      attempt.answers[index].prepared = *std::move(answer);
      attempt.answers[index].arrived = true;
      co_return Result<>();
    }
    put_back(where, decided);
    attempt.answers[index].failure = std::move(answer).error();
    const auto layout = co_await member_.layout_of(change.request.container);
    if (!layout || (*layout)->version() != attempt.layout->version()) co_return Result<>();
    if (reactor_.now() + kRetryPause >= until.deadline || scope_.stopping()) co_return Result<>();
    if (!co_await sleep_for(reactor_, kRetryPause, scope_.cancel_source())) co_return Result<>();
  }
}

/// Says why, and whether another attempt may do better; the entry never takes effect.
Task<Result<UpdateReply>> GroupLeader::refused(Attempt& attempt, Running& running, Epoch& above, bool& again,
                                               Until until) {
  const PrepareAnswer* why = nullptr;
  const auto is_passing = [](Code reason) {
    return reason == Code::kUndecided || reason == Code::kEpochTooOld || reason == Code::kExists ||
           reason == Code::kBusy;
  };
  std::optional<object::UndecidedEntry> other;
  for (const Answer& answer : attempt.answers) {
    if (!answer.arrived) continue;
    above = std::max(above, answer.prepared.clock);
    if (answer.prepared.state != EntryState::kRefused) continue;
    if (answer.prepared.other) other = answer.prepared.other;
    // What another attempt may do better counts only where nothing else stands in the way.
    if (why == nullptr || !is_passing(answer.prepared.reason)) why = &answer.prepared;
  }
  ASSERT(why != nullptr);
  if (!attempt.unheard)
    CO_CHECK_OK(co_await abort(attempt.name, attempt.change.request.container, attempt.plan.note.members(),
                               attempt.layout->version(), until));
  ++counters_.refused;
  running.outcome = EntryState::kRefused;
  running.ended.set();  // `other` may wait for that
  // Whoever comes to the same keys next would meet it again.
  if (other && is_passing(why->reason)) {
    const auto resolved = co_await member_.resolve(*other, until);
    if (!resolved) co_return fail(Code::kDeadlineExceeded, resolved.error().message());
  }
  again = is_passing(why->reason);
  if (why->reason == Code::kEpochTooOld) {
    const std::int64_t ahead =
        static_cast<std::int64_t>(above.value()) - reactor_.wall_now().time_since_epoch().count();
    if (ahead < kSlackMax) above = Epoch(above.value() + static_cast<std::uint64_t>(kSlackMax / 16));
  }
  co_return fail(why->reason, why->message);
}

// --- Outcomes

Task<Result<EntryState>> GroupLeader::settle(object::UndecidedEntry entry, Until until) {
  until = member_.bounded(until);
  for (;;) {
    if (const auto found = running_.find(entry.name); found != running_.end()) {
      const auto running = found->second;
      CO_CHECK_OK(co_await running->ended.wait(until));
      if (running->outcome) co_return *running->outcome;
      continue;
    }
    CO_TRY(const EntryState held, co_await member_.objects().entry_state(entry.name));
    if (held == EntryState::kCommitted || held == EntryState::kRefused) co_return held;
    if (running_.contains(entry.name)) continue;
    CO_TRY(const EntryNote note, decode_entry_note(entry.note));
    const auto running = std::make_shared<Running>(reactor_);
    running_.emplace(entry.name, running);
    auto outcome = co_await drive(entry.name, entry.container, note, until);
    if (outcome) {
      running->outcome = *outcome;
      ++counters_.settled;
    }
    running_.erase(entry.name);
    running->ended.set();
    co_return outcome;
  }
}

/// Until all voters have said what they hold, in one version of the map.
Task<Result<EntryState>> GroupLeader::drive(object::EntryName name, Uuid container, const EntryNote& note,
                                            Until until) {
  for (;;) {
    CO_TRY(const auto outcome, co_await ask_voters(name, container, note, until));
    if (outcome) co_return *outcome;
    if (reactor_.now() + kAskPause >= until.deadline)
      co_return fail(Code::kDeadlineExceeded, "not all members have said yet what they hold");
    CO_CHECK_OK(co_await sleep_for(reactor_, kAskPause, scope_.cancel_source()));
  }
}

/// Nothing: somebody did not answer, or the map has changed.
Task<Result<std::optional<EntryState>>> GroupLeader::ask_voters(object::EntryName name, Uuid container,
                                                                const EntryNote& note, Until until) {
  CO_TRY(const auto layout, co_await member_.layout_of(container));
  CO_TRY(const cluster::TargetId leader, layout->leader(note.leader));
  const cluster::TargetPlace own = layout->place_of(leader);
  if (own.engine != member_.self().engine || own.index != member_.self().index)
    co_return fail(Code::kStaleMap, "another target leads that group by now");
  std::set<cluster::TargetId> voters;
  for (const auto& group : voters_of(note, *layout->map())) {
    // All who took part are lost; who has the group now got what was decided with its data.
    if (group.empty()) co_return fail(Code::kNotReady, "a group of the entry has lost all that took part");
    voters.insert(group.begin(), group.end());
  }
  const std::vector<cluster::TargetId> asked(voters.begin(), voters.end());
  std::vector<Result<EntryState>> held(asked.size(), fail(Code::kInternal));
  static_cast<void>(co_await gather(reactor_, asked.size(), [&](std::size_t index) {
    return ask_one(layout->place_of(asked[index]), {name, EntryEvent::kAsk}, container, *layout, until, held[index]);
  }));
  CO_TRY(const auto now, co_await member_.layout_of(container));
  if (now->version() != layout->version()) co_return std::optional<EntryState>();
  const bool all = std::ranges::all_of(held, [](const auto& state) { return state.has_value(); });
  const bool refused = std::ranges::any_of(held, [](const auto& state) { return state && !is_held(state); });
  if (!all && !refused) co_return std::optional<EntryState>();
  if (refused) {
    CO_CHECK_OK(co_await abort(name, container, note.members(), layout->version(), until));
    co_return EntryState::kRefused;
  }
  std::vector<TargetAddress> members;
  for (const cluster::TargetId voter : asked) {
    const cluster::TargetPlace place = layout->place_of(voter);
    members.push_back({place.engine, place.index});
  }
  CO_CHECK_OK(co_await commit(name, container, members));
  co_return EntryState::kCommitted;
}

Task<Result<>> GroupLeader::ask_one(cluster::TargetPlace place, EntryDecision decision, Uuid container,
                                    const cluster::PoolLayout& layout, Until until, Result<EntryState>& state) {
  const DecideMessage message{.container = container, .decisions = {decision}};
  const auto answer = co_await tell({place.engine, place.index}, message, &layout, until);
  if (!answer) {
    state = fail(answer.error());
  } else if (const DecideAnswer::Done& done = answer->done.front(); done.code != Code::kOk) {
    state = fail(done.code, "a member could not carry out what was decided");
  } else {
    state = done.state;
  }
  co_return Result<>();
}

/// Applied here when it returns; the others are told with what comes next.
Task<Result<>> GroupLeader::commit(object::EntryName name, Uuid container, std::vector<TargetAddress> members) {
  CO_CHECK_OK(co_await member_.objects().apply_commit(name));
  enqueue(name, EntryEvent::kCommit, container, std::move(members));
  co_return Result<>();
}

/// The same after the answer, which need not wait for it: nothing can come of the entry but a commit, and whoever meets
/// it here learns that. False: nothing is begun any more.
bool GroupLeader::commit_soon(Attempt& attempt) {
  if (!committing_) committing_ = scope_.spawn(commit_own(*this));
  if (!committing_) return false;
  committed_.push_back(
      {attempt.name, attempt.change.request.container, std::move(attempt.places), attempt.change.locks});
  return true;
}

/// What was committed in a turn, together.
Task<> GroupLeader::commit_own(GroupLeader& self) {
  do {
    co_await self.reactor_.yield();
    const auto committed = std::exchange(self.committed_, {});
    std::vector<object::EntryChange> changes;
    for (const Committed& entry : committed) changes.push_back({.name = entry.name, .event = EntryEvent::kCommit});
    // Where that fails, it is tried again with what the others are told.
    static_cast<void>(co_await self.member_.objects().apply_changes(changes));
    for (const Committed& entry : committed) {
      self.running_.erase(entry.name);
      self.enqueue(entry.name, EntryEvent::kCommit, entry.container, entry.members);
    }
  } while (!self.committed_.empty());
  self.committing_ = false;
}

/// When it returns all members that are up have it refused, durably. An abort counts only in the version in which it
/// was decided: in another one it has to be settled anew, perhaps by another leader.
Task<Result<>> GroupLeader::abort(object::EntryName name, Uuid container, const std::vector<cluster::TargetId>& members,
                                  cluster::MapVersion version, Until until) {
  std::set<cluster::TargetId> left(members.begin(), members.end());
  std::vector<TargetAddress> others;
  for (;;) {
    CO_TRY(const auto layout, co_await member_.layout_of(container));
    if (layout->version() != version) co_return fail(Code::kStaleMap, "the map has changed meanwhile");
    others.clear();
    std::vector<cluster::TargetId> asked;
    for (const cluster::TargetId member : members) {
      const cluster::MapTarget& target = layout->map()->target(member);
      if (target.state != cluster::ComponentState::kUp && !cluster::PoolMap::is_complete(target)) {
        left.erase(member);
        continue;
      }
      const cluster::TargetPlace place = layout->place_of(member);
      if (TargetAddress{place.engine, place.index} != member_.self()) others.push_back({place.engine, place.index});
      if (left.contains(member)) asked.push_back(member);
    }
    std::vector<Result<EntryState>> held(asked.size(), fail(Code::kInternal));
    static_cast<void>(co_await gather(reactor_, asked.size(), [&](std::size_t index) {
      return ask_one(layout->place_of(asked[index]), {name, EntryEvent::kAbort}, container, *layout, until,
                     held[index]);
    }));
    for (std::size_t index = 0; index < asked.size(); ++index)
      if (held[index]) left.erase(asked[index]);
    if (left.empty()) break;
    if (reactor_.now() + kRetryPause >= until.deadline)
      co_return fail(Code::kDeadlineExceeded, "not all members have heard yet that the change is not to be made");
    CO_CHECK_OK(co_await sleep_for(reactor_, kRetryPause, scope_.cancel_source()));
  }
  enqueue(name, EntryEvent::kForget, container, std::move(others));
  co_return Result<>();
}

Task<Result<DecideAnswer>> GroupLeader::tell(TargetAddress where, DecideMessage message,
                                             const cluster::PoolLayout* under, Until until) {
  if (where == member_.self()) co_return co_await member_.decide(message.decisions, under);
  Bytes body;
  encode(message, body);
  CO_TRY(const rpc::Reply reply,
         co_await links_.call(where.engine,
                              {.opcode = Opcode::kDecideEntries,
                               .target = where.index,
                               .version = under == nullptr ? cluster::MapVersion(0) : under->version(),
                               .body = body},
                              until));
  CO_TRY(DecideAnswer answer, decode_decide_answer(reply.body));
  if (answer.done.size() != message.decisions.size())
    co_return fail(Code::kProtocolError, "an answer to other decisions than were told");
  co_return answer;
}

}  // namespace cenote::engine
