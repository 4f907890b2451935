// What an incomplete member has left from earlier times, where a copy comes.
//
// Most of it just goes. Births of arrays need more: changes that the member took part in since (newer than the cover's
// epoch) may have become part of an array that is no more, or was born elsewhen: their birth was left out since there
// was one, and punched ranges were cut at its windows. So where an array as it is here may not be the one of the source
//  - the oldest write since gets a birth of its own, as if the array had not been there: it is one, or becomes part of
//    the real one when that is put;
//  - punched ranges become what they are without a birth (late_births.h), and are cut again beside the next one.
// Both can be done again, after a crash for one, and where they need not be: it goes by what is in the tree.

#include "history_cover.h"

#include <algorithm>
#include <optional>

#include "cenote/base/format.h"
#include "history.h"
#include "history_removal.h"
#include "late_births.h"
#include "named_keys.h"

namespace cenote::object {

bool is_same(const HistoryEntry& copied, const Entry& entry) {
  if (copied.type != entry.type) return false;
  switch (entry.type) {
    case EntryType::kPunch:
      return true;
    case EntryType::kArray:
      return copied.record_bytes == entry.record_bytes;
    case EntryType::kHole:
      return copied.records == entry.records;
    case EntryType::kSingle:
    case EntryType::kExtent:
      break;
  }
  if (copied.bytes != entry.bytes || copied.records != entry.records || copied.record_bytes != entry.record_bytes)
    return false;
  // Some that are stored have no room for theirs. What is not copied has to be told by them.
  if (!copied.is_stub && (copied.checksums.empty() || entry.checksums.empty())) return true;
  return equal(copied.checksums, entry.checksums);
}

namespace {

// What one run looks at; the store keeps all pages that it met until it ends.
constexpr std::uint32_t kLookedAt = 256;
constexpr std::uint64_t kLookedAtBytes = 256u << 10;
/// Entries of an akey changed in one batch.
constexpr std::uint32_t kChanged = 48;
// Births that go, punched ranges that are put elsewhere, and the last birth.
static_assert(kChanged * 3 + 2 + Core::kStampEntries <= store::kMaxBatchEntries);
/// In a row, that others have changed the object.
constexpr int kMostStale = 16;

KeyPath path_of(const ParsedKey& key) {
  KeyPath path(key.object);
  path.set_encoded_dkey(key.encoded_dkey);
  path.set_encoded_akey(key.encoded_akey);
  return path;
}

Result<Container*> find(Core& core, const Uuid& id, store::Lsn& seen) {
  seen = std::max(seen, core.containers_lsn);
  const auto found = core.containers.find(id);
  if (found == core.containers.end())
    return failf(Code::kContainerNotFound, "no container {} on this target", id.to_string());
  seen = std::max(seen, found->second.lsn);
  return &found->second;
}

Bytes behind(ByteView key) {
  Bytes next = to_bytes(key);
  next.push_back(std::byte{0});  // the next key is greater than this one
  return next;
}

bool is_copied(const HistoryContent& page, ByteView key, const Entry& entry) {
  const HistoryEntry* const copied = page.find(key);
  return copied != nullptr && is_same(*copied, entry);
}

/// The births of one akey, some of which are left, or followed by something that was not here.
class LeftBirths {
 public:
  LeftBirths(Core& core, const Uuid& id, const HistoryContent& page, Epoch upto, Bytes akey, store::Lsn& seen)
      : core_(core), id_(id), page_(page), upto_(upto), akey_(std::move(akey)), removal_(core), seen_(seen) {}

  Task<Result<>> remove(Until until);

 private:
  enum class Step : std::uint8_t { kMore, kStale, kDone };
  struct Birth {
    Epoch epoch;
    std::uint32_t record_bytes = 0;
    ArrayFlags flags;
    bool copied = false;
  };
  /// What changed since and may be part of the newest birth, of what was looked at.
  struct Since {
    Bytes position;
    Epoch end = kEpochLatest;     // from here on changes have births of their own
    std::optional<Birth> oldest;  // write
    bool any = false, wide = false;
  };

