#include "repairer.h"

#include "cenote/base/format.h"
#include "rebuild_messages.h"

namespace cenote::engine {
namespace {

constexpr Duration kPatience = std::chrono::seconds(10);
/// While others cannot be asked, or the map changes; then the next scrub or read has to find it again.
constexpr Duration kRetryPause = std::chrono::seconds(1);
constexpr int kTries = 5;

}  // namespace

/// Who may have whole what is damaged here.
struct Repairer::Sources {
  Uuid container;  ///< that clients know
  std::shared_ptr<const cluster::PoolLayout> layout;
  Uuid pool;
  std::vector<cluster::TargetId> targets;
};

Repairer::Repairer(Target& target, GroupMember& member, ContainerCache& containers, EngineLinks& links, Logger logger)
    : target_(target),
      member_(member),
      containers_(containers),
      links_(links),
      logger_(std::move(logger)),
      more_(target.reactor()),
      scope_(target.reactor()) {}

Repairer::~Repairer() = default;

void Repairer::start() {
  target_.on_damage([this](const object::TargetFinding& finding) {
    if (finding.key.empty() || !finding.container) return;
    const auto key = object::dkey_of(finding.key);
    if (key) suspect(*finding.container, key->object, key->dkey);
  });
  const bool begun = scope_.spawn(run(*this));
  ASSERT(begun);
}

Task<> Repairer::stop() {
  target_.on_damage({});
  scope_.cancel_source().cancel();
  co_await scope_.stop();
}

Until Repairer::soon() { return {target_.reactor().now() + kPatience, &scope_.cancel_source()}; }

void Repairer::suspect(const Uuid& container, const ObjectId& object, Bytes dkey) {
  Place place{container, object, std::move(dkey)};
  if (waiting_.size() >= kMostWaiting || known_.contains(place)) return;
  known_.insert(place);
  waiting_.push_back(std::move(place));
  more_.notify_all();
}

Task<> Repairer::run(Repairer& self) {
  CancelSource& stopping = self.scope_.cancel_source();
  while (!self.scope_.stopping()) {
    if (self.waiting_.empty()) {
      static_cast<void>(co_await self.more_.wait({kNoDeadline, &stopping}));
      continue;
    }
    const Place place = std::move(self.waiting_.front());
    self.waiting_.pop_front();
    Result<> done;
    for (int tries = 0; tries < kTries && !self.scope_.stopping(); ++tries) {
      done = co_await self.repair(place);
      if (done || done.error() == Code::kContainerNotFound) break;
      static_cast<void>(co_await sleep_for(self.target_.reactor(), kRetryPause, stopping));
    }
    // From here on it is suspected anew.
    self.known_.erase(place);
    if (done || self.scope_.stopping()) continue;
    self.logger_.error("damaged data is not repaired", {{"target", self.target_.index()},
                                                        {"container", place.container},
                                                        {"object", place.object.to_string()},
                                                        {"error", done.error()}});
  }
}

Task<Result<>> Repairer::repair(const Place& place) {
  CO_TRY(const RoutedContainer* const routed, co_await containers_.look_up(place.container, 0, soon()));
  if (!routed->is_served() || routed->serving == nullptr) co_return Result<>();
  Sources sources{
      .container = place.container, .layout = routed->layout, .pool = routed->serving->pool(), .targets = {}};
  const auto self = member_.number_in(*sources.layout);
  CO_TRY(const auto key, cluster::PoolLayout::key_of(place.object, routed->seed, place.dkey));
  CO_TRY(const cluster::GroupLayout group, sources.layout->group(key));
  // Who is not complete gets all of it anyway.
  if (!self || !group.is_complete(*self)) co_return Result<>();
  for (std::uint32_t position = 0; position < group.size; ++position) {
    const cluster::TargetId holder = group.complete[position];
    if (holder != cluster::kNoTarget && holder != *self) sources.targets.push_back(holder);
  }
  if (sources.targets.empty()) co_return Result<>();
  // A clone shows data of what it was made of, and so on.
  Uuid tree = place.container;
  for (std::size_t depth = 0; depth <= object::kMaxCloneDepth; ++depth) {
    CO_CHECK_OK(co_await repair_tree(place, sources, tree));
    CO_TRY(const auto source, co_await member_.objects().tree_source(tree));
    if (!source) break;
    tree = source->container;
  }
  co_return Result<>();
}

Task<Result<>> Repairer::repair_tree(const Place& place, const Sources& sources, Uuid tree) {
  CO_TRY(const auto damage, co_await member_.objects().find_damaged(tree, place.object, place.dkey, soon()));
  bool gone_elsewhere = false;
  Result<>
      outcome;  // of those that others have, the last failure: one that cannot be repaired keeps none of the others
  for (const object::DamagedEntry& damaged : damage) {
    auto repaired = co_await repair_entry(sources, tree, damaged);
    if (repaired) continue;
    if (repaired.error() == Code::kNotFound) {
      gone_elsewhere = true;
    } else {
      outcome = std::move(repaired);
    }
  }
  if (!gone_elsewhere) co_return outcome;
  // What nobody sees any more others may have merged away already. Then it goes here, too; else it is not what is
  // wanted yet.
  CO_CHECK_OK(co_await member_.objects().aggregate_now(tree));
  CO_TRY(const auto left, co_await member_.objects().find_damaged(tree, place.object, place.dkey, soon()));
  if (left.empty()) co_return Result<>();
  if (!outcome) co_return outcome;
  ++counters_.unrepaired;
  co_return fail(Code::kNotFound, "no other member has the same entry, and it cannot go yet");
}

Task<Result<>> Repairer::repair_entry(const Sources& sources, Uuid tree, const object::DamagedEntry& damaged) {
  Result<> last;
  for (const cluster::TargetId source : sources.targets) {
    const auto replaced = co_await replace_from(sources, source, tree, damaged.key);
    if (!replaced) {
      last = fail(
          replaced.error().with_context(fmt::format("engine {}", sources.layout->place_of(source).engine.value())));
      continue;
    }
    target_.note_repaired(tree, damaged.entry);
    if (!*replaced) co_return Result<>();
    ++counters_.repaired;
    logger_.warn("damaged data was repaired from another engine",
                 {{"target", target_.index()},
                  {"container", tree},
                  {"object", damaged.entry.object.to_string()},
                  {"dkey", damaged.entry.dkey.value_or("")},
                  {"akey", damaged.entry.akey.value_or("")},
                  {"bytes", damaged.entry.bytes},
                  {"from_engine", sources.layout->place_of(source).engine.value()}});
    co_return Result<>();
  }
  if (!(last.error() == Code::kNotFound)) ++counters_.unrepaired;
  co_return last;
}

Task<Result<bool>> Repairer::replace_from(const Sources& sources, cluster::TargetId source, Uuid tree,
                                          const Bytes& key) {
  CO_TRY(const media::Buffer room, co_await member_.allocate(kPageRoomBytes, soon()));
  Bytes body;
  encode(ReadEntryMessage{.container = sources.container, .tree = tree, .key = key}, body);
  const cluster::TargetPlace place = sources.layout->place_of(source);
  const EngineLinks::Message message{.opcode = Opcode::kReadEntry,
                                     .target = place.index,
                                     .version = sources.layout->version(),
                                     .body = body,
                                     .into = rpc::BulkSink(room.span()),
                                     .patience = EngineLinks::kLongPatience};
  CO_TRY(const rpc::Reply reply, co_await links_.call(place.engine, message, soon()));
  // Not while what the target has no part in any more is given back.
  CO_TRY(const auto pass, member_.enter(sources.pool, sources.layout->version()));
  co_return co_await member_.objects().replace_damaged(tree, to_bytes(ByteView(room.span()).first(reply.bulk_bytes)),
                                                       soon());
}

}  // namespace cenote::engine
