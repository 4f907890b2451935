// Entries of redundancy groups: prepared, decided, forgotten (docs/protocols/replication.md). What is prepared lies
// beside the containers' trees, so nobody sees it and nothing has to be taken out of them; what is committed goes into
// them as it was prepared, since nobody may change what a prepared entry touches.

#include "prepare.h"

#include <algorithm>
#include <set>

#include "cenote/base/format.h"
#include "cenote/store/operation.h"
#include "commit.h"
#include "late_births.h"
#include "object_count.h"
#include "tree_scan.h"

namespace cenote::object {
namespace {

constexpr std::size_t kPieceBytes = store::kMaxValueBytes;
/// What a batch of changes may have beside its puts: the header, a birth that goes, and what the request, usage and
/// clock need.
constexpr std::uint32_t kCommitEntries = kMaxTransactionEntries + 3 + Core::kStampEntries;
static_assert(kCommitEntries <= store::kMaxBatchEntries);
/// Erased at a time where they do not fit the batch that decides.
constexpr std::uint32_t kErasedPerBatch = 128;
/// Of what a punch hides, to find out whether it is older.
constexpr std::uint32_t kEntriesLookedAt = 4096;

bool is_before(const Touched& one, const Touched& other) {
  const auto keys = [](const Touched& touched) {
    return std::tuple(touched.object, touched.dkey.has_value(), touched.akey.has_value());
  };
  if (keys(one) != keys(other)) return keys(one) < keys(other);
  if (one.dkey && !equal(*one.dkey, *other.dkey)) return compare(*one.dkey, *other.dkey) < 0;
  return one.akey && compare(*one.akey, *other.akey) < 0;
}

/// Each place once.
Result<std::vector<Touched>> touched_by(const CommitRequest& request) {
  std::vector<Touched> all;
  bool container = false;
  each_place(request, [&](const Place& place) {
    container = container || place.object == ObjectId();
    all.emplace_back(place);
  });
  if (container)
    return fail(Code::kUnsupported, "a transaction that lists all objects cannot take part in a redundancy group");
  if (all.size() <= 1) return all;
  std::ranges::sort(all, is_before);
  std::vector<Touched> touched;
  for (Touched& next : all) {
    if (touched.empty() || is_before(touched.back(), next)) {
      touched.push_back(std::move(next));
    } else {
      touched.back().records = touched.back().records.with(next.records);
    }
  }
  return touched;
}

std::string name_of(const EntryName& name) {
  return fmt::format("entry {} of target {}", name.epoch.value(), name.leader);
}

std::unexpected<Error> undecided(const HeldEntry& entry) {
  return failf(Code::kUndecided, "{} is prepared and not decided", name_of(entry.name));
}

const HeldEntry* touching(const Entries& entries, const Uuid& container, std::span<const Touched> places) {
  for (const Touched& touched : places)
    if (const HeldEntry* other = entries.touching(container, touched.place(), kEpochLatest)) return other;
  return nullptr;
}

/// What an update would put must be the newest of it.
Result<> check_newest(const Reader& reader, const UpdateRequest& update, Epoch epoch) {
  for (const AkeyUpdate& akey : update.akeys) {
    TRY(const bool newest,
        is_unchanged(reader, {.object = update.object, .dkey = update.dkey, .akey = akey.akey, .ranges = akey.ranges},
                     epoch));
    if (!newest)
      return failf(Code::kEpochTooOld, "{}: has a version newer than {}",
                   describe(update.object, update.dkey, akey.akey), epoch.value());
  }
  return {};
}

/// What a punch hides must be older than it, all of it: found by looking at as many entries as that takes, up to a
/// bound beyond which it is taken for newer.
Result<> check_newest(const Reader& reader, const PunchRequest& punch, Epoch epoch) {
  KeyPath path(punch.object);
  if (punch.level != PunchLevel::kObject) path.set_dkey(punch.dkey);
  std::vector<Bytes> prefixes;
  if (punch.level == PunchLevel::kObject) prefixes.push_back(to_bytes(path.object_prefix()));
  if (punch.level == PunchLevel::kDkey) prefixes.push_back(to_bytes(path.dkey_prefix()));
  for (const KeyBytes& akey : punch.akeys) {
    path.set_akey(akey);
    prefixes.push_back(to_bytes(path.akey_prefix()));
  }
  std::uint32_t left = kEntriesLookedAt;
  for (const Bytes& prefix : prefixes) {
    store::Cursor cursor(reader.view, reader.tree);
    TRY(bool found, cursor.seek(prefix));
    while (found && starts_with(cursor.key(), prefix)) {
      TRY(const ParsedKey key, parse_key(cursor.key()));
      if (key.epoch > epoch || left-- == 0)
        return failf(Code::kEpochTooOld, "{}: may have a version newer than {}", describe(punch.object, punch.dkey, {}),
                     epoch.value());
      TRY(found, cursor.next());
    }
  }
  return {};
}

/// Prepares one entry.
class Preparation {
 public:
  /// `asked` as it was sent; `request` without what an incomplete member leaves to others.
  Preparation(Core& core, const CommitRequest& asked, const CommitRequest& request, Member member, EntryName name,
              ByteView note)
      : core_(core),
        asked_(asked),
        request_(request),
        member_(member),
        name_(name),
        note_(note),
        commit_(core, request, member) {}