  Result<Step> step(store::View& view, const Watch& watch);
  /// What is not belongs to another page.
  bool is_in_range(ByteView key) const {
    const HistoryRange& range = page_.range;
    return compare(key, range.from) >= 0 && (range.to.empty() || compare(key, range.to) < 0);
  }
  Result<bool> read_head(store::View& view, const Container& container, KeyPath& path, Bytes& position);
  Result<bool> look_at_changes(store::View& view, const Container& container, KeyPath& path, Since& since);
  Result<> uncut(store::View& view, const Container& container, KeyPath& path, const ParsedKey& hole,
                 std::uint64_t records);
  Result<Epoch> oldest_since(store::View& view, const Container& container, KeyPath& path) const;
  Result<> finish(store::View& view, const Container& container, KeyPath& path, Since& since,
                  std::optional<Epoch>& beside);
  Result<bool> is_inherited(store::View& view, const Container& container, KeyPath& path, Epoch birth) const;
  void erase(const Container& container, KeyPath& path, Epoch epoch);
  Result<> put_birth(store::View& view, const Container& container, KeyPath& path, const Birth& birth);
  Result<KeyPath> path() const;

  Core& core_;
  const Uuid id_;
  const HistoryContent& page_;
  const Epoch upto_;
  const Bytes akey_;  // prefix
  HistoryRemoval removal_;
  store::Lsn& seen_;
  // Of the attempt.
  std::vector<Birth> left_;      // newest first; not the one below
  std::optional<Birth> newest_;  // of all in the tree: newer changes may be part of it
  // Where the looking goes on.
  Bytes head_;
  Since since_;
  std::optional<Epoch> beside_;  // birth at which punched ranges are to be cut
};

Result<KeyPath> LeftBirths::path() const {
  // Parsed for its path only, so any entry will do.
  Bytes entry = akey_;
  entry.resize(entry.size() + 9);
  TRY(const ParsedKey parsed, parse_key(entry));
  return path_of(parsed);
}

/// True: there are no more.
Result<bool> LeftBirths::read_head(store::View& view, const Container& container, KeyPath& path, Bytes& position) {
  left_.clear();
  newest_.reset();
  const PathBytes start(path.akey_entry(upto_));
  const ByteView head = start.view().first(start.size() - sizeof(std::uint64_t));
  store::Cursor cursor(view, container.tree);
  TRY(bool more, cursor.seek(start));
  for (std::uint32_t i = 0; more && starts_with(cursor.key(), head); ++i) {
    if (i == 1 && !position.empty()) {
      TRY(more, cursor.seek(position));
      if (!more || !starts_with(cursor.key(), head)) break;
    }
    if (i == kLookedAt || left_.size() == kChanged) return false;
    TRY(const ParsedKey key, parse_key(cursor.key()));
    TRY(const Entry entry, decode_entry(cursor.value()));
    if (entry.type == EntryType::kArray && is_in_range(cursor.key())) {
      const Birth birth{key.epoch, entry.record_bytes, entry.flags, is_copied(page_, cursor.key(), entry)};
      if (i == 0) {
        newest_ = birth;
      } else if (!birth.copied) {
        left_.push_back(birth);
      }
    }
    if (i > 0) position = behind(cursor.key());
    TRY(more, cursor.next());
  }
  return true;
}

void LeftBirths::erase(const Container& container, KeyPath& path, Epoch epoch) {
  const PathBytes key(path.akey_entry(epoch));
  const auto at = parse_key(key);
  removal_.erase(container, *at, key, {.type = EntryType::kArray});
}

Result<> LeftBirths::put_birth(store::View& view, const Container& container, KeyPath& path, const Birth& birth) {
  const PathBytes key(path.akey_entry(birth.epoch));
  TRY(const auto there, view.get(container.tree, key));
  ArrayFlags flags = birth.flags;
  if (there) {
    TRY(const Entry before, decode_entry(*there));
    flags.bits = static_cast<std::uint8_t>(flags.bits | before.flags.bits);
  }
  ValueBytes value;
  append_array(birth.record_bytes, flags, value);
  TRY(const ParsedKey at, parse_key(key));
  removal_.put(container, at, key, value);
  return {};
}

/// Of a clone: the first change of what an ancestor holds puts its birth here, with the epoch that it has there.
Result<bool> LeftBirths::is_inherited(store::View& view, const Container& container, KeyPath& path, Epoch birth) const {
  if (!container.source || birth > container.source->epoch) return false;
  const PathBytes key(path.akey_entry(birth));
  for (const Layer& ancestor : container.ancestors) {
    TRY(const auto there, view.get(ancestor.tree, key));
    if (!there) continue;
    TRY(const Entry entry, decode_entry(*there));
    return entry.type == EntryType::kArray;
  }
  return false;
}

/// A punched range as it is where no birth says where windows end.
Result<> LeftBirths::uncut(store::View& view, const Container& container, KeyPath& path, const ParsedKey& hole,
                           std::uint64_t records) {
  const PathBytes cut(path.extent(hole.extent_class, hole.first, hole.epoch));
  removal_.erase(container, hole, cut, {.type = EntryType::kHole});
  const PathBytes key(path.wide_punch(hole.first, hole.epoch));
  TRY(const auto there, view.get(container.tree, key));
  if (there) {
    TRY(const Entry before, decode_entry(*there));
    records = std::max(records, before.records);
  }
  ValueBytes value;
  append_hole(records, value);
  TRY(const ParsedKey at, parse_key(key));
  removal_.put(container, at, key, value);
  return {};
}

/// True: there are no more.
Result<bool> LeftBirths::look_at_changes(store::View& view, const Container& container, KeyPath& path, Since& since) {
  store::Cursor cursor(view, container.tree);
  if (since.position.empty()) since.position = to_bytes(path.kind_prefix(Kind::kWidePunch));
  TRY(bool more, cursor.seek(since.position));
  std::uint64_t bytes = 0;
  std::uint32_t changed = 0;
  for (std::uint32_t i = 0; more && starts_with(cursor.key(), akey_); ++i) {
    if (i == kLookedAt || bytes >= kLookedAtBytes || changed == kChanged) return false;
    bytes += cursor.key().size() + cursor.value().size();
    TRY(const ParsedKey key, parse_key(cursor.key()));
    if (key.epoch > upto_ && key.epoch < since.end && key.kind != Kind::kSingle) {
      TRY(const Entry entry, decode_entry(cursor.value()));
      since.any = true;
      since.wide = since.wide || entry.type == EntryType::kHole;
      if (entry.type == EntryType::kExtent && (!since.oldest || key.epoch < since.oldest->epoch))
        since.oldest = Birth{.epoch = key.epoch, .record_bytes = entry.record_bytes, .flags = {}};
      if (entry.type == EntryType::kHole && key.kind == Kind::kExtent) {
        ++changed;
        CHECK_OK(uncut(view, container, path, key, entry.records));
      }
    }
    since.position = behind(cursor.key());
    TRY(more, cursor.next());
  }
  return true;
}

/// The first birth or punch of the akey that is newer than the cover.
Result<Epoch> LeftBirths::oldest_since(store::View& view, const Container& container, KeyPath& path) const {
  const PathBytes seek(path.akey_entry(Epoch(upto_.value() + 1)));
  store::Cursor cursor(view, container.tree);
  TRY(const bool found, cursor.seek_at_most(seek));
  if (!found || cursor.key().size() != seek.size() ||
      !starts_with(cursor.key(), seek.view().first(seek.size() - sizeof(std::uint64_t))))
    return kEpochLatest;
  TRY(const ParsedKey key, parse_key(cursor.key()));
  return key.epoch;
}

/// Once all is looked at.
Result<> LeftBirths::finish(store::View& view, const Container& container, KeyPath& path, Since& since,
                            std::optional<Epoch>& beside) {
  Birth& newest = *newest_;
  if (since.wide) newest.flags.add_wide_punch();
  TRY(const bool inherited, is_inherited(view, container, path, newest.epoch));
  if (inherited && since.any) {
    beside = newest.epoch;
    return put_birth(view, container, path, newest);
  }
  if (!newest.copied) erase(container, path, newest.epoch);
  if (!since.oldest) return {};
  since.oldest->flags = newest.flags;
  beside = since.oldest->epoch;
  return put_birth(view, container, path, *since.oldest);
}

Result<LeftBirths::Step> LeftBirths::step(store::View& view, const Watch& watch) {
  if (watch.changed()) return Step::kStale;
  TRY(Container * container, find(core_, id_, seen_));
  TRY(KeyPath path, this->path());
  removal_.begin();
  Bytes head = head_;
  TRY(bool done, read_head(view, *container, path, head));
  for (const Birth& birth : left_) erase(*container, path, birth.epoch);
  Since since = since_;
  std::optional<Epoch> beside = beside_;
  if (newest_) {
    TRY(since.end, oldest_since(view, *container, path));
    TRY(const bool looked_at, look_at_changes(view, *container, path, since));
    done = done && looked_at;
  }
  if (done && newest_) CHECK_OK(finish(view, *container, path, since, beside));
  if (!removal_.empty()) CHECK_OK(removal_.apply(*container, view));
  seen_ = std::max(seen_, container->lsn);
  head_ = std::move(head);
  since_ = std::move(since);
  beside_ = beside;
  return done ? Step::kDone : Step::kMore;
}

Task<Result<>> LeftBirths::remove(Until until) {
  CO_TRY(KeyPath path, this->path());
  CO_TRY(const ParsedKey key, parse_key(path.akey_entry(upto_)));
  const ObjectId object = key.object;
  Step step = Step::kStale;
  for (int stale = 0; step != Step::kDone; ++stale) {
    if (stale > kMostStale) co_return fail(Code::kBusy, "an array changes while a copy of it is put here");
    head_.clear();
    since_ = {};
    Watch watch(core_.watches, id_);
    watch.add(object);
    do {
      CO_TRY(step,
             co_await core_.store.run([this, &watch](store::View& view) { return this->step(view, watch); }, until));
      if (step == Step::kMore) co_await core_.reactor.yield();
    } while (step == Step::kMore);
  }
  if (beside_)
    co_return co_await cut_all_early_punches(core_, id_, Bytes(to_bytes(path.akey_entry(*beside_))), until, seen_);
  co_return Result<>();
}

/// Walks over what is there.
class LeftoverWalk {
 public:
  LeftoverWalk(Core& core, const Uuid& id, const HistoryContent& page, const HistoryCover& cover, store::Lsn& seen)
      : core_(core),
        id_(id),
        page_(page),
        upto_(cover.upto),
        named_(cover.wanted),
        removal_(core),
        position_(to_bytes(page.range.from)),
        seen_(seen) {}

