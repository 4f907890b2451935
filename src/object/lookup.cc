#include "lookup.h"

#include <algorithm>

#include "cenote/base/codec.h"
#include "cenote/base/format.h"

namespace cenote::object {
namespace {

/// Epoch at the end of every key.
Epoch epoch_of(ByteView key) { return Epoch(~load_be<std::uint64_t>(key.data() + key.size() - 8)); }
/// First record of a ranged entry.
std::uint64_t first_of(ByteView key) { return load_be<std::uint64_t>(key.data() + key.size() - 16); }

/// Whether a key is a ranged entry of the kind that `prefix` ends with.
bool is_ranged(ByteView key, ByteView prefix) { return key.size() == prefix.size() + 16 && starts_with(key, prefix); }

/// The newest entry of a level at or before an epoch. `seek` is its key at that epoch.
Result<std::optional<Epoch>> newest_entry(const Reader& reader, ByteView seek, store::Cursor& cursor) {
  const ByteView prefix = seek.first(seek.size() - 8);
  PathBytes next;
  while (true) {
    TRY(const bool found, cursor.seek(seek));
    if (!found || !starts_with(cursor.key(), prefix)) return std::optional<Epoch>();
    const Epoch epoch = epoch_of(cursor.key());
    if (!reader.is_rolled_back(epoch)) return epoch;
    // Older than everything that was taken back together with this one.
    const Epoch older = find_rolled_back(reader.rolled_back, epoch)->after;
    if (next.empty()) next.assign(seek);
    store_be(next.data() + prefix.size(), ~older.value());
    seek = next;
  }
}

Result<Entry> entry_at(const store::Cursor& cursor, EntryType type) {
  TRY(const Entry entry, decode_entry(cursor.value()));
  if (entry.type != type)
    return fail(Code::kCorrupt,
                "an entry of a container's tree has another type than its key: " + to_hex(cursor.key()));
  return entry;
}

}  // namespace

Result<Epoch> object_hidden(const Reader& reader, KeyPath& path) {
  store::Cursor cursor(reader.view, reader.tree);
  TRY(const std::optional<Epoch> punch, newest_entry(reader, path.object_entry(reader.epoch), cursor));
  return punch.value_or(kEpochZero);
}

Result<Epoch> dkey_hidden(const Reader& reader, KeyPath& path) {
  TRY(const Epoch object, object_hidden(reader, path));
  store::Cursor cursor(reader.view, reader.tree);
  TRY(const std::optional<Epoch> punch, newest_entry(reader, path.dkey_entry(reader.epoch), cursor));
  return std::max(object, punch.value_or(kEpochZero));
}

Result<AkeyState> akey_state(const Reader& reader, KeyPath& path, Epoch hidden) {
  store::Cursor cursor(reader.view, reader.tree);
  AkeyState state;
  state.hidden = hidden;
  TRY(const std::optional<Epoch> newest, newest_entry(reader, path.akey_entry(reader.epoch), cursor));
  if (newest) {
    TRY(const Entry entry, decode_entry(cursor.value()));
    if (entry.type == EntryType::kPunch) {
      state.hidden = std::max(hidden, *newest);
    } else if (*newest > hidden) {
      // A birth newer than every punch: the array lives, and what is older belongs to an earlier life of the akey.
      state.is = AkeyState::Is::kArray;
      state.hidden = Epoch(newest->value() - 1);
      state.born = *newest;
      state.record_bytes = entry.record_bytes;
      state.flags = entry.flags;
      return state;
    }
  }
  TRY(const std::optional<Epoch> single, newest_entry(reader, path.single(reader.epoch), cursor));
  if (single && *single > state.hidden) state.is = AkeyState::Is::kSingle;
  return state;
}

Result<LiveKeySearch::Found> LiveKeySearch::run(const Reader& reader, std::uint32_t budget) {
  store::Cursor cursor(reader.view, reader.tree);
  std::optional<KeyPath> path;
  Epoch hidden;
  PathBytes dkey;  // whose `hidden` it is
  while (true) {
    TRY(const bool found, cursor.seek(position_));
    if (!found || !starts_with(cursor.key(), prefix_)) return Found::kNo;
    TRY(const ParsedKey key, parse_key(cursor.key()));
    if (!path) path.emplace(key.object);
    if (key.level == Level::kObject) {
      position_.assign(path->below_object());
      continue;
    }
    if (!equal(dkey, key.encoded_dkey)) {
      dkey.assign(key.encoded_dkey);
      path->set_encoded_dkey(dkey);
      const Level level = key.level;
      const KeyBytes akey(key.encoded_akey);
      TRY(hidden, dkey_hidden(reader, *path));
      if (level == Level::kDkey) {
        position_.assign(path->below_dkey());
        continue;
      }
      path->set_encoded_akey(akey);
    } else if (key.level == Level::kDkey) {
      position_.assign(path->below_dkey());
      continue;
    } else {
      path->set_encoded_akey(key.encoded_akey);
    }
    TRY(const AkeyState state, akey_state(reader, *path, hidden));
    if (state.exists()) return Found::kYes;
    position_.assign(after_prefix(path->akey_prefix()));
    if (--budget == 0) return Found::kMore;
  }
}

namespace {

Result<bool> exists_below(const Reader& reader, ByteView prefix) {
  // More than this many punched akeys in a row would keep an attempt from ever fitting a small page cache.
  constexpr std::uint32_t kBudget = 2048;
  LiveKeySearch search(prefix);
  TRY(const LiveKeySearch::Found found, search.run(reader, kBudget));
  if (found == LiveKeySearch::Found::kMore)
    return failf(Code::kResourceExhausted,
                 "more than {} punched keys in the way: try again when aggregation has passed", kBudget);
  return found == LiveKeySearch::Found::kYes;
}

}  // namespace

Result<bool> object_exists(const Reader& reader, KeyPath& path) { return exists_below(reader, path.object_prefix()); }
Result<bool> dkey_exists(const Reader& reader, KeyPath& path) { return exists_below(reader, path.dkey_prefix()); }

void Versions::add(std::uint64_t first, std::uint64_t end, Epoch epoch, const Entry& entry) {
  newest_ = std::max(newest_, epoch);
  overlay_.add(first, end, epoch, static_cast<std::uint32_t>(versions_.size()));
  versions_.push_back({first, entry});
}

namespace {

/// Adds what one size class holds of `range`.
class ClassScan {
 public:
  ClassScan(const Reader& reader, KeyPath& path, const AkeyState& array, RecordRange range, std::uint32_t extent_class)
      : reader_(reader),
        path_(path),
        array_(array),
        range_(range),
        class_(extent_class),
        cursor_(reader.view, reader.tree) {
    longest_ = class_records(class_, array.record_bytes);
    const std::uint64_t window_start = range.first - range.first % window_records(array.record_bytes);
    from_ = range.first >= longest_ ? std::max(window_start, range.first - longest_ + 1) : window_start;
  }