  Task<Result<EntryState>> run(const media::Buffer& payload, Until until, store::Lsn& seen);

 private:
  Result<EntryState> attempt(store::View& view, store::Lsn& seen);
  Result<> check(const Container& container, const Reader& reader) const;
  Result<> check_epoch(const Container& container, const Reader& reader) const;
  Result<> widen(const Container& container);
  void put(const EntryHeader& header, ByteView changes);

  Core& core_;
  const CommitRequest& asked_;
  const CommitRequest& request_;
  const Member member_;
  EntryName name_;
  ByteView note_;
  Commit commit_;
  std::vector<Touched> touched_;
  std::vector<Touched> widened_;  // by an attempt
};

Task<Result<EntryState>> Preparation::run(const media::Buffer& payload, Until until, store::Lsn& seen) {
  CO_TRY(touched_, touched_by(asked_));
  // An incomplete member may be there for its vote alone.
  if (touched_.empty() && member_ != Member::kIncomplete)
    co_return fail(Code::kInvalidArgument, "an entry that changes nothing");
  CO_TRY(const Container* container, core_.find_container(request_.container, seen));
  const std::uint64_t bytes = payload_bytes(request_);
  if (container->account && bytes > 0) CO_CHECK_OK(container->account->check_room({.bytes = bytes, .objects = 0}));
  CO_CHECK_OK(commit_.prepare(*container, payload));
  CO_CHECK_OK(core_.data_written(co_await commit_.write(until)));
  CO_CHECK_OK(co_await commit_.check_reads(until, seen));
  co_return co_await core_.store.run(
      [this, &seen](store::View& view) {
        auto result = attempt(view, seen);
        seen = std::max(seen, view.seen());
        return result;
      },
      until);
}

Result<> Preparation::check_epoch(const Container& container, const Reader& reader) const {
  const Epoch epoch = name_.epoch;
  if (epoch != end_of_moment(epoch))
    return failf(Code::kInvalidArgument, "an entry cannot be of epoch {}, which is even", epoch.value());
  if (epoch > core_.clock.last() && core_.is_in_future(epoch))
    return failf(Code::kBusy, "epoch {} lies in the future: the clock of target {} is ahead", epoch.value(),
                 name_.leader);
  // What was read at a given epoch stays as it was read.
  if (epoch <= core_.closed || epoch <= container.bound)
    return failf(Code::kEpochTooOld, "epoch {} is one that was read at already", epoch.value());
  for (const UpdateRequest& update : request_.updates) CHECK_OK(check_newest(reader, update, epoch));
  if (container.changed <= epoch) return {};
  for (const PunchRequest& punch : request_.punches) CHECK_OK(check_newest(reader, punch, epoch));
  return {};
}

Result<> Preparation::check(const Container& container, const Reader& reader) const {
  if (core_.entries.undecided() >= kMaxUndecidedEntries || core_.entries.size() >= kMaxHeldEntries)
    return failf(Code::kResourceExhausted, "this target holds {} entries, {} of them undecided", core_.entries.size(),
                 core_.entries.undecided());
  if (const HeldEntry* twin = core_.entries.of_request(request_.id)) return undecided(*twin);
  if (const HeldEntry* other = touching(core_.entries, container.id, touched_)) return undecided(*other);
  CHECK_OK(commit_.check_still(container));
  return check_epoch(container, reader);
}

/// The birth of an array is about all of it. To an incomplete member every write looks like one, and the oldest of them
/// is it in the end, in whatever order they are committed; but in a commit there is room for one that is replaced.
Result<> Preparation::widen(const Container& container) {
  widened_ = touched_;
  const bool joins_later = member_ == Member::kIncomplete && touched_.size() == 1;
  bool wider = false;
  for (Touched& touched : widened_) {
    if (touched.records.is_all() || joins_later || !commit_.is_birth(touched.place())) continue;
    touched.records = {};
    wider = true;
  }
  if (!wider) return {};
  if (const HeldEntry* other = touching(core_.entries, container.id, widened_)) return undecided(*other);
  return {};
}

/// In place of what is in the batch, which becomes what the entry will put.
void Preparation::put(const EntryHeader& header, ByteView changes) {
  store::Batch& batch = core_.batch;
  const store::SpaceClass space_class = batch.space_class();
  batch.clear();
  batch.set_space_class(space_class);
  if (!core_.entry_tree) {
    core_.new_entry_tree = core_.store.next_tree_id();
    batch.create_tree(core_.new_entry_tree, kEntryTreeName);
  }
  const store::TreeId tree = core_.entry_tree.value_or(core_.new_entry_tree);
  batch.put(tree, entry_key(name_, 0), encode_entry_header(header));
  for (std::uint16_t piece = 0; piece < header.pieces; ++piece) {
    const std::size_t from = piece * kPieceBytes;
    batch.put(tree, entry_key(name_, static_cast<std::uint16_t>(piece + 1)),
              changes.subspan(from, std::min(kPieceBytes, changes.size() - from)));
  }
}

Result<EntryState> Preparation::attempt(store::View& view, store::Lsn& seen) {
  if (const HeldEntry* held = core_.entries.find(name_)) {
    seen = std::max(seen, held->lsn);
    return held->header.state;
  }
  TRY(Container * container, core_.find_container(request_.container, seen));
  TRY(const auto known, core_.sessions.check(request_.id, core_.wall_now()));
  if (known) {
    seen = std::max(seen, known->lsn);
    return fail(Code::kExists, "another attempt of the request has taken effect");
  }
  const Reader reader = container->reader(view, kEpochLatest);
  CHECK_OK(check(*container, reader));
  const Epoch epoch = name_.epoch;
  CHECK_OK(commit_.put_changes(*container, reader, {Epoch(epoch.value() - 1), epoch}, seen));
  CHECK_OK(widen(*container));
  EntryHeader header{.state = EntryState::kPrepared, .container = container->id, .request = request_.id};
  TRY(header.added, commit_.added_by(*container, view));
  header.note = to_bytes(note_);
  const Bytes changes = encode_entry_changes(widened_, core_.batch.encoded());
  header.pieces = static_cast<std::uint16_t>((changes.size() + kPieceBytes - 1) / kPieceBytes);
  if (core_.batch.flaw() != Code::kOk) return fail(core_.batch.flaw(), "the changes are too many for one batch");
  TRY(const EntryChanges parts, decode_entry_changes(changes));
  put(header, changes);
  for (const store::Extent& extent : claims_of(parts)) core_.batch.claim(extent);
  const std::optional<Epoch> ceiling = core_.clock.raise_for(epoch);
  if (ceiling) core_.batch.put(core_.system_tree, ceiling_key(), encode_number(ceiling->value()));
  if (member_ == Member::kIncomplete) core_.put_incomplete(*container);
  if (container->account) CHECK_OK(container->account->charge(header.added));
  const auto lsn = view.apply(core_.batch);
  if (!lsn) {
    if (container->account) container->account->refund(header.added);
    return fail(lsn.error());
  }
  commit_.claimed();
  if (member_ == Member::kIncomplete) Core::note_incomplete(*container);
  if (!core_.entry_tree) core_.entry_tree = core_.new_entry_tree;
  core_.clock.observe(epoch);
  if (ceiling) {
    core_.clock.raised(*ceiling);
    core_.ceiling_lsn = *lsn;
  }
  core_.entries.put({.name = name_,
                     .header = std::move(header),
                     .touched = std::move(widened_),
                     .account = container->account,
                     .lsn = *lsn});
  seen = std::max(seen, *lsn);
  return EntryState::kPrepared;
}

/// Decides one entry.
class Decision {
 public:
  Decision(Core& core, EntryName name, EntryEvent event) : core_(core), name_(name), event_(event) {}

