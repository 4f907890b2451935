#include "cenote/object/object_store.h"

#include "cenote/base/format.h"
#include "core.h"
#include "history.h"
#include "prepare.h"
#include "repair.h"

namespace cenote::object {

// Every member enters the gate, runs the operation, and answers only when what the answer depends on is durable (I4).

ObjectStore::ObjectStore(std::unique_ptr<Core> core) : core_(std::move(core)) {}
ObjectStore::~ObjectStore() = default;

Task<Result<std::unique_ptr<ObjectStore>>> ObjectStore::open(store::Store& store, media::BufferPool& buffers,
                                                             ObjectStoreOptions options) {
  auto core = std::make_unique<Core>(store, buffers, options);
  if (const auto loaded = co_await load(*core); !loaded) {
    co_await core->background.stop();
    co_return fail(loaded.error().with_context("opening the object store"));
  }
  if (options.aggregation) {
    core->background.spawn(run_background(*core));
    core->background.spawn(run_compaction(*core));
  }
  co_return std::unique_ptr<ObjectStore>(new ObjectStore(std::move(core)));
}

Task<Result<>> ObjectStore::close() {
  co_await core_->background.stop();
  core_->compaction.progress.notify_all();
  release_answers();
  co_await core_->gate.close();
  co_return Result<>();
}

Task<Result<>> ObjectStore::create_container(Uuid container, ContainerProperties properties) {
  const ForegroundGuard guard(*core_);
  CO_CHECK_OK(guard.check());
  store::Lsn seen;
  auto result = co_await with_room(*core_, Until::forever(), [&] {
    return object::create_container(*core_, container, properties, std::nullopt, seen);
  });
  CO_CHECK_OK(co_await core_->settle(seen));
  co_return result;
}

Task<Result<>> ObjectStore::clone_container(Uuid container, ContainerProperties properties, CloneSource source) {
  const ForegroundGuard guard(*core_);
  CO_CHECK_OK(guard.check());
  store::Lsn seen;
  auto result = co_await with_room(
      *core_, Until::forever(), [&] { return object::create_container(*core_, container, properties, source, seen); });
  CO_CHECK_OK(co_await core_->settle(seen));
  co_return result;
}

Task<Result<std::optional<CloneSource>>> ObjectStore::clone_source(Uuid container) {
  const ForegroundGuard guard(*core_);
  CO_CHECK_OK(guard.check());
  store::Lsn seen;
  const auto found = core_->find_container(container, seen);
  Result<std::optional<CloneSource>> result;
  if (found) {
    result = (*found)->source;
  } else {
    result = fail(found.error());
  }
  CO_CHECK_OK(co_await core_->settle(seen));
  co_return result;
}

Task<Result<>> ObjectStore::start_flattening(Uuid container, std::optional<Usage> left) {
  const ForegroundGuard guard(*core_);
  CO_CHECK_OK(guard.check());
  store::Lsn seen;
  const auto found = core_->find_container(container, seen);
  if (found && (*found)->source && !(*found)->flattening) {
    (*found)->flattening = std::make_shared<FlattenStatus>(FlattenStatus{
        .copied = {}, .left = left.value_or(Usage()), .counted = left.has_value(), .damaged = 0, .obstacle = {}});
    core_->background.spawn(keep_flattening(*core_, container, (*found)->flattening));
  }
  CO_CHECK_OK(co_await core_->settle(seen));
  if (!found) co_return fail(found.error());
  co_return Result<>();
}

Task<Result<std::optional<FlattenStatus>>> ObjectStore::flattening(Uuid container) {
  const ForegroundGuard guard(*core_);
  CO_CHECK_OK(guard.check());
  store::Lsn seen;
  const auto found = core_->find_container(container, seen);
  Result<std::optional<FlattenStatus>> result;
  if (!found) {
    result = fail(found.error());
  } else if ((*found)->flattening) {
    result = *(*found)->flattening;
  }
  CO_CHECK_OK(co_await core_->settle(seen));
  co_return result;
}

Task<Result<Usage>> ObjectStore::measure_flattening(Uuid container, Duration most) {
  const ForegroundGuard guard(*core_);
  CO_CHECK_OK(guard.check());
  store::Lsn seen;
  if (const auto found = core_->find_container(container, seen); !found) co_return fail(found.error());
  co_return co_await object::measure_flattening(*core_, container, core_->reactor.now() + most);
}

Task<Result<>> ObjectStore::flatten(Uuid container) {
  const ForegroundGuard guard(*core_);
  CO_CHECK_OK(guard.check());
  store::Lsn seen;
  if (const auto found = core_->find_container(container, seen); !found) co_return fail(found.error());
  auto result = co_await flatten_container(*core_, container, false);
  CO_CHECK_OK(co_await core_->settle(core_->containers_lsn));
  co_return result;
}

Task<Result<>> ObjectStore::destroy_container(Uuid container) {
  const ForegroundGuard guard(*core_);
  CO_CHECK_OK(guard.check());
  store::Lsn seen;
  auto result = co_await object::destroy_container(*core_, container, seen);
  CO_CHECK_OK(co_await core_->settle(seen));
  co_return result;
}

Task<Result<ContainerProperties>> ObjectStore::container_properties(Uuid container) {
  const ForegroundGuard guard(*core_);
  CO_CHECK_OK(guard.check());
  store::Lsn seen;
  const auto found = core_->find_container(container, seen);
  Result<ContainerProperties> result;
  if (found) {
    result = (*found)->properties;
  } else {
    result = fail(found.error());
  }
  CO_CHECK_OK(co_await core_->settle(seen));
  co_return result;
}

Task<Result<Usage>> ObjectStore::container_usage(Uuid container) {
  const ForegroundGuard guard(*core_);
  CO_CHECK_OK(guard.check());
  store::Lsn seen;
  const auto found = core_->find_container(container, seen);
  Result<Usage> result;
  if (found) {
    seen = std::max(seen, (*found)->lsn);
    result = (*found)->used;
  } else {
    result = fail(found.error());
  }
  CO_CHECK_OK(co_await core_->settle(seen));
  co_return result;
}

void ObjectStore::charge_to(Uuid container, std::shared_ptr<SpaceAccount> account) {
  const auto found = core_->containers.find(container);
  if (found == core_->containers.end() || found->second.kept) return;
  core_->entries.each([&](HeldEntry& entry) {
    if (entry.header.state != EntryState::kPrepared || entry.header.container != container) return;
    account->add(entry.header.added);
    if (entry.account) entry.account->refund(entry.header.added);
    entry.account = account;
  });
  account->add(found->second.used);
  if (found->second.account) found->second.account->refund(found->second.used);
  found->second.account = std::move(account);
}

Task<Result<std::vector<Uuid>>> ObjectStore::list_containers() {
  const ForegroundGuard guard(*core_);
  CO_CHECK_OK(guard.check());
  std::vector<Uuid> ids;
  for (const auto& [id, container] : core_->containers) ids.push_back(id);
  std::ranges::sort(ids);
  CO_CHECK_OK(co_await core_->settle(core_->containers_lsn));
  co_return ids;
}

Task<Result<>> ObjectStore::add_snapshot(Uuid container, Epoch epoch) {
  const ForegroundGuard guard(*core_);
  CO_CHECK_OK(guard.check());
  store::Lsn seen;
  auto result = co_await object::add_snapshot(*core_, container, epoch, seen);
  CO_CHECK_OK(co_await core_->make_durable(seen));
  co_return result;
}

Task<Result<>> ObjectStore::remove_snapshot(Uuid container, Epoch epoch) {
  const ForegroundGuard guard(*core_);
  CO_CHECK_OK(guard.check());
  store::Lsn seen;
  auto result = co_await object::remove_snapshot(*core_, container, epoch, seen);
  CO_CHECK_OK(co_await core_->make_durable(seen));
  co_return result;
}

void ObjectStore::hold_answers(Duration most) {
  core_->held_until = core_->reactor.now() + most;
  core_->answers_released.reset();
}
void ObjectStore::release_answers() { core_->answers_released.set(); }

Task<Result<>> ObjectStore::roll_back(Uuid container, Epoch to, Uuid request) {
  const ForegroundGuard guard(*core_);
  CO_CHECK_OK(guard.check());
  store::Lsn seen;
  auto result = co_await object::roll_back(*core_, container, to, request, seen);
  CO_CHECK_OK(co_await core_->make_durable(seen));
  co_return result;
}

Task<Result<>> ObjectStore::check_rollback(Uuid container, Epoch to) {
  const ForegroundGuard guard(*core_);
  CO_CHECK_OK(guard.check());
  store::Lsn seen;
  const auto found = core_->find_container(container, seen);
  Result<> result;
  if (found) {
    seen = std::max(seen, (*found)->lsn);
    result = check_taking_back(**found, to);
  } else {
    result = fail(found.error());
  }
  CO_CHECK_OK(co_await core_->make_durable(seen));
  co_return result;
}

Task<Result<std::vector<Epoch>>> ObjectStore::list_snapshots(Uuid container) {
  const ForegroundGuard guard(*core_);
  CO_CHECK_OK(guard.check());
  store::Lsn seen;
  const auto found = core_->find_container(container, seen);
  Result<std::vector<Epoch>> result;
  if (found) {
    seen = std::max(seen, (*found)->lsn);
    result = (*found)->snapshots;
  } else {
    result = fail(found.error());
  }
  CO_CHECK_OK(co_await core_->settle(seen));
  co_return result;
}

Task<Result<UpdateReply>> ObjectStore::update(const UpdateRequest& request, media::Buffer payload,
                                              std::uint64_t payload_bytes, Until until) {
  const ForegroundGuard guard(*core_);
  CO_CHECK_OK(guard.check());
  store::Lsn seen;
  auto result = co_await with_room(
      *core_, until, [&] { return object::update(*core_, request, payload, payload_bytes, until, seen); });
  CO_CHECK_OK(co_await core_->settle(seen));
  co_return result;
}

Task<Result<>> ObjectStore::fetch(const FetchRequest& request, Fetched& into, Until until) {
  const ForegroundGuard guard(*core_);
  CO_CHECK_OK(guard.check());
  store::Lsn seen;
  const Epoch epoch = core_->looked_from(request.container, request.epoch);
  auto result = co_await object::fetch(*core_, request, epoch, into, until, seen);
  CO_CHECK_OK(co_await core_->settle(seen));
  co_return result;
}

Task<Result<UpdateReply>> ObjectStore::punch(PunchRequest request, Until until) {
  const ForegroundGuard guard(*core_);
  CO_CHECK_OK(guard.check());
  store::Lsn seen;
  auto result = co_await object::punch(*core_, request, until, seen);
  CO_CHECK_OK(co_await core_->settle(seen));
  co_return result;
}

Task<Result<BeginReply>> ObjectStore::begin(BeginRequest request, Until until) {
  const ForegroundGuard guard(*core_);
  CO_CHECK_OK(guard.check());
  store::Lsn seen;
  auto result = co_await object::begin(*core_, request, until, seen);
  CO_CHECK_OK(co_await core_->settle(seen));
  co_return result;
}

Task<Result<UpdateReply>> ObjectStore::commit(const CommitRequest& request, media::Buffer payload,
                                              std::uint64_t payload_bytes, Until until) {
  const ForegroundGuard guard(*core_);
  CO_CHECK_OK(guard.check());
  store::Lsn seen;
  auto result = co_await with_room(
      *core_, until, [&] { return object::commit(*core_, request, payload, payload_bytes, until, seen); });
  CO_CHECK_OK(co_await core_->settle(seen));
  co_return result;
}

Task<Result<ListReply>> ObjectStore::list(ListRequest request, Until until, HistoryFilter shown) {
  const ForegroundGuard guard(*core_);
  CO_CHECK_OK(guard.check());
  store::Lsn seen;
  request.epoch = core_->looked_from(request.container, request.epoch);
  auto result = co_await object::list(*core_, request, shown, until, seen);
  CO_CHECK_OK(co_await core_->settle(seen));
  co_return result;
}

Task<Result<QueryReply>> ObjectStore::query(QueryRequest request, Until until, HistoryFilter shown) {
  const ForegroundGuard guard(*core_);
  CO_CHECK_OK(guard.check());
  store::Lsn seen;
  request.epoch = core_->looked_from(request.container, request.epoch);
  auto result = co_await object::query(*core_, request, shown, until, seen);
  CO_CHECK_OK(co_await core_->settle(seen));
  co_return result;
}

Task<Result<Epoch>> ObjectStore::draw_epoch(Until until) {
  const ForegroundGuard guard(*core_);
  CO_CHECK_OK(guard.check());
  store::Lsn seen;
  Epoch epoch = core_->clock.next(core_->wall_now());
  if (epoch <= core_->closed) {
    core_->clock.observe(core_->closed);
    epoch = core_->clock.next(core_->wall_now());
  }
  if (epoch > core_->clock.ceiling()) CO_CHECK_OK(co_await reach_epoch(*core_, epoch, until, seen));
  CO_CHECK_OK(co_await core_->make_durable(std::max(seen, core_->ceiling_lsn)));
  co_return epoch;
}

Task<Result<EntryState>> ObjectStore::prepare(const CommitRequest& request, EntryName name, ByteView note,
                                              media::Buffer payload, std::uint64_t payload_bytes, Until until,
                                              Member member) {
  const ForegroundGuard guard(*core_);
  CO_CHECK_OK(guard.check());
  store::Lsn seen;
  auto result = co_await with_room(*core_, until, [&] {
    return prepare_entry(*core_, request, member, name, note, payload, payload_bytes, until, seen);
  });
  CO_CHECK_OK(co_await core_->make_durable(seen));
  co_return result;
}

Task<Result<EntryState>> ObjectStore::change_entry(EntryName name, EntryEvent event) {
  const ForegroundGuard guard(*core_);
  CO_CHECK_OK(guard.check());
  store::Lsn seen;
  auto result = co_await object::change_entry(*core_, name, event, seen);
  CO_CHECK_OK(co_await core_->make_durable(seen));
  co_return result;
}

Task<Result<EntryState>> ObjectStore::apply_commit(EntryName name) {
  const ForegroundGuard guard(*core_);
  CO_CHECK_OK(guard.check());
  store::Lsn seen;
  co_return co_await object::change_entry(*core_, name, EntryEvent::kCommit, seen);
}

Task<Result<store::Lsn>> ObjectStore::apply_changes(std::span<EntryChange> changes) {
  const ForegroundGuard guard(*core_);
  CO_CHECK_OK(guard.check());
  store::Lsn seen;
  co_await object::change_entries(*core_, changes, seen);
  co_return seen;
}

Task<Result<>> ObjectStore::durable(store::Lsn changes) {
  const ForegroundGuard guard(*core_);
  CO_CHECK_OK(guard.check());
  co_return co_await core_->make_durable(changes);
}

EntryState ObjectStore::held_state(EntryName name) const {
  const HeldEntry* const held = core_->entries.find(name);
  return held == nullptr ? EntryState::kNone : held->header.state;
}

Task<Result<EntryState>> ObjectStore::entry_state(EntryName name) {
  const ForegroundGuard guard(*core_);
  CO_CHECK_OK(guard.check());
  const HeldEntry* const held = core_->entries.find(name);
  const EntryState state = held == nullptr ? EntryState::kNone : held->header.state;
  CO_CHECK_OK(co_await core_->make_durable(held == nullptr ? core_->entry_lsn : held->lsn));
  co_return state;
}

Task<Result<std::vector<UndecidedEntry>>> ObjectStore::undecided_entries() {
  const ForegroundGuard guard(*core_);
  CO_CHECK_OK(guard.check());
  std::vector<UndecidedEntry> undecided;
  store::Lsn seen = core_->entry_lsn;
  core_->entries.each([&](const HeldEntry& entry) {
    seen = std::max(seen, entry.lsn);
    if (entry.header.state == EntryState::kPrepared)
      undecided.push_back({entry.name, entry.header.container, entry.header.request, entry.header.note});
  });
  CO_CHECK_OK(co_await core_->make_durable(seen));
  co_return undecided;
}

std::vector<HeldEntryInfo> ObjectStore::held_entries() const {
  std::vector<HeldEntryInfo> held;
  core_->entries.each([&](const HeldEntry& entry) {
    held.push_back({entry.name, entry.header.state, entry.header.container, entry.header.note});
  });
  return held;
}

namespace {

std::optional<UndecidedEntry> info_of(const HeldEntry* entry) {
  if (entry == nullptr) return std::nullopt;
  return UndecidedEntry{entry->name, entry->header.container, entry->header.request, entry->header.note};
}

}  // namespace

EntryCounts ObjectStore::entry_counts() const { return {core_->entries.size(), core_->entries.undecided()}; }

std::optional<UndecidedEntry> ObjectStore::undecided_before(const CommitRequest& request) const {
  if (core_->entries.none_undecided()) return std::nullopt;
  return info_of(undecided_in_the_way(core_->entries, request));
}

std::optional<UndecidedEntry> ObjectStore::undecided_before(const UpdateRequest& request) const {
  return info_of(core_->undecided_before(request, kEpochLatest));
}
std::optional<UndecidedEntry> ObjectStore::undecided_before(const PunchRequest& request) const {
  return info_of(core_->undecided_before(request, kEpochLatest));
}
std::optional<UndecidedEntry> ObjectStore::undecided_before(const FetchRequest& request) const {
  return info_of(core_->undecided_before(request, request.epoch));
}
std::optional<UndecidedEntry> ObjectStore::undecided_before(const ListRequest& request) const {
  return info_of(core_->undecided_before(request, request.epoch));
}
std::optional<UndecidedEntry> ObjectStore::undecided_before(const QueryRequest& request) const {
  return info_of(core_->undecided_before(request, request.epoch));
}

std::optional<UndecidedEntry> ObjectStore::undecided_in(const Uuid& container, Epoch epoch) const {
  return info_of(core_->entries.touching(container, Place{}, epoch));
}

bool ObjectStore::knows_arrays(const CommitRequest& request) const {
  const auto found = core_->containers.find(request.container);
  if (found == core_->containers.end()) return false;
  const Container& container = found->second;
  for (const UpdateRequest& update : request.updates) {
    KeyPath path(update.object, update.dkey);
    for (const AkeyUpdate& akey : update.akeys) {
      if (akey.kind != ValueKind::kArray) continue;
      path.set_akey(akey.akey);
      const AkeyCache::Known* known = core_->akeys.find(container.tree, container.punches, path.akey_prefix());
      if (known == nullptr || known->state.is != AkeyState::Is::kArray) return false;
    }
  }
  return true;
}

std::optional<UndecidedEntry> ObjectStore::undecided_of(const RequestId& request) const {
  return info_of(core_->entries.of_request(request));
}

Task<Result<std::optional<UpdateReply>>> ObjectStore::kept_result(RequestId request) {
  const ForegroundGuard guard(*core_);
  CO_CHECK_OK(guard.check());
  CO_TRY(const auto known, core_->sessions.check(request, core_->wall_now()));
  if (!known) co_return std::optional<UpdateReply>();
  CO_CHECK_OK(co_await core_->make_durable(known->lsn));
  co_return std::optional(UpdateReply{known->epoch});
}

Task<Result<HistoryPage>> ObjectStore::read_history(Uuid container, Bytes from, HistoryFilter wanted, Until until,
                                                    HistoryDamage* damage, Epoch have, std::uint64_t reader) {
  const ForegroundGuard guard(*core_);
  CO_CHECK_OK(guard.check());
  store::Lsn seen;
  auto result = co_await object::read_history(*core_, container, from, wanted, until, damage, have, reader, seen);
  CO_CHECK_OK(co_await core_->make_durable(seen));
  co_return result;
}

Task<Result<std::uint64_t>> ObjectStore::put_history(Uuid container, Bytes entries, Until until,
                                                     std::optional<HistoryCover> cover) {
  const ForegroundGuard guard(*core_);
  CO_CHECK_OK(guard.check());
  store::Lsn seen;
  auto result = co_await object::put_history(*core_, container, entries, cover, until, seen);
  CO_CHECK_OK(co_await core_->make_durable(seen));
  co_return result;
}

Task<Result<Bytes>> ObjectStore::discard_history(Uuid container, Bytes from, HistoryFilter kept, Until until) {
  const ForegroundGuard guard(*core_);
  CO_CHECK_OK(guard.check());
  store::Lsn seen;
  auto result = co_await object::discard_history(*core_, container, from, kept, until, seen);
  CO_CHECK_OK(co_await core_->make_durable(seen));
  co_return result;
}

Task<Result<std::vector<DamagedEntry>>> ObjectStore::find_damaged(Uuid container, ObjectId object, Bytes dkey,
                                                                  Until until) {
  const ForegroundGuard guard(*core_);
  CO_CHECK_OK(guard.check());
  store::Lsn seen;
  co_return co_await object::find_damaged(*core_, container, object, dkey, until, seen);
}

Task<Result<Bytes>> ObjectStore::read_entry(Uuid container, Bytes key, Until until) {
  const ForegroundGuard guard(*core_);
  CO_CHECK_OK(guard.check());
  store::Lsn seen;
  auto result = co_await object::read_entry(*core_, container, key, until, seen);
  CO_CHECK_OK(co_await core_->make_durable(seen));
  co_return result;
}

Task<Result<bool>> ObjectStore::replace_damaged(Uuid container, Bytes copy, Until until) {
  const ForegroundGuard guard(*core_);
  CO_CHECK_OK(guard.check());
  store::Lsn seen;
  auto result = co_await object::replace_damaged(*core_, container, copy, until, seen);
  CO_CHECK_OK(co_await core_->make_durable(seen));
  co_return result;
}

Task<Result<>> ObjectStore::begin_history(Uuid container, Bytes progress) {
  const ForegroundGuard guard(*core_);
  CO_CHECK_OK(guard.check());
  store::Lsn seen;
  auto result = co_await object::begin_history(*core_, container, progress, seen);
  CO_CHECK_OK(co_await core_->make_durable(seen));
  co_return result;
}

Task<Result<std::optional<CloneSource>>> ObjectStore::tree_source(Uuid container) {
  const ForegroundGuard guard(*core_);
  CO_CHECK_OK(guard.check());
  const auto found = core_->containers.find(container);
  const bool there = found != core_->containers.end();
  const auto source = there ? found->second.source : std::nullopt;
  CO_CHECK_OK(co_await core_->make_durable(there ? found->second.lsn : core_->containers_lsn));
  if (!there) co_return failf(Code::kContainerNotFound, "no container {} on this target", container.to_string());
  co_return source;
}

Task<Result<Uuid>> ObjectStore::last_rollback(Uuid container) {
  const ForegroundGuard guard(*core_);
  CO_CHECK_OK(guard.check());
  const auto found = core_->containers.find(container);
  const bool there = found != core_->containers.end();
  const Uuid last = there ? found->second.last_rollback : Uuid();
  CO_CHECK_OK(co_await core_->make_durable(there ? found->second.lsn : core_->containers_lsn));
  if (!there) co_return failf(Code::kContainerNotFound, "no container {} on this target", container.to_string());
  co_return last;
}

Task<Result<Bytes>> ObjectStore::history_progress(Uuid container) {
  const ForegroundGuard guard(*core_);
  CO_CHECK_OK(guard.check());
  const auto found = core_->containers.find(container);
  const bool there = found != core_->containers.end();
  Bytes progress = there ? found->second.progress : Bytes();
  CO_CHECK_OK(co_await core_->make_durable(there ? found->second.lsn : core_->containers_lsn));
  if (!there) co_return failf(Code::kContainerNotFound, "no container {} on this target", container.to_string());
  co_return progress;
}

void ObjectStore::hold_merging() { ++core_->merging_holds; }

void ObjectStore::release_merging() {
  ASSERT(core_->merging_holds > 0);
  --core_->merging_holds;
}

Task<Result<>> ObjectStore::end_history(Uuid container) {
  const ForegroundGuard guard(*core_);
  CO_CHECK_OK(guard.check());
  store::Lsn seen;
  auto result = co_await object::end_history(*core_, container, seen);
  CO_CHECK_OK(co_await core_->make_durable(seen));
  co_return result;
}

Task<Result<bool>> ObjectStore::is_incomplete(Uuid container) {
  const ForegroundGuard guard(*core_);
  CO_CHECK_OK(guard.check());
  const auto found = core_->containers.find(container);
  const bool there = found != core_->containers.end();
  const bool incomplete = there && found->second.incomplete;
  CO_CHECK_OK(co_await core_->make_durable(there ? found->second.lsn : core_->containers_lsn));
  if (!there) co_return failf(Code::kContainerNotFound, "no container {} on this target", container.to_string());
  co_return incomplete;
}

Task<Result<ResultsPage>> ObjectStore::read_results(Bytes from, Until until) {
  const ForegroundGuard guard(*core_);
  CO_CHECK_OK(guard.check());
  store::Lsn seen;
  auto result = co_await object::read_results(*core_, from, until, seen);
  CO_CHECK_OK(co_await core_->make_durable(seen));
  co_return result;
}

Task<Result<>> ObjectStore::put_results(Bytes results, Until until) {
  const ForegroundGuard guard(*core_);
  CO_CHECK_OK(guard.check());
  store::Lsn seen;
  auto result = co_await object::put_results(*core_, results, until, seen);
  CO_CHECK_OK(co_await core_->make_durable(seen));
  co_return result;
}

Epoch ObjectStore::now() { return core_->clock.last(); }
void ObjectStore::observe(Epoch epoch) { core_->clock.observe(epoch); }

Task<Result<>> ObjectStore::aggregate_now(Uuid container) {
  const ForegroundGuard guard(*core_);
  CO_CHECK_OK(guard.check());
  co_return co_await object::aggregate_now(*core_, container);
}

Task<Result<>> ObjectStore::aggregate(Epoch bound) {
  if (!core_->gate.enter()) co_return fail(Code::kStopped, "the target is closing");
  auto result = co_await aggregate_all(*core_, bound);
  core_->gate.leave();
  co_return result;
}

Task<Result<>> ObjectStore::compact() {
  if (!core_->gate.enter()) co_return fail(Code::kStopped, "the target is closing");
  auto outcome = co_await compact_all(*core_, store::CompactionNeed::kAll, false);
  core_->gate.leave();
  co_return outcome;
}

Task<Result<std::vector<store::Extent>>> ObjectStore::owned_extents() {
  const ForegroundGuard guard(*core_);
  CO_CHECK_OK(guard.check());
  co_return co_await object::owned_extents(*core_);
}

ObjectStoreCounters ObjectStore::counters() const { return core_->counters; }
void ObjectStore::check_invariants() const { core_->check_invariants(); }

}  // namespace cenote::object
