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

/// An entry that was looked for; the value points into the tree.
struct Newest {
  Epoch epoch;
  std::uint32_t layer = 0;
  ByteView value;
};

Result<std::optional<Newest>> newest_in_tree(const Reader& reader, ByteView seek) {
  store::Cursor cursor(reader.view, reader.tree);
  const ByteView prefix = seek.first(seek.size() - 8);
  PathBytes next;
  while (true) {
    TRY(const bool found, cursor.seek(seek));
    if (!found || !starts_with(cursor.key(), prefix)) return std::optional<Newest>();
    const Epoch epoch = epoch_of(cursor.key());
    if (!reader.is_rolled_back(epoch)) return std::optional<Newest>(Newest{.epoch = epoch, .value = cursor.value()});
    // Older than everything that was taken back together with this one.
    const Epoch older = find_rolled_back(reader.rolled_back, epoch)->after;
    if (next.empty()) next.assign(seek);
    store_be(next.data() + prefix.size(), ~older.value());
    seek = next;
  }
}

/// The newest entry of a level at or before an epoch. `seek` is its key at that epoch.
Result<std::optional<Newest>> newest_entry(const Reader& reader, ByteView seek) {
  TRY(auto newest, newest_in_tree(reader, seek));
  if (newest || reader.below.empty()) return newest;
  PathBytes key(seek);
  for (std::uint32_t i = 1; !newest && i < reader.layers(); ++i) {
    const Reader layer = reader.layer(i);
    store_be(key.data() + key.size() - 8, ~layer.epoch.value());
    TRY(newest, newest_in_tree(layer, key));
    if (newest) newest->layer = i;
  }
  return newest;
}

Result<Epoch> newest_punch(const Reader& reader, ByteView seek) {
  TRY(const auto punch, newest_entry(reader, seek));
  return punch ? punch->epoch : kEpochZero;
}

Result<Entry> entry_of(ByteView key, ByteView value, EntryType type) {
  TRY(const Entry entry, decode_entry(value));
  if (entry.type != type)
    return fail(Code::kCorrupt, "an entry of a container's tree has another type than its key: " + to_hex(key));
  return entry;
}

}  // namespace

template <typename Seek, typename Better>
Result<bool> KeySearch::search(ByteView from, Seek seek, Better better) {
  TRY(bool found, seek(cursor_, from));
  if (found) key_ = cursor_.key();
  for (const Layer& ancestor : reader_.below) {
    store::Cursor cursor(reader_.view, ancestor.tree);
    TRY(const bool there, seek(cursor, from));
    if (!there || (found && !better(compare(cursor.key(), key_)))) continue;
    ancestors_.assign(cursor.key());
    key_ = ancestors_;
    found = true;
  }
  return found;
}

Result<bool> KeySearch::first_from(ByteView from) {
  return search(
      from, [](store::Cursor& cursor, ByteView key) { return cursor.seek(key); }, [](auto order) { return order < 0; });
}

Result<bool> KeySearch::last_up_to(ByteView from) {
  return search(
      from, [](store::Cursor& cursor, ByteView key) { return cursor.seek_at_most(key); },
      [](auto order) { return order > 0; });
}

Result<Epoch> object_hidden(const Reader& reader, KeyPath& path) {
  return newest_punch(reader, path.object_entry(reader.epoch));
}

Result<Epoch> dkey_hidden(const Reader& reader, KeyPath& path) {
  TRY(const Epoch object, object_hidden(reader, path));
  TRY(const Epoch dkey, newest_punch(reader, path.dkey_entry(reader.epoch)));
  return std::max(object, dkey);
}

Result<AkeyState> akey_state(const Reader& reader, KeyPath& path, Epoch hidden) {
  AkeyState state;
  state.hidden = hidden;
  TRY(const auto newest, newest_entry(reader, path.akey_entry(reader.epoch)));
  if (newest) {
    TRY(const Entry entry, decode_entry(newest->value));
    if (entry.type == EntryType::kPunch) {
      state.hidden = std::max(hidden, newest->epoch);
    } else if (newest->epoch > hidden) {
      // A birth newer than every punch: the array lives, and what is older belongs to an earlier life of the akey.
      state.is = AkeyState::Is::kArray;
      state.hidden = Epoch(newest->epoch.value() - 1);
      state.born = newest->epoch;
      state.record_bytes = entry.record_bytes;
      state.flags = entry.flags;
      state.inherited = newest->layer > 0;
      return state;
    }
  }
  TRY(const auto single, newest_entry(reader, path.single(reader.epoch)));
  if (single && single->epoch > state.hidden) state.is = AkeyState::Is::kSingle;
  return state;
}

