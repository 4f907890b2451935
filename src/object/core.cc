#include "core.h"

#include <algorithm>

#include "cenote/base/format.h"

namespace cenote::object {
namespace {

// The limits of the protocol make every change fit one batch of the store.
constexpr std::uint32_t kUpdateEntries = kMaxPiecesPerUpdate + kMaxAkeysPerRequest + Core::kStampEntries;
constexpr std::uint32_t kPunchEntries = 3 * kMaxRangesPerPunch + 1 + Core::kStampEntries;
constexpr std::uint32_t kCommitEntries = kMaxTransactionEntries + Core::kStampEntries;
static_assert(kCommitEntries <= store::kMaxBatchEntries);
static_assert(kUpdateEntries <= store::kMaxBatchEntries && kPunchEntries <= store::kMaxBatchEntries);
static_assert(kMaxAkeysPerRequest + Core::kStampEntries <= store::kMaxBatchEntries);
// Two bytes for every byte of an escaped key are already counted in the limits of keys.
constexpr std::uint32_t kLongestKey = 16 + 1 + kMaxDkeyBytes + 2 + 1 + kMaxAkeyBytes + 2 + 1 + 8 + 8;
static_assert(kLongestKey <= store::kMaxKeyBytes);
// Fragmented values are bounded by what is claimed: a payload has at most 512 + pieces blocks.
constexpr std::uint32_t kPayloadBlocks = kMaxPayloadBytes / media::kBlockBytes + kMaxTransactionEntries;
constexpr std::uint32_t kMostEntries = std::max(kUpdateEntries, kCommitEntries);
constexpr std::uint32_t kMostPieces = std::max(kMaxPiecesPerUpdate, kMaxTransactionEntries);
static_assert(kMostEntries * (kLongestKey + 64) + kMostPieces * kMaxInlineBytes + kPayloadBlocks * 32 <=
              store::kMaxBatchBytes);

std::uint64_t fetch_budget(const media::BufferPool& buffers) {
  // Half of the pool, but never less than the largest fetch: one payload and a partial chunk at both ends of each
  // range.
  const std::uint64_t largest = 2 * (std::uint64_t{kMaxPayloadBytes} + kMaxRangesPerRequest * 2 * kChecksumChunkBytes);
  return std::max(buffers.budget_bytes() / 2, largest);
}

Result<> raise_ceiling(Core& core, Epoch epoch, store::View& view) {
  const std::optional<Epoch> ceiling = core.clock.raise_for(epoch);
  if (!ceiling) return {};
  core.batch.clear();
  core.batch.set_space_class(store::SpaceClass::kReclaim);  // reading works on a full target
  core.batch.put(core.system_tree, ceiling_key(), encode_number(ceiling->value()));
  TRY(core.ceiling_lsn, view.apply(core.batch));
  core.clock.raised(*ceiling);
  return {};
}

}  // namespace

Core::Core(store::Store& s, media::BufferPool& b, ObjectStoreOptions o)
    : store(s),
      reactor(s.reactor()),
      buffers(b),
      options(o),
      sessions({.clock_offset = o.max_clock_offset}),
      bounce(reactor, {.budget_bytes = 4u << 20}),
      fetch_bytes(reactor, fetch_budget(b)),
      gate(reactor),
      compaction(reactor),
      background(reactor),
      answers_released(reactor) {
  answers_released.set();
  options.inline_bytes = std::min(options.inline_bytes, kMaxInlineBytes);
}

std::vector<Epoch> Container::retained() const {
  std::vector<Epoch> epochs = snapshots;
  epochs.insert(epochs.end(), clones.begin(), clones.end());
  if (source) epochs.push_back(source->epoch);
  std::ranges::sort(epochs);
  const auto repeated = std::ranges::unique(epochs);
  epochs.erase(repeated.begin(), repeated.end());
  return epochs;
}

Result<Container*> Core::find_container(const Uuid& id, store::Lsn& seen) {
  seen = std::max(seen, containers_lsn);
  const auto found = containers.find(id);
  if (found != containers.end() && !found->second.kept) return &found->second;
  return failf(Code::kContainerNotFound, "no container {} on this target", id.to_string());
}

bool Core::is_at_rest(const Container& container) const {
  if (merging_holds > 0 || container.incomplete || walks.going_on(container.id, reactor.now())) return true;
  for (const Container* each = &container; each->source;) {
    each = &containers.at(each->source->container);
    if (each->incomplete) return true;
  }
  return false;
}

Task<Result<>> Core::make_durable(store::Lsn seen) {
  if (store.is_durable(seen)) co_return Result<>();
  co_return co_await store.durable(seen);
}

Result<> Core::data_written(Result<> outcome) {
  if (!outcome && (outcome.error() == Code::kIoError || outcome.error() == Code::kDeviceDead))
    store.refuse_changes(outcome.error().with_context("writing data failed"));
  return outcome;
}

Task<Result<>> Core::settle(store::Lsn seen) {
  if (!store.is_durable(seen)) CO_CHECK_OK(co_await store.durable(seen));
  while (!answers_released.is_set() && reactor.now() < held_until)
    static_cast<void>(co_await answers_released.wait(Until::at(held_until)));
  co_return Result<>();
}

void Core::put_container(const Container& container, bool has_snapshots, bool has_rollbacks) {
  batch.put(system_tree, container_key(RecordKind::kContainer, container.id),
            encode_container({container.properties, container.tree, has_snapshots, has_rollbacks, container.key,
                              container.source, container.kept}));
}

void Core::put_usage(const Container& container, Usage used) {
  if (used != container.used)
    batch.put(system_tree, container_key(RecordKind::kUsage, container.id), encode_usage(used));
}

void Core::put_incomplete(const Container& container) {
  if (!container.incomplete)
    batch.put(system_tree, container_key(RecordKind::kIncomplete, container.id), encode_incomplete(container.progress));
}

void Core::stamp(const Container& container, Stamp& stamp) {
  sessions.record(stamp.request, stamp.epoch, request_tree, batch);
  put_usage(container, container.used + stamp.added);
  stamp.ceiling = clock.raise_for(stamp.epoch);
  if (stamp.ceiling) batch.put(system_tree, ceiling_key(), encode_number(stamp.ceiling->value()));
}

void Core::stamped(Container& container, const Stamp& stamp, store::Lsn lsn) {
  sessions.applied(stamp.request, stamp.epoch, lsn);
  container.used = container.used + stamp.added;
  container.note_change(stamp.epoch);
  container.lsn = lsn;
  if (stamp.ceiling) {
    clock.raised(*stamp.ceiling);
    ceiling_lsn = lsn;
  }
}

Result<store::Lsn> Core::apply_charged(Container& container, const Stamp& stamp, store::View& view) {
  SpaceAccount* const account = container.account.get();
  if (account != nullptr && batch.space_class() == store::SpaceClass::kReclaim) {
    // It may be what makes room, so it is never refused.
    account->add(stamp.added);
  } else if (account != nullptr) {
    CHECK_OK(account->charge(stamp.added));
  }
  auto lsn = view.apply(batch);
  if (!lsn) {
    if (account != nullptr) account->refund(stamp.added);
    return lsn;
  }
  stamped(container, stamp, *lsn);
  return lsn;
}

Result<> Core::apply_added(Container& container, Usage added, store::View& view, Limits limits) {
  SpaceAccount* const account = container.account.get();
  if (account != nullptr && limits == Limits::kCount) CHECK_OK(account->charge(added));
  if (account != nullptr && limits == Limits::kIgnored) account->add(added);
  const Usage used = container.used + added;
  put_usage(container, used);
  const auto lsn = view.apply(batch);
  if (!lsn) {
    if (account != nullptr) account->refund(added);
    return fail(lsn.error());
  }
  container.lsn = *lsn;
  container.used = used;
  return {};
}

Result<> Core::apply_refunded(Container& container, Usage removed, store::View& view) {
  const Usage left = container.used - removed;
  put_usage(container, left);
  TRY(container.lsn, view.apply(batch));
  container.used = left;
  if (removed.objects > 0) container.present.reset();
  if (container.account) container.account->refund(removed);
  return {};
}

Result<AkeyState> AkeyLookup::state() {
  const bool latest = reader_.epoch == kEpochLatest;
  if (latest) {
    const AkeyCache::Known* known = core_.akeys.find(reader_.tree, container_.punches, path_.akey_prefix());
    if (known != nullptr) {
      seen_ = std::max(seen_, known->lsn);
      return known->state;
    }
  }
  if (!hidden_) {
    TRY(hidden_, dkey_hidden(reader_, path_));
  }
  TRY(const AkeyState state, akey_state(reader_, path_, *hidden_));
  if (latest && state.exists())
    core_.akeys.put(reader_.tree, container_.punches, path_.akey_prefix(), state, reader_.view.seen());
  return state;
}

Result<> check_bound(const Container& container, Epoch epoch) {
  if (epoch >= container.bound || container.is_retained(epoch)) return {};
  return failf(Code::kEpochTooOld, "epoch {} lies below {}: its versions may have been merged; read a later one",
               epoch.value(), container.bound.value());
}

Result<> Core::find_undecided(const Uuid& container, const Place& place, Epoch epoch) const {
  const HeldEntry* const found = entries.touching(container, place, epoch);
  if (found == nullptr) return {};
  return failf(Code::kUndecided, "{}: entry {} of target {} is prepared and not decided",
               describe(place.object, place.dkey.value_or(ByteView()), place.akey.value_or(ByteView())),
               found->name.epoch.value(), found->name.leader);
}

bool Core::is_in_future(Epoch epoch) const {
  const WallTime latest = wall_now() + options.max_clock_offset + EpochClock::kLead;
  return epoch.value() > static_cast<std::uint64_t>(latest.time_since_epoch().count());
}

Task<Result<>> admit_epoch(Core& core, Epoch epoch, Until until, store::Lsn& seen) {
  if (epoch == kEpochLatest) co_return Result<>();
  CO_CHECK_OK(co_await reach_epoch(core, epoch, until, seen));
  core.closed = std::max(core.closed, epoch);
  co_return Result<>();
}

Task<Result<>> reach_epoch(Core& core, Epoch epoch, Until until, store::Lsn& seen) {
  if (epoch > core.clock.last()) {
    if (core.is_in_future(epoch)) co_return failf(Code::kOutOfRange, "epoch {} lies in the future", epoch.value());
    core.clock.observe(epoch);
  }
  if (epoch > core.clock.ceiling()) {
    // No update may take an epoch at or below one that was read, not even after a restart.
    const auto raised =
        co_await core.store.run([&core, epoch](store::View& view) { return raise_ceiling(core, epoch, view); }, until);
    if (!raised) co_return fail(raised.error());
  }
  seen = std::max(seen, core.ceiling_lsn);
  co_return Result<>();
}

void Core::check_invariants() const {
  sessions.check_invariants();
  entries.check_invariants();
  ASSERT(clock.last().value() == 0 || containers.empty() || clock.ceiling().value() > 0);
  for (const auto& [id, container] : containers) {
    ASSERT(container.id == id);
    ASSERT(!destroying.contains(container.tree));
    ASSERT(container.bound <= clock.last());
    ASSERT(std::ranges::is_sorted(container.snapshots) && container.snapshots.size() <= kMaxSnapshots);
    ASSERT(container.snapshots.empty() || container.snapshots.back() <= clock.last());
    ASSERT(container.snapshots.empty() || container.snapshots.back() <= clock.ceiling());
    ASSERT(container.rolled_back.size() <= kMaxRolledBack);
    ASSERT(container.rolled_back.empty() || container.rolled_back.back().upto <= container.bound);
    for (const Epoch epoch : container.retained()) ASSERT(!lost_its_view(container.rolled_back, epoch));
    ASSERT(std::ranges::is_sorted(container.clones) && container.clones.size() <= kMaxClones);
    ASSERT(container.clones.empty() || container.clones.back() <= clock.ceiling());
    ASSERT(!container.kept || (!container.account && container.snapshots.empty()));
    ASSERT(container.source.has_value() != container.ancestors.empty());
    if (!container.source) continue;
    const auto source = containers.find(container.source->container);
    ASSERT(source != containers.end() && container.ancestors.front().tree == source->second.tree);
    ASSERT(std::ranges::binary_search(source->second.clones, container.source->epoch));
    ASSERT(container.ancestors.size() == source->second.ancestors.size() + 1);
    ASSERT(container.ancestors.size() <= kMaxCloneDepth && container.source->epoch <= container.bound);
  }
}

}  // namespace cenote::object
