#include "group_member.h"

#include <algorithm>
#include <set>

#include "cenote/base/format.h"
#include "group_leader.h"

namespace cenote::engine {
namespace {

/// An older entry waits so long for a younger one that is in its way here; then it gives up for this time.
constexpr Duration kWaitForOthers = std::chrono::seconds(1);
/// For a version of the map that is not active yet.
constexpr Duration kLayoutPatience = std::chrono::seconds(2);
constexpr Duration kPause = std::chrono::milliseconds(20);
/// What one round may take to find out about one entry.
constexpr Duration kResolvePatience = std::chrono::seconds(2);

/// Failures that say nothing about the request: the target is ending, broken, or has no time.
bool is_no_answer(Code code) {
  switch (code) {
    case Code::kStopped:
    case Code::kCancelled:
    case Code::kDeadlineExceeded:
    case Code::kIoError:
    case Code::kDeviceDead:
    case Code::kFenced:
    case Code::kInternal:
      return true;
    default:
      return false;
  }
}

}  // namespace

/// What became of an entry, and in which version of its pool's map that was decided.
struct GroupMember::Outcome {
  EntryState state = EntryState::kNone;
  Uuid pool;
  cluster::MapVersion version;
};

struct GroupMember::Resolution {
  explicit Resolution(Reactor& reactor) : ended(reactor) {}
  Event ended;
  std::optional<EntryState> outcome;
};

GroupMember::GroupMember(Target& target, ContainerCache& containers, EngineLinks& links, LeaseTable& leases,
                         Options options, Logger logger)
    : target_(target),
      containers_(containers),
      links_(links),
      leases_(leases),
      options_(options),
      logger_(std::move(logger)),
      fence_(target.reactor()),
      scope_(target.reactor()),
      prepared_(target.reactor()) {}

Task<Result<media::Buffer>> GroupMember::allocate(std::uint32_t bytes, Until until) {
  return options_.buffers->allocate(bytes, until);
}

GroupMember::~GroupMember() = default;

void GroupMember::start(GroupLeader& leader) {
  leader_ = &leader;
  scope_.spawn(watch(*this));
}

Task<> GroupMember::stop() {
  scope_.cancel_source().cancel();
  prepared_.notify_all();
  co_await scope_.stop();
}

Task<Result<std::shared_ptr<const cluster::PoolLayout>>> GroupMember::layout_of(Uuid container) {
  const RoutedContainer* found = containers_.find(container, 0);
  if (found == nullptr) {
    CO_TRY(found, co_await containers_.look_up(container, 0, bounded(Until::at(now() + kLayoutPatience))));
  }
  co_return found->layout;
}

/// Of two entries that touch the same, the older one waits for the younger one, and never the other way round, so that
/// no two wait for each other. But of one leader's the younger one waits: the older one is decided, or it is the birth
/// of an array that nobody had known of.
bool GroupMember::waits_for(const object::EntryName& name, const object::EntryName& other) const {
  if (name.leader == other.leader) return name.epoch > other.epoch;
  return std::pair(name.epoch, name.leader) < std::pair(other.epoch, other.leader);
}

/// One that came so late that it may have been refused and forgotten here.
Result<> GroupMember::check_age(const PrepareMessage& message) const {
  const Epoch oldest(
      static_cast<std::uint64_t>((target_.reactor().wall_now() - kMaxRequestLifetime).time_since_epoch().count()));
  const auto forgotten = forgotten_.find(message.name.leader);
  if (message.name.epoch >= oldest && (forgotten == forgotten_.end() || message.name.epoch > forgotten->second))
    return {};
  return failf(Code::kEpochTooOld, "entry {} came too late", message.name.epoch.value());
}

/// Does all that was decided, in few batches of the store. They are durable when what it returns is.
Task<Result<store::Lsn>> GroupMember::apply(const std::vector<EntryDecision>& decisions, DecideAnswer& answer) {
  std::vector<object::EntryChange> changes;
  changes.reserve(decisions.size());
  for (const EntryDecision& decision : decisions) {
    changes.push_back({.name = decision.name, .event = decision.event});
    if (decision.event != EntryEvent::kForget || objects().held_state(decision.name) != EntryState::kRefused) continue;
    Epoch& latest = forgotten_[decision.name.leader];
    latest = std::max(latest, decision.name.epoch);
  }
  auto applied = co_await objects().apply_changes(changes);
  answer.done.resize(decisions.size());
  for (std::size_t index = 0; index < changes.size(); ++index) {
    const auto& outcome = applied ? changes[index].outcome : Result<EntryState>(fail(applied.error()));
    DecideAnswer::Done& done = answer.done[index];
    if (outcome) {
      done.state = *outcome;
      continue;
    }
    done.code = outcome.error().code();
    if (done.code == Code::kInternal) logger_.error("entry", {{"error", outcome.error()}});
  }
  co_return applied;
}

Task<DecideAnswer> GroupMember::decide(const std::vector<EntryDecision>& decisions, const cluster::PoolLayout* under) {
  DecideAnswer answer;
  std::optional<VersionFence::Pass> pass;
  if (under != nullptr) {
    if (auto entered = fence_.enter(under->map()->pool(), under->version()); entered) {
      pass.emplace(*std::move(entered));
    } else {
      answer.done.assign(decisions.size(), {.code = entered.error().code()});
      co_return answer;
    }
  }
  Result<> durable;
  if (const auto applied = co_await apply(decisions, answer)) durable = co_await objects().durable(*applied);
  if (!durable)
    for (DecideAnswer::Done& done : answer.done)
      if (done.code == Code::kOk) done.code = durable.error().code();
  co_return answer;
}

// What was decided comes first; all of it becomes durable together.
Task<Result<PrepareAnswer>> GroupMember::prepare(Prepared what, Until until) {
  const PrepareMessage& message = what.message;
  PrepareAnswer answer;
  DecideAnswer decided;
  store::Lsn applied;
  if (!message.decided.empty()) {
    CO_TRY(applied, co_await apply(message.decided, decided));
  }
  CO_CHECK_OK(co_await prepare_now(what, until, answer));
  if (!message.decided.empty()) CO_CHECK_OK(co_await objects().durable(applied));
  for (const DecideAnswer::Done& one : decided.done)
    if (one.code != Code::kOk)
      co_return failf(Code::kBusy, "a decision that came with an entry could not be carried out");
  answer.clock = objects().now();
  co_return answer;
}

Task<Result<>> GroupMember::prepare_now(const Prepared& what, Until until, PrepareAnswer& answer) {
  const PrepareMessage& message = what.message;
  if (objects().held_state(message.name) == EntryState::kNone) {
    if (const auto fresh = check_age(message); !fresh) co_return co_await decline(message, fresh.error(), answer);
  }
  // Until it is prepared: from then on whoever reads waits for its outcome.
  LeaseTable::Change change(leases_, what.request);
  if (is_leased(what.request.container)) CO_CHECK_OK(co_await change.enter(what.request.id.session, bounded(until)));
  const Instant patience = target_.reactor().now() + kWaitForOthers;
  for (;;) {
    media::Buffer data = what.payload.empty() ? media::Buffer() : media::Buffer::borrow(what.payload);
    std::optional<VersionFence::Pass> pass;
    {
      CO_TRY(VersionFence::Pass entered, fence_.enter(what.note.pool, what.note.begun));
      pass.emplace(std::move(entered));
    }
    const auto held = co_await objects().prepare(what.request, message.name, message.note, std::move(data),
                                                 what.payload_bytes, bounded(until), message.member);
    if (held) {
      answer.state = *held;
      if (*held == EntryState::kRefused) {
        // It was asked for before it came: somebody had reason to settle it.
        answer.reason = Code::kBusy;
        answer.message = "the entry was refused before it came";
      }
      prepared_.notify_all();
      co_return Result<>();
    }
    if (is_no_answer(held.error().code())) co_return fail(held.error());
    if (held.error() == Code::kUndecided) {
      answer.other = objects().undecided_before(what.request);
      if (!answer.other) continue;  // it has been decided meanwhile
      pass.reset();
      const bool wait = waits_for(message.name, answer.other->name) && target_.reactor().now() < patience;
      if (wait && co_await resolve(*answer.other, until.no_later_than(patience))) continue;
    }
    co_return co_await decline(message, held.error(), answer);
  }
}

/// What is not known is taken for one that may have leases.
bool GroupMember::is_leased(const Uuid& container) const {
  const RoutedContainer* const found = containers_.find(container, 0);
  return found == nullptr || found->leased;
}

Task<Result<>> GroupMember::decline(const PrepareMessage& message, const Error& reason, PrepareAnswer& answer) {
  answer.state = EntryState::kRefused;
  if (!message.unheard) {
    CO_TRY(answer.state, co_await objects().change_entry(message.name, EntryEvent::kDecline));
  }
  answer.reason = reason.code();
  answer.message = reason.message();
  co_return Result<>();
}

Task<Result<AskAnswer>> GroupMember::ask(const AskMessage& message) {
  AskAnswer answer;
  CO_TRY(answer.result, co_await objects().kept_result(message.request));
  answer.attempt = objects().undecided_of(message.request);
  co_return answer;
}

Task<Result<>> GroupMember::settle_all(Uuid container, Epoch epoch, Until until) {
  while (auto entry = objects().undecided_in(container, epoch)) CO_CHECK_OK(co_await resolve(*std::move(entry), until));
  co_return Result<>();
}

Task<Result<EntryState>> GroupMember::resolve(object::UndecidedEntry entry, Until until) {
  for (;;) {
    auto& known = resolutions_[entry.name];
    if (known == nullptr) {
      known = std::make_shared<Resolution>(target_.reactor());
      const auto own = known;
      auto outcome = co_await find_outcome(entry, until);
      if (outcome) own->outcome = *outcome;
      resolutions_.erase(entry.name);
      own->ended.set();
      co_return outcome;
    }
    // Somebody else is at it, perhaps with less time.
    const auto others = known;
    CO_CHECK_OK(co_await others->ended.wait(bounded(until)));
    if (others->outcome) co_return *others->outcome;
  }
}

Task<Result<EntryState>> GroupMember::find_outcome(const object::UndecidedEntry& entry, Until until) {
  for (Duration pause = kPause;; pause = std::min(2 * pause, 10 * kPause)) {
    auto outcome = co_await ask_leader(entry, until);
    // With its container all that it changed has gone.
    if (!outcome && outcome.error() == Code::kContainerNotFound) outcome = Outcome{.state = EntryState::kRefused};
    if (outcome) {
      auto changed = co_await carry_out(entry, *outcome);
      if (changed) co_return outcome->state;
      outcome = fail(std::move(changed).error());
    }
    // Its servers wait for the requests that ask, and end before this does.
    if (scope_.stopping() || target_.cancel_source().cancelled())
      co_return fail(Code::kStopped, "the engine is stopping");
    if (target_.reactor().now() + pause >= until.deadline)
      co_return failf(Code::kDeadlineExceeded, "it is not known yet whether an earlier change takes effect: {}",
                      outcome.error().message());
    CO_CHECK_OK(co_await sleep_for(target_.reactor(), pause, scope_.cancel_source()));
  }
}

/// An abort counts only in the version in which it was decided.
Task<Result<>> GroupMember::carry_out(const object::UndecidedEntry& entry, Outcome outcome) {
  std::optional<VersionFence::Pass> pass;
  if (outcome.state != EntryState::kCommitted && !outcome.pool.is_null()) {
    CO_TRY(VersionFence::Pass entered, fence_.enter(outcome.pool, outcome.version));
    pass.emplace(std::move(entered));
  }
  const bool committed = outcome.state == EntryState::kCommitted;
  CO_CHECK_OK(co_await objects().change_entry(entry.name, committed ? EntryEvent::kCommit : EntryEvent::kAbort));
  co_return Result<>();
}

Task<Result<GroupMember::Outcome>> GroupMember::ask_leader(const object::UndecidedEntry& entry, Until until) {
  CO_TRY(const EntryNote note, decode_entry_note(entry.note));
  CO_TRY(const auto layout, co_await layout_of(entry.container));
  if (layout->map() == nullptr) co_return fail(Code::kInternal, "an entry of a pool without a map");
  CO_TRY(const cluster::TargetId leader, layout->leader(note.leader));
  const cluster::TargetPlace place = layout->place_of(leader);
  Outcome outcome{.state = EntryState::kNone, .pool = note.pool, .version = layout->version()};
  if (place.engine == options_.self.engine && place.index == options_.self.index) {
    CO_TRY(outcome.state, co_await leader_->settle(entry, until));
  } else {
    Bytes body;
    encode(SettleMessage{entry}, body);
    CO_TRY(const rpc::Reply reply,
           co_await links_.call(
               place.engine,
               {.opcode = Opcode::kSettleEntry, .target = place.index, .version = layout->version(), .body = body},
               until));
    CO_TRY(const SettleAnswer answer, decode_settle_answer(reply.body));
    outcome.state = answer.outcome;
  }
  co_return outcome;
}

Task<Result<>> GroupMember::settle_older(std::shared_ptr<const cluster::PoolLayout> layout, Until until) {
  CO_TRY(const auto undecided, co_await objects().undecided_entries());
  for (const object::UndecidedEntry& entry : undecided) {
    const auto note = decode_entry_note(entry.note);
    if (note && (note->begun >= layout->version() || note->pool != layout->map()->pool())) continue;
    CO_CHECK_OK(co_await resolve(entry, until));
  }
  co_return Result<>();
}

std::optional<cluster::TargetId> GroupMember::number_in(const cluster::PoolLayout& layout) const {
  for (std::uint32_t number = 0; number < layout.target_count(); ++number) {
    const cluster::TargetPlace place = layout.place_of(cluster::TargetId(number));
    if (place.engine == options_.self.engine && place.index == options_.self.index) return cluster::TargetId(number);
  }
  return std::nullopt;
}

Task<Result<>> GroupMember::follow(Uuid pool, const cluster::PoolLayout& layout) {
  CO_CHECK_OK(co_await fence_.advance(pool, layout.version(), bounded(Until::forever())));
  const auto number = number_in(layout);
  const bool has_part = number && (layout.map()->target(*number).state == cluster::ComponentState::kUp ||
                                   cluster::PoolMap::is_complete(layout.map()->target(*number)));
  if (!has_part) CO_CHECK_OK(co_await leave(pool));
  co_return Result<>();
}

Task<Result<>> GroupMember::leave(Uuid pool) {
  for (const object::HeldEntryInfo& entry : objects().held_entries()) {
    if (entry.state == EntryState::kCommitted) continue;
    const auto note = decode_entry_note(entry.note);
    if (!note || note->pool != pool) continue;
    CO_CHECK_OK(co_await objects().change_entry(entry.name, EntryEvent::kLeave));
  }
  co_return Result<>();
}

// Sleeps while nothing is undecided.
Task<> GroupMember::watch(GroupMember& self) {
  co_await self.look_after_entries();
  while (!self.scope_.stopping()) {
    const auto undecided = co_await self.objects().undecided_entries();
    if (!undecided || undecided->empty()) {
      static_cast<void>(co_await self.prepared_.wait({kNoDeadline, &self.scope_.cancel_source()}));
      continue;
    }
    if (!co_await sleep_for(self.target_.reactor(), self.options_.patience, self.scope_.cancel_source())) co_return;
    co_await self.resolve_old();
  }
}

/// Asks about all that has been undecided for as long as the patience.
Task<> GroupMember::resolve_old() {
  const auto undecided = co_await objects().undecided_entries();
  if (!undecided) co_return;
  const WallTime old = target_.reactor().wall_now() - options_.patience;
  for (const object::UndecidedEntry& entry : *undecided) {
    if (scope_.stopping()) co_return;
    if (entry.name.epoch.value() > static_cast<std::uint64_t>(old.time_since_epoch().count())) continue;
    const auto outcome = co_await resolve(entry, Until::at(target_.reactor().now() + kResolvePatience));
    if (!outcome && !scope_.stopping())
      logger_.debug("an entry stays undecided",
                    {{"leader", entry.name.leader}, {"epoch", entry.name.epoch}, {"error", outcome.error()}});
  }
}

/// When the engine has started: what was decided and perhaps not told to all, or not forgotten by all.
Task<> GroupMember::look_after_entries() {
  const WallTime now = target_.reactor().wall_now();
  const Epoch oldest(static_cast<std::uint64_t>((now - kMaxRequestLifetime).time_since_epoch().count()));
  for (const object::HeldEntryInfo& entry : objects().held_entries()) {
    if (scope_.stopping()) co_return;
    if (entry.state == EntryState::kPrepared) continue;
    // Whatever could still come of it has expired.
    if (entry.state == EntryState::kRefused && entry.name.epoch < oldest)
      static_cast<void>(co_await objects().change_entry(entry.name, EntryEvent::kForget));
    const auto note = decode_entry_note(entry.note);
    if (!note) continue;  // a refusal of what was never here
    const auto layout = co_await layout_of(entry.container);
    if (!layout || (*layout)->map() == nullptr) continue;
    const auto leader = (*layout)->leader(note->leader);
    if (!leader) continue;
    const cluster::TargetPlace place = (*layout)->place_of(*leader);
    if (place.engine != options_.self.engine || place.index != options_.self.index) continue;
    leader_->take_up(entry, *note, **layout);
  }
}

}  // namespace cenote::engine