  Result<> run(Versions& versions) {
    const ByteView start = path_.extent(class_, from_, reader_.epoch);
    const PathBytes prefix(start.first(start.size() - 16));
    TRY(bool more, cursor_.seek(start));
    while (more && is_ranged(cursor_.key(), prefix) && first_of(cursor_.key()) < range_.first + range_.count) {
      CHECK_OK(take(versions));
      TRY(more, advance());
    }
    return {};
  }

 private:
  Result<> take(Versions& versions) {
    const std::uint64_t first = first_of(cursor_.key());
    if (first != at_) {
      at_ = first;
      covered_ = first;
    }
    const Epoch epoch = epoch_of(cursor_.key());
    step_ = Step::kNext;
    if (epoch > reader_.epoch) {
      step_ = Step::kToEpoch;
      return {};
    }
    if (epoch <= array_.hidden) {
      step_ = Step::kPastStart;
      return {};
    }
    if (reader_.is_rolled_back(epoch)) return {};
    TRY(const Entry entry, decode_entry(cursor_.value()));
    if ((entry.type != EntryType::kExtent && entry.type != EntryType::kHole) || entry.records > longest_)
      return fail(Code::kCorrupt, "an extent does not fit its key: " + to_hex(cursor_.key()));
    const std::uint64_t end = first + entry.records;
    // A version that reaches no farther than a newer one with the same start is out of sight.
    if (end > covered_ && end > range_.first) {
      if (entry.type == EntryType::kHole) {
        versions.add_hole(first, end, epoch);
      } else {
        versions.add(first, end, epoch, entry);
      }
    }
    covered_ = std::max(covered_, end);
    if (covered_ >= range_.first + range_.count || covered_ - first >= longest_) step_ = Step::kPastStart;
    return {};
  }