  Task<Result<>> run(Until until);

 private:
  Result<bool> slice(store::View& view);
  Result<bool> collect(store::View& view, const Container& container, Bytes& position, Bytes& births);
  Result<bool> is_suspect(store::View& view, const Container& container, const ParsedKey& key,
                          const Entry& birth) const;
  bool is_leftover(const ParsedKey& key, ByteView raw, const Entry& entry) const {
    return key.epoch <= upto_ && !named_.is_shared(key) && !is_copied(page_, raw, entry);
  }

  Core& core_;
  const Uuid id_;
  const HistoryContent& page_;
  const Epoch upto_;
  NamedKeys named_;
  HistoryRemoval removal_;
  Bytes position_;
  Bytes births_;  // akey that has suspect ones; empty: none
  store::Lsn& seen_;
};

/// Whether a birth is left over, or what the source has behind it was not here when newer changes came.
Result<bool> LeftoverWalk::is_suspect(store::View& view, const Container& container, const ParsedKey& key,
                                      const Entry& birth) const {
  if (key.epoch > upto_) return false;
  KeyPath path = path_of(key);
  const HistoryEntry* const newest = page_.find_newest(path.akey_entry(upto_));
  if (newest == nullptr || newest->at.epoch != key.epoch || !is_same(*newest, birth)) return true;
  for (const PathBytes& level : {PathBytes(path.object_entry(upto_)), PathBytes(path.dkey_entry(upto_))}) {
    const HistoryEntry* const punch = page_.find_newest(level);
    if (punch != nullptr && punch->at.epoch >= key.epoch) return true;
  }
  TRY(const Epoch hidden, dkey_hidden(container.reader(view, upto_), path));
  return hidden >= key.epoch;
}

/// True: the end of the range. Ends behind an akey with suspect births, too.
Result<bool> LeftoverWalk::collect(store::View& view, const Container& container, Bytes& position, Bytes& births) {
  const ByteView to = page_.range.to;
  store::Cursor cursor(view, container.tree);
  TRY(bool more, cursor.seek(position));
  std::uint64_t bytes = 0;
  for (std::uint32_t i = 0; more; ++i) {
    if (!births.empty() && !starts_with(cursor.key(), births)) {
      position = to_bytes(cursor.key());
      return false;
    }
    if (!to.empty() && compare(cursor.key(), to) >= 0) return true;
    if (i == kLookedAt || bytes >= kLookedAtBytes || removal_.full()) return false;
    bytes += cursor.key().size() + cursor.value().size();
    TRY(const ParsedKey key, parse_key(cursor.key()));
    if (!named_.names(key)) {
      position = named_.behind(key);
      if (position.empty()) return true;
      TRY(more, cursor.seek(position));
      continue;
    }
    TRY(const Entry entry, decode_entry(cursor.value()));
    if (entry.type == EntryType::kArray) {
      TRY(const bool suspect, is_suspect(view, container, key, entry));
      if (suspect) births = to_bytes(cursor.key().first(key.akey_end));
    } else if (is_leftover(key, cursor.key(), entry)) {
      removal_.erase(container, key, cursor.key(), entry);
    }
    position = behind(cursor.key());
    TRY(more, cursor.next());
  }
  return true;
}

Result<bool> LeftoverWalk::slice(store::View& view) {
  TRY(Container * container, find(core_, id_, seen_));
  removal_.begin();
  Bytes position = position_, births = births_;
  TRY(const bool end, collect(view, *container, position, births));
  if (!removal_.empty()) CHECK_OK(removal_.apply(*container, view));
  seen_ = std::max(seen_, container->lsn);
  position_ = std::move(position);
  births_ = std::move(births);
  return end;
}

Task<Result<>> LeftoverWalk::run(Until until) {
  for (bool end = false; !end;) {
    CO_TRY(end, co_await core_.store.run([this](store::View& view) { return slice(view); }, until));
    // Its other entries are gone by then, as far as they are in the range.
    if (!births_.empty() && (end || !starts_with(position_, births_))) {
      LeftBirths births(core_, id_, page_, upto_, std::move(births_), seen_);
      births_.clear();
      CO_CHECK_OK(co_await births.remove(until));
    }
    co_await core_.reactor.yield();
  }
  co_return Result<>();
}

}  // namespace

Task<Result<>> erase_leftovers(Core& core, Uuid container, const HistoryContent& page, const HistoryCover& cover,
                               Until until, store::Lsn& seen) {
  LeftoverWalk walk(core, container, page, cover, seen);
  co_return co_await walk.run(until);
}

}  // namespace cenote::object
