// What becomes of entries of redundancy groups that are prepared, or were refused (docs/protocols/replication.md), and
// what is left of them when the store opens.

#include <algorithm>

#include "cenote/base/format.h"
#include "cenote/store/operation.h"
#include "late_births.h"
#include "object_count.h"
#include "prepare.h"
#include "tree_scan.h"

namespace cenote::object {
namespace {

/// Of many decisions, so many before other work gets its turn.
constexpr std::size_t kDecisionsPerTurn = 64;
static_assert(kDecisionsPerTurn <= store::kMaxBatchEntries);
/// Erased at a time where they do not fit the batch that decides.
constexpr std::uint32_t kErasedPerBatch = 128;

/// Decides one entry.
class Decision {
 public:
  Decision(Core& core, EntryName name, EntryEvent event) : core_(core), name_(name), event_(event) {}

  /// The same object decides another entry; keeps its memory.
  void set(EntryName name, EntryEvent event) {
    name_ = name;
    event_ = event;
  }
  Result<EntryState> attempt(store::View& view, store::Lsn& seen);
  /// Pieces that are still in the tree, from this one on; 0: none.
  std::uint16_t left() const { return left_; }

 private:
  Result<EntryState> commit(HeldEntry& entry, store::View& view);
  Result<EntryState> drop(HeldEntry& entry, EntryState next, store::View& view);
  Result<EntryState> refuse(store::View& view, store::Lsn& seen);
  Result<EntryState> forget(HeldEntry& entry, store::View& view, store::Lsn& seen);
  Result<ByteView> batch_of(const HeldEntry& entry, store::View& view);
  Result<> put_again(const Container& container, ByteView changes, store::View& view);
  void put_decided(const HeldEntry& entry, EntryState state);

