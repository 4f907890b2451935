// Entries of redundancy groups: prepared, decided, forgotten (docs/protocols/replication.md). What is prepared lies
// beside the containers' trees, so nobody sees it and nothing has to be taken out of them; what is committed goes into
// them as it was prepared, since nobody may change what a prepared entry touches.

#include "prepare.h"

#include <algorithm>
#include <set>

#include "cenote/base/format.h"
#include "cenote/store/operation.h"
#include "commit.h"
#include "object_count.h"

namespace cenote::object {
namespace {

constexpr std::size_t kPieceBytes = store::kMaxValueBytes;
/// What a batch of changes may have beside its puts: the header, a birth that goes, and what the request, usage and
/// clock need.
constexpr std::uint32_t kCommitEntries = kMaxTransactionEntries + 3 + Core::kStampEntries;
static_assert(kCommitEntries <= store::kMaxBatchEntries);
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

std::unexpected<Error> undecided(const HeldEntry& entry) {
  return failf(Code::kUndecided, "{} is prepared and not decided", name_of(entry.name));
}

const HeldEntry* touching(const Entries& entries, const Uuid& container, std::span<const Touched> places) {
  for (const Touched& touched : places)
    if (const HeldEntry* other = entries.touching(container, touched.place(), kEpochLatest)) return other;
  return nullptr;
}

/// All entries with the prefix must be older: found by looking at as many of them as that takes, up to a bound beyond
/// which they are taken for newer.
Result<bool> are_older(const Reader& reader, ByteView prefix, Epoch epoch, std::uint32_t& left) {
  store::Cursor cursor(reader.view, reader.tree);
  TRY(bool found, cursor.seek(prefix));
  while (found && starts_with(cursor.key(), prefix)) {
    TRY(const ParsedKey key, parse_key(cursor.key()));
    if (key.epoch > epoch || left-- == 0) return false;
    TRY(found, cursor.next());
  }
  return true;
}

std::unexpected<Error> may_be_newer(const ObjectId& object, ByteView dkey, Epoch epoch) {
  return failf(Code::kEpochTooOld, "{}: may have a version newer than {}", describe(object, dkey, {}), epoch.value());
}

/// What an update would put must be the newest of it, and what its conditions are about older.
Result<> check_newest(const Reader& reader, const UpdateRequest& update, Epoch epoch) {
  if (update.dkey_condition != Precondition::kNone) {
    KeyPath path(update.object, update.dkey);
    TRY(const Epoch hidden, dkey_hidden(reader, path));
    std::uint32_t left = kEntriesLookedAt;
    TRY(const bool older, are_older(reader, to_bytes(path.dkey_prefix()), epoch, left));
    if (!older || hidden > epoch) return may_be_newer(update.object, update.dkey, epoch);
  }
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

/// What a punch hides must be older than it, all of it.
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
    TRY(const bool older, are_older(reader, prefix, epoch, left));
    if (!older) return may_be_newer(punch.object, punch.dkey, epoch);
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
  if (request_.has_reads()) CO_CHECK_OK(co_await commit_.check_reads(until, seen));
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
  // Where nothing is newer in all of the container, nothing is newer here.
  if (container.changed <= epoch) return {};
  for (const UpdateRequest& update : request_.updates) CHECK_OK(check_newest(reader, update, epoch));
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
  TRY(const auto claims, claims_of(core_.batch.encoded()));
  Bytes kept;
  if (core_.batch.encoded().size() <= kKeptBatchBytes) kept = to_bytes(core_.batch.encoded());
  put(header, changes);
  for (const store::Extent& extent : claims) core_.batch.claim(extent);
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
                     .batch = std::move(kept),
                     .account = container->account,
                     .lsn = *lsn});
  seen = std::max(seen, *lsn);
  return EntryState::kPrepared;
}

}  // namespace

const HeldEntry* undecided_in_the_way(const Entries& entries, const CommitRequest& request) {
  if (const HeldEntry* twin = entries.of_request(request.id)) return twin;
  const auto touched = touched_by(request);
  return touched ? touching(entries, request.container, *touched) : nullptr;
}

namespace {

/// Somebody checks them who has all that they are about.
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
  CO_CHECK_OK(validate(request, Changes::kMayBeNone));
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
  if (member != Member::kChecking && is_conditional(request)) changes = without_conditions(request);
  Preparation preparation(core, request, changes ? *changes : request, member, name, note);
  co_return co_await preparation.run(payload, until, seen);
}

}  // namespace cenote::object