Result<LiveKeySearch::Found> LiveKeySearch::run(const Reader& reader, std::uint32_t budget) {
  KeySearch search(reader);
  std::optional<KeyPath> path;
  Epoch hidden;
  PathBytes dkey;  // whose `hidden` it is
  while (true) {
    TRY(const bool found, search.first_from(position_));
    if (!found || !starts_with(search.key(), prefix_)) return Found::kNo;
    TRY(const ParsedKey key, parse_key(search.key()));
    if (!path) path.emplace(key.object);
    if (key.level == Level::kObject) {
      position_.assign(path->below_object());
      continue;
    }
    if (!equal(dkey, key.encoded_dkey)) {
      dkey.assign(key.encoded_dkey);
      path->set_encoded_dkey(dkey);
      if (shown_ != nullptr && (*shown_)(key.object, key.dkey().view()) == Part::kNone) {
        position_.assign(after_prefix(path->dkey_prefix()));
        if (--budget == 0) return Found::kMore;
        continue;
      }
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
  const std::uint32_t budget = kBudget / reader.layers();
  LiveKeySearch search(prefix);
  TRY(const LiveKeySearch::Found found, search.run(reader, budget));
  if (found == LiveKeySearch::Found::kMore)
    return failf(Code::kResourceExhausted,
                 "more than {} punched keys in the way: try again when aggregation has passed", budget);
  return found == LiveKeySearch::Found::kYes;
}

}  // namespace

Result<bool> object_exists(const Reader& reader, KeyPath& path) { return exists_below(reader, path.object_prefix()); }
Result<bool> dkey_exists(const Reader& reader, KeyPath& path) { return exists_below(reader, path.dkey_prefix()); }

void Versions::add(std::uint64_t first, std::uint64_t end, Epoch epoch, std::uint32_t extent_class,
                   const Entry& entry) {
  newest_ = std::max(newest_, epoch);
  overlay_.add(first, end, epoch, static_cast<std::uint32_t>(versions_.size()));
  versions_.push_back({first, extent_class, layer_, entry});
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
        versions.add(first, end, epoch, class_, entry);
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
      TRY(const Entry entry, entry_of(cursor.key(), cursor.value(), EntryType::kHole));
      const std::uint64_t first = first_of(cursor.key());
      if (first + entry.records > range.first) versions.add_hole(first, first + entry.records, epoch);
    }
    TRY(more, cursor.next());
  }
  return {};
}

/// What one tree holds.
Result<> collect_in_tree(const Reader& reader, KeyPath& path, const AkeyState& array, RecordRange range,
                         Versions& versions) {
  for (std::uint32_t extent_class = 0; extent_class < kExtentClasses; ++extent_class) {
    if (!array.flags.has_class(extent_class)) continue;
    ClassScan scan(reader, path, array, range, extent_class);
    CHECK_OK(scan.run(versions));
  }
  if (array.flags.has_wide_punches()) CHECK_OK(collect_wide_punches(reader, path, array, range, versions));
  return {};
}

}  // namespace

Result<> collect_versions(const Reader& reader, KeyPath& path, const AkeyState& array, RecordRange range,
                          Versions& versions) {
  versions.set_layer(0);
  CHECK_OK(collect_in_tree(reader, path, array, range, versions));
  for (std::uint32_t i = 1; i < reader.layers(); ++i) {
    // The array was born above this layer, and so above all others below.
    if (reader.below[i - 1].upto <= array.hidden) break;
    versions.set_layer(i);
    CHECK_OK(collect_in_tree(reader.layer(i), path, array, range, versions));
  }
  return {};
}

Result<std::optional<SingleVersion>> find_single(const Reader& reader, KeyPath& path, Epoch hidden) {
  const ByteView seek = path.single(reader.epoch);
  TRY(const auto newest, newest_entry(reader, seek));
  if (!newest || newest->epoch <= hidden) return std::optional<SingleVersion>();
  TRY(const Entry entry, entry_of(seek, newest->value, EntryType::kSingle));
  return std::optional<SingleVersion>(SingleVersion{newest->epoch, newest->layer, entry});
}

}  // namespace cenote::object