  // The next entry is usually the one wanted; a seek is made only where it is not.
  Result<bool> advance() {
    const std::uint64_t start = at_;
    TRY(const bool more, cursor_.next());
    if (!more || step_ == Step::kNext || !is_ranged(cursor_.key(), path_.kind_prefix(Kind::kExtent, class_)) ||
        first_of(cursor_.key()) != start)
      return more;
    if (step_ == Step::kToEpoch) {
      if (epoch_of(cursor_.key()) <= reader_.epoch) return true;
      return cursor_.seek(path_.extent(class_, start, reader_.epoch));
    }
    return cursor_.seek(path_.extent(class_, start + 1, kEpochLatest));
  }

  enum class Step : std::uint8_t { kNext, kToEpoch, kPastStart };
  const Reader& reader_;
  KeyPath& path_;
  const AkeyState& array_;
  RecordRange range_;
  std::uint32_t class_;
  store::Cursor cursor_;
  std::uint64_t longest_ = 0;
  std::uint64_t from_ = 0;
  std::uint64_t at_ = UINT64_MAX;
  std::uint64_t covered_ = 0;
  Step step_ = Step::kNext;
};

Result<> collect_wide_punches(const Reader& reader, KeyPath& path, const AkeyState& array, RecordRange range,
                              Versions& versions) {
  store::Cursor cursor(reader.view, reader.tree);
  const PathBytes prefix(path.kind_prefix(Kind::kWidePunch));
  TRY(bool more, cursor.seek(prefix));
  while (more && is_ranged(cursor.key(), prefix) && first_of(cursor.key()) < range.first + range.count) {
    const Epoch epoch = epoch_of(cursor.key());
    if (epoch <= reader.epoch && epoch > array.hidden && !reader.is_rolled_back(epoch)) {
      TRY(const Entry entry, entry_at(cursor, EntryType::kHole));
      const std::uint64_t first = first_of(cursor.key());
      if (first + entry.records > range.first) versions.add_hole(first, first + entry.records, epoch);
    }
    TRY(more, cursor.next());
  }
  return {};
}

}  // namespace

Result<> collect_versions(const Reader& reader, KeyPath& path, const AkeyState& array, RecordRange range,
                          Versions& versions) {
  for (std::uint32_t extent_class = 0; extent_class < kExtentClasses; ++extent_class) {
    if (!array.flags.has_class(extent_class)) continue;
    ClassScan scan(reader, path, array, range, extent_class);
    CHECK_OK(scan.run(versions));
  }
  if (array.flags.has_wide_punches()) CHECK_OK(collect_wide_punches(reader, path, array, range, versions));
  return {};
}

Result<std::optional<SingleVersion>> find_single(const Reader& reader, KeyPath& path, Epoch hidden) {
  store::Cursor cursor(reader.view, reader.tree);
  TRY(const std::optional<Epoch> epoch, newest_entry(reader, path.single(reader.epoch), cursor));
  if (!epoch || *epoch <= hidden) return std::optional<SingleVersion>();
  TRY(const Entry entry, entry_at(cursor, EntryType::kSingle));
  return std::optional<SingleVersion>(SingleVersion{*epoch, entry});
}

}  // namespace cenote::object