  Result<EntryState> attempt(store::View& view, store::Lsn& seen);
  /// Pieces that are still in the tree, from this one on; 0: none.
  std::uint16_t left() const { return left_; }

 private:
  Result<EntryState> commit(HeldEntry& entry, store::View& view);
  Result<EntryState> drop(HeldEntry& entry, EntryState next, store::View& view);
  Result<EntryState> refuse(store::View& view, store::Lsn& seen);
  Result<EntryState> forget(HeldEntry& entry, store::View& view, store::Lsn& seen);
  Result<> put_again(const Container& container, const EntryChanges& changes, store::View& view);
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

const HeldEntry* undecided_in_the_way(const Entries& entries, const CommitRequest& request) {
  if (const HeldEntry* twin = entries.of_request(request.id)) return twin;
  const auto touched = touched_by(request);
  return touched ? touching(entries, request.container, *touched) : nullptr;
}

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

/// What was prepared, but for the facts about arrays that others have added to meanwhile.
Result<> Decision::put_again(const Container& container, const EntryChanges& changes, store::View& view) {
  objects_.clear();
  akeys_.clear();
  punches_ = false;
  LateBirths late(core_, container, view);
  store::OperationReader reader(changes.batch);
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
  CHECK_OK(read_entry_changes(view, *core_.entry_tree, name_, entry.header.pieces, stored_));
  TRY(const EntryChanges changes, decode_entry_changes(stored_));
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
  CHECK_OK(read_entry_changes(view, *core_.entry_tree, name_, entry.header.pieces, stored_));
  TRY(const EntryChanges changes, decode_entry_changes(stored_));
  core_.batch.clear();
  core_.batch.set_space_class(store::SpaceClass::kReclaim);
  // One that goes altogether may have more pieces than a batch can erase: it is refused first.
  const bool in_one = entry.header.pieces <= kErasedPerBatch;
  const EntryState now = next == EntryState::kNone && !in_one ? EntryState::kRefused : next;
  put_decided(entry, now);
  for (const store::Extent& extent : claims_of(changes)) core_.batch.release(extent);
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
  core_.entries.put({.name = name_, .header = std::move(header), .touched = {}, .account = {}, .lsn = lsn});
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

/// The leader checks them, which has all that it is about.
CommitRequest without_conditions(CommitRequest request) {
  for (PunchRequest& punch : request.punches) punch.condition = Precondition::kNone;
  for (UpdateRequest& update : request.updates) {
    update.dkey_condition = Precondition::kNone;
    for (AkeyUpdate& akey : update.akeys) akey.condition = Precondition::kNone;
  }
  return request;
}

}  // namespace

Task<Result<EntryState>> prepare_entry(Core& core, const CommitRequest& request, Member member, EntryName name,
                                       ByteView note, media::Buffer& payload, std::uint64_t payload_bytes, Until until,
                                       store::Lsn& seen) {
  CO_CHECK_OK(validate(request, Conditions::kAllowed));
  if (note.size() > kMaxEntryNoteBytes)
    co_return failf(Code::kOutOfRange, "a note of {} bytes: at most {} are kept", note.size(), kMaxEntryNoteBytes);
  if (cenote::payload_bytes(request) != payload_bytes || payload.size() < payload_bytes)
    co_return failf(Code::kInvalidArgument, "payload: {} bytes, the akeys hold {}", payload_bytes,
                    cenote::payload_bytes(request));
  if (const HeldEntry* held = core.entries.find(name)) {
    seen = std::max(seen, held->lsn);
    co_return held->header.state;
  }
  std::optional<CommitRequest> changes;
  if (member != Member::kLeading) changes = without_conditions(request);
  Preparation preparation(core, request, changes ? *changes : request, member, name, note);
  co_return co_await preparation.run(payload, until, seen);
}

Task<Result<EntryState>> change_entry(Core& core, EntryName name, EntryEvent event, store::Lsn& seen) {
  if (event == EntryEvent::kPrepare || event == EntryEvent::kCopy)
    co_return fail(Code::kInvalidArgument, "what is prepared or copied brings its changes");
  Decision decision(core, name, event);
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
    loaded.push_back({.name = key.name, .header = std::move(header), .touched = {}, .account = {}, .lsn = {}});
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