  Core& core_;
  EntryName name_;
  EntryEvent event_;
  Bytes stored_;
  // What the changes are about.
  std::vector<ObjectId> objects_;
  std::vector<PathBytes> akeys_;
  bool punches_ = false;
  std::uint16_t left_ = 0;
};

}  // namespace

Result<> read_entry_changes(store::View& view, store::TreeId tree, const EntryName& name, std::uint16_t pieces,
                            Bytes& into) {
  into.clear();
  for (std::uint16_t piece = 1; piece <= pieces; ++piece) {
    TRY(const auto value, view.get(tree, entry_key(name, piece)));
    if (!value) return failf(Code::kCorrupt, "{}: piece {} of its changes is missing", name_of(name), piece);
    into.insert(into.end(), value->begin(), value->end());
  }
  return {};
}

namespace {

/// The header as it is from now on, and as many pieces gone as the batch has room for.
void Decision::put_decided(const HeldEntry& entry, EntryState state) {
  EntryHeader header = entry.header;
  const store::TreeId tree = *core_.entry_tree;
  const std::uint32_t room = store::kMaxBatchEntries - Core::kStampEntries - 1;
  const std::uint32_t used = core_.batch.operations();
  std::uint16_t piece = header.pieces;
  for (std::uint32_t erased = used; piece > 0 && erased < room; --piece, ++erased)
    core_.batch.erase(tree, entry_key(name_, piece));
  left_ = piece;
  header.pieces = piece;
  header.state = state;
  if (state == EntryState::kNone) {
    // Its pieces go first: without a header nobody would look for them.
    ASSERT(left_ == 0);
    core_.batch.erase(tree, entry_key(name_, 0));
  } else {
    core_.batch.put(tree, entry_key(name_, 0), encode_entry_header(header));
  }
}

/// What was prepared; good until the entry changes.
Result<ByteView> Decision::batch_of(const HeldEntry& entry, store::View& view) {
  if (!entry.batch.empty()) return ByteView(entry.batch);
  CHECK_OK(read_entry_changes(view, *core_.entry_tree, name_, entry.header.pieces, stored_));
  TRY(const EntryChanges changes, decode_entry_changes(stored_));
  return changes.batch;
}

/// What was prepared, but for the facts about arrays that others have added to meanwhile.
Result<> Decision::put_again(const Container& container, ByteView changes, store::View& view) {
  objects_.clear();
  akeys_.clear();
  punches_ = false;
  LateBirths late(core_, container, view);
  store::OperationReader reader(changes);
  store::Operation operation;
  while (reader.next(operation)) {
    if (operation.kind != store::OperationKind::kPut) continue;
    TRY(const ParsedKey key, parse_key(operation.key));
    if (objects_.empty() || objects_.back() != key.object) objects_.push_back(key.object);
    TRY(const Entry entry, decode_entry(operation.value));
    punches_ = punches_ || entry.type == EntryType::kPunch;
    // What is remembered of an akey is not about its values.
    const bool is_fact = entry.type == EntryType::kArray || key.kind == Kind::kWidePunch;
    const ByteView akey = operation.key.first(key.akey_end);
    if (key.level == Level::kAkey && is_fact && (akeys_.empty() || !equal(akeys_.back(), akey)))
      akeys_.emplace_back(akey);
    if (container.filled && entry.type == EntryType::kPunch) late.add_punch(operation.key);
    if (container.filled && entry.type == EntryType::kArray) {
      CHECK_OK(late.add_birth(key, entry.record_bytes, entry.flags));
      continue;
    }
    if (container.filled && key.kind == Kind::kWidePunch && key.level == Level::kAkey) {
      CHECK_OK(late.add_wide_punch(key, entry.records));
      continue;
    }
    if (entry.type == EntryType::kArray) {
      TRY(const auto there, view.get(container.tree, operation.key));
      if (there) {
        TRY(const Entry before, decode_entry(*there));
        ValueBytes value;
        append_array(entry.record_bytes, ArrayFlags{static_cast<std::uint8_t>(entry.flags.bits | before.flags.bits)},
                     value);
        core_.batch.put(container.tree, operation.key, value);
        continue;
      }
    }
    core_.batch.put(container.tree, operation.key, operation.value);
  }
  if (reader.bad()) return fail(Code::kCorrupt, "the changes of an entry are damaged");
  return late.put();
}

Result<EntryState> Decision::commit(HeldEntry& entry, store::View& view) {
  const auto found = core_.containers.find(entry.header.container);
  // With its container all that it changed is gone; that it was committed still has to be known.
  if (found == core_.containers.end() || found->second.kept) return drop(entry, EntryState::kCommitted, view);
  Container& container = found->second;
  TRY(const ByteView changes, batch_of(entry, view));
  core_.batch.clear();
  core_.batch.set_space_class(store::SpaceClass::kReclaim);  // its space was taken when it was prepared
  CHECK_OK(put_again(container, changes, view));
  Core::Stamp stamp{.request = entry.header.request, .epoch = name_.epoch, .added = entry.header.added, .ceiling = {}};
  TRY(stamp.added.objects, count_born(container, view, objects_));
  if (core_.sessions.knows(stamp.request)) stamp.request = {};
  put_decided(entry, EntryState::kCommitted);
  core_.stamp(container, stamp);
  TRY(const store::Lsn lsn, view.apply(core_.batch));
  // It may bring fewer objects than it seemed to when others had not brought them yet, or more.
  if (entry.account) {
    entry.account->refund({.bytes = 0, .objects = entry.header.added.objects});
    entry.account->add({.bytes = 0, .objects = stamp.added.objects});
  }
  core_.stamped(container, stamp, lsn);
  if (!objects_.empty()) container.present = objects_.back();
  if (punches_) ++container.punches;
  for (const PathBytes& akey : akeys_) core_.akeys.forget(container.tree, akey);
  for (const ObjectId& object : objects_) core_.watches.note(container.id, object);
  entry.header.pieces = left_;
  core_.entries.set_state(entry, EntryState::kCommitted);
  entry.lsn = lsn;
  return EntryState::kCommitted;
}

/// What was prepared never takes effect.
Result<EntryState> Decision::drop(HeldEntry& entry, EntryState next, store::View& view) {
  TRY(const ByteView changes, batch_of(entry, view));
  TRY(const auto claims, claims_of(changes));
  core_.batch.clear();
  core_.batch.set_space_class(store::SpaceClass::kReclaim);
  // One that goes altogether may have more pieces than a batch can erase: it is refused first.
  const bool in_one = entry.header.pieces <= kErasedPerBatch;
  const EntryState now = next == EntryState::kNone && !in_one ? EntryState::kRefused : next;
  put_decided(entry, now);
  for (const store::Extent& extent : claims) core_.batch.release(extent);
  TRY(const store::Lsn lsn, view.apply(core_.batch));
  if (entry.account) entry.account->refund(entry.header.added);
  entry.header.pieces = left_;
  entry.lsn = lsn;
  core_.entries.set_state(entry, now);
  if (now == EntryState::kNone) {
    core_.entry_lsn = lsn;
    core_.entries.erase(name_);
  }
  return next;
}

/// Nothing is held of it, and nothing ever will be.
Result<EntryState> Decision::refuse(store::View& view, store::Lsn& seen) {
  if (core_.entries.size() >= kMaxHeldEntries)
    return failf(Code::kResourceExhausted, "this target holds {} entries", core_.entries.size());
  core_.batch.clear();
  core_.batch.set_space_class(store::SpaceClass::kReclaim);
  if (!core_.entry_tree) {
    core_.new_entry_tree = core_.store.next_tree_id();
    core_.batch.create_tree(core_.new_entry_tree, kEntryTreeName);
  }
  EntryHeader header{.state = EntryState::kRefused};
  core_.batch.put(core_.entry_tree.value_or(core_.new_entry_tree), entry_key(name_, 0), encode_entry_header(header));
  TRY(const store::Lsn lsn, view.apply(core_.batch));
  if (!core_.entry_tree) core_.entry_tree = core_.new_entry_tree;
  core_.entries.put(
      {.name = name_, .header = std::move(header), .touched = {}, .batch = {}, .account = {}, .lsn = lsn});
  seen = std::max(seen, lsn);
  return EntryState::kRefused;
}

Result<EntryState> Decision::forget(HeldEntry& entry, store::View& view, store::Lsn& seen) {
  if (entry.header.pieces > 0) return fail(Code::kBusy, "what was prepared is still being cleaned up");
  core_.batch.clear();
  core_.batch.set_space_class(store::SpaceClass::kReclaim);
  core_.batch.erase(*core_.entry_tree, entry_key(name_, 0));
  TRY(core_.entry_lsn, view.apply(core_.batch));
  seen = std::max(seen, core_.entry_lsn);
  core_.entries.erase(name_);
  return EntryState::kNone;
}

/// By the table of docs/protocols/replication.md. What must never happen is damage of the protocol: it is said, and
/// nothing is changed.
Result<EntryState> Decision::attempt(store::View& view, store::Lsn& seen) {
  left_ = 0;
  HeldEntry* const entry = core_.entries.find(name_);
  seen = std::max(seen, entry == nullptr ? core_.entry_lsn : entry->lsn);
  const EntryState state = entry == nullptr ? EntryState::kNone : entry->header.state;
  const auto next = next_state(state, event_);
  if (!next) {
    return failf(Code::kInternal, "{}: '{}' where it is {}: the members of its group do not agree", name_of(name_),
                 kEntryEventNames[static_cast<std::size_t>(event_)], kEntryStateNames[static_cast<std::size_t>(state)]);
  }
  Result<EntryState> outcome = *next;
  if (*next == state) {
    // nothing changes
  } else if (state == EntryState::kNone) {
    outcome = refuse(view, seen);
  } else if (state != EntryState::kPrepared) {
    outcome = forget(*entry, view, seen);
  } else if (*next == EntryState::kCommitted) {
    outcome = commit(*entry, view);
  } else {
    outcome = drop(*entry, *next, view);
  }
  if (const HeldEntry* after = core_.entries.find(name_)) seen = std::max(seen, after->lsn);
  seen = std::max(seen, core_.entry_lsn);
  return outcome;
}

/// Removes what a decision left of the pieces of a large entry.
Result<std::uint16_t> erase_pieces(Core& core, const EntryName& name, store::View& view) {
  HeldEntry* const entry = core.entries.find(name);
  if (entry == nullptr || entry->header.state == EntryState::kPrepared || entry->header.pieces == 0) return 0;
  EntryHeader header = entry->header;
  core.batch.clear();
  core.batch.set_space_class(store::SpaceClass::kReclaim);
  for (std::uint32_t erased = 0; header.pieces > 0 && erased < kErasedPerBatch; ++erased)
    core.batch.erase(*core.entry_tree, entry_key(name, header.pieces--));
  core.batch.put(*core.entry_tree, entry_key(name, 0), encode_entry_header(header));
  TRY(entry->lsn, view.apply(core.batch));
  entry->header.pieces = header.pieces;
  return header.pieces;
}

}  // namespace

Task<Result<>> erase_entry_pieces(Core& core, EntryName name) {
  for (bool done = false; !done;) {
    CO_TRY(const std::uint16_t left,
           co_await core.store.run([&](store::View& view) { return erase_pieces(core, name, view); }));
    done = left == 0;
  }
  co_return Result<>();
}

namespace {

Task<Result<EntryState>> decide(Core& core, Decision& decision, EntryName name, EntryEvent event, store::Lsn& seen) {
  if (event == EntryEvent::kPrepare || event == EntryEvent::kCopy)
    co_return fail(Code::kInvalidArgument, "what is prepared or copied brings its changes");
  decision.set(name, event);
  CO_TRY(const EntryState state,
         co_await core.store.run([&](store::View& view) { return decision.attempt(view, seen); }));
  // It is decided, whatever comes of the rest.
  if (decision.left() > 0) {
    static_cast<void>(co_await erase_entry_pieces(core, name));
    if (event == EntryEvent::kLeave)
      CO_CHECK_OK(co_await core.store.run(
          [&](store::View& view) { return Decision(core, name, EntryEvent::kForget).attempt(view, seen); }));
  }
  co_return state;
}

/// Forgets, in one batch, those of the entries that can be forgotten, and leaves the others in `changes`.
Result<> forget_together(Core& core, std::vector<EntryChange*>& changes, store::View& view, store::Lsn& seen) {
  core.batch.clear();
  core.batch.set_space_class(store::SpaceClass::kReclaim);
  const auto can_go = [&core](const EntryChange* change) {
    const HeldEntry* const entry = core.entries.find(change->name);
    return entry == nullptr ||
           (entry->header.pieces == 0 && next_state(entry->header.state, EntryEvent::kForget) == EntryState::kNone);
  };
  for (const EntryChange* change : changes)
    if (can_go(change) && core.entries.find(change->name) != nullptr)
      core.batch.erase(*core.entry_tree, entry_key(change->name, 0));
  if (!core.batch.empty()) {
    TRY(core.entry_lsn, view.apply(core.batch));
  }
  seen = std::max(seen, core.entry_lsn);
  std::erase_if(changes, [&](EntryChange* change) {
    if (!can_go(change)) return false;
    // An entry may be named twice.
    if (core.entries.find(change->name) != nullptr) core.entries.erase(change->name);
    change->outcome = EntryState::kNone;
    return true;
  });
  return {};
}

}  // namespace

Task<Result<EntryState>> change_entry(Core& core, EntryName name, EntryEvent event, store::Lsn& seen) {
  Decision decision(core, name, event);
  co_return co_await decide(core, decision, name, event, seen);
}

Task<> change_entries(Core& core, std::span<EntryChange> changes, store::Lsn& seen) {
  Decision decision(core, {}, EntryEvent::kForget);
  std::vector<EntryChange*> forgotten, some;
  std::size_t left = kDecisionsPerTurn;
  for (EntryChange& change : changes) {
    if (change.event == EntryEvent::kForget) {
      forgotten.push_back(&change);
      continue;
    }
    change.outcome = co_await decide(core, decision, change.name, change.event, seen);
    if (--left > 0) continue;
    left = kDecisionsPerTurn;
    co_await core.reactor.yield();
  }
  for (std::span<EntryChange*> rest(forgotten); !rest.empty();) {
    const auto next = rest.first(std::min(rest.size(), kDecisionsPerTurn));
    rest = rest.subspan(next.size());
    some.assign(next.begin(), next.end());
    static_cast<void>(
        co_await core.store.run([&](store::View& view) { return forget_together(core, some, view, seen); }));
    // What could not go with the others has a reason of its own.
    for (EntryChange* change : some)
      change->outcome = co_await decide(core, decision, change->name, EntryEvent::kForget, seen);
    if (!rest.empty()) co_await core.reactor.yield();
  }
}

Task<Result<>> load_entries(Core& core) {
  const auto tree = core.store.find_tree(kEntryTreeName);
  if (!tree) co_return Result<>();
  core.entry_tree = *tree;
  std::vector<HeldEntry> loaded;
  Bytes changes;
  const auto finish = [&]() -> Result<> {
    if (loaded.empty() || loaded.back().header.state != EntryState::kPrepared) return {};
    TRY(EntryChanges parts, decode_entry_changes(changes));
    loaded.back().touched = std::move(parts.touched);
    return {};
  };
  CO_CHECK_OK(co_await scan_tree(core, *tree, {}, [&](ByteView key_bytes, ByteView value) -> Result<> {
    TRY(const EntryKey key, parse_entry_key(key_bytes));
    if (key.piece > 0) {
      if (loaded.empty() || loaded.back().name != key.name)
        return failf(Code::kCorrupt, "{}: changes without their entry", name_of(key.name));
      changes.insert(changes.end(), value.begin(), value.end());
      return {};
    }
    CHECK_OK(finish());
    changes.clear();
    TRY(EntryHeader header, decode_entry_header(value));
    loaded.push_back(
        {.name = key.name, .header = std::move(header), .touched = {}, .batch = {}, .account = {}, .lsn = {}});
    return {};
  }));
  CO_CHECK_OK(finish());
  for (HeldEntry& entry : loaded) {
    const EntryName name = entry.name;
    const bool leftover = entry.header.state != EntryState::kPrepared && entry.header.pieces > 0;
    core.entries.put(std::move(entry));
    if (leftover) CO_CHECK_OK(co_await erase_entry_pieces(core, name));
  }
  // Whoever read at a given epoch did so at or below the ceiling.
  core.closed = core.clock.ceiling();
  core.entries.check_invariants();
  co_return Result<>();
}

}  // namespace cenote::object
