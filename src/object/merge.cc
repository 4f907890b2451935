#include "merge.h"

#include <algorithm>

#include "cenote/base/codec.h"

namespace cenote::object {
namespace {

// Steps of one slice: together some tens of microseconds.
constexpr std::uint32_t kStepsPerSlice = 16;
constexpr std::uint32_t kSweptPerStep = 128;
constexpr std::uint64_t kBytesPerSlice = 256u << 10;
/// A window with more versions, or more bytes of them, than this is left alone; the sweep alone thins it out.
constexpr std::size_t kMaxWindowItems = 4096;
constexpr std::uint64_t kMaxWindowBytes = 2u << 20;

Epoch epoch_of(ByteView key) { return Epoch(~load_be<std::uint64_t>(key.data() + key.size() - 8)); }

/// The path of a key's object, dkey and akey.
KeyPath path_of(const ParsedKey& key) {
  KeyPath path(key.object);
  if (!key.encoded_dkey.empty()) path.set_encoded_dkey(key.encoded_dkey);
  if (!key.encoded_akey.empty()) path.set_encoded_akey(key.encoded_akey);
  return path;
}

Result<KeyPath> path_of_akey(ByteView prefix) {
  // Parsed for its path only, so any entry will do.
  PathBytes entry(prefix);
  entry.resize(entry.size() + 9);
  TRY(const ParsedKey parsed, parse_key(entry));
  return path_of(parsed);
}

}  // namespace

Result<bool> Merge::start(store::View& view) {
  const auto found = core_.containers.find(container_);
  if (found == core_.containers.end()) return false;
  Container& container = found->second;
  // Later updates are above both numbers, also after a restart; only so may the past be closed.
  bound_ = std::min({bound_, core_.clock.last(), core_.clock.ceiling()});
  tree_ = container.tree;
  if (bound_ <= container.bound) return true;
  core_.batch.clear();
  core_.batch.set_space_class(store::SpaceClass::kReclaim);
  core_.batch.put(core_.system_tree, container_key(RecordKind::kBound, container_), encode_number(bound_.value()));
  TRY(container.lsn, view.apply(core_.batch));
  container.bound = bound_;
  return true;
}

Result<bool> Merge::slice(store::View& view) {
  const auto found = core_.containers.find(container_);
  if (found == core_.containers.end() || found->second.tree != tree_) return true;
  Container& container = found->second;
  const Reader reader{view, tree_, bound_};
  core_.batch.clear();
  core_.batch.set_space_class(store::SpaceClass::kReclaim);
  removal_ = {};
  State state = state_;
  bool done = false;
  for (std::uint32_t i = 0; i < kStepsPerSlice && !done && !removal_.full() && removal_.looked_at < kBytesPerSlice;
       ++i) {
    const Phase phase = state.phase;
    TRY(done, step(reader, state));
    // The next phase looks at the same entries, and must not find those that this slice is about to remove.
    if (state.phase != phase && phase != Phase::kKeys && removal_.entries > 0) break;
  }
  if (removal_.entries > 0) {
    const auto removed = -static_cast<std::int64_t>(removal_.bytes);
    core_.put_usage(container, removed);
    TRY(container.lsn, view.apply(core_.batch));
    container.logical_bytes += static_cast<std::uint64_t>(removed);
    if (container.account) container.account->refund(removal_.bytes);
    core_.counters.merged_entries += removal_.entries;
    core_.counters.reclaimed_blocks += removal_.blocks;
  }
  state_ = std::move(state);
  if (done) container.merged(bound_);
  return done;
}

Result<bool> Merge::step(const Reader& reader, State& state) {
  switch (state.phase) {
    case Phase::kKeys:
      return step_keys(reader, state);
    case Phase::kSweep:
      CHECK_OK(step_sweep(reader, state));
      break;
    case Phase::kWindows:
      CHECK_OK(step_windows(reader, state));
      break;
    case Phase::kWide:
      CHECK_OK(step_wide(reader, state));
      break;
  }
  return false;
}

void Merge::remove(ByteView key) {
  core_.batch.erase(tree_, key);
  ++removal_.entries;
}

Result<> Merge::remove_data(ByteView key, ByteView value) {
  TRY(const Entry entry, decode_entry(value));
  remove(key);
  if (!entry.holds_data()) return {};
  removal_.bytes += entry.bytes;
  for (const store::Extent& extent : entry.extents()) {
    core_.batch.release(extent);
    removal_.blocks += extent.blocks;
    ++removal_.extents;
  }
  return {};
}

/// The pass leaves an object or dkey: its punch hides nothing any more.
void Merge::leave_level(PathBytes& prefix, PathBytes& punch) {
  if (!punch.empty()) remove(punch);
  prefix.clear();
  punch.clear();
}

Result<bool> Merge::step_keys(const Reader& reader, State& state) {
  store::Cursor cursor(reader.view, tree_);
  TRY(const bool found, cursor.seek(state.position));
  const ByteView key = found ? cursor.key() : ByteView();
  if (!state.dkey.empty() && !starts_with(key, state.dkey)) leave_level(state.dkey, state.dkey_punch);
  if (!state.object.empty() && !starts_with(key, state.object)) leave_level(state.object, state.object_punch);
  if (!found) return true;
  TRY(const ParsedKey parsed, parse_key(key));
  if (state.object.empty()) {
    state.object.assign(key.first(KeyPath::kObjectEnd));
    state.object_hidden = kEpochZero;
  }
  if (parsed.level != Level::kObject && state.dkey.empty()) {
    state.dkey.assign(key.first(parsed.dkey_end));
    state.dkey_hidden = state.object_hidden;
  }
  if (parsed.level != Level::kAkey) {
    CHECK_OK(step_level(reader, state, parsed));
    return false;
  }
  state.akey.assign(key.first(parsed.akey_end));
  CHECK_OK(start_akey(reader, state));
  return false;
}

/// The punches of an object or dkey: the newest old one counts, those before it go.
Result<> Merge::step_level(const Reader& reader, State& state, const ParsedKey& key) {
  const bool object = key.level == Level::kObject;
  KeyPath path = path_of(key);
  Epoch& hidden = object ? state.object_hidden : state.dkey_hidden;
  PathBytes& punch = object ? state.object_punch : state.dkey_punch;
  const PathBytes start(object ? path.object_entry(bound_) : path.dkey_entry(bound_));
  const ByteView prefix = start.view().first(start.size() - 8);
  store::Cursor cursor(reader.view, tree_);
  TRY(bool more, cursor.seek(start));
  while (more && starts_with(cursor.key(), prefix)) {
    // A slice that is full ends here; the next one finds what is left.
    if (removal_.full()) return {};
    const Epoch epoch = epoch_of(cursor.key());
    if (epoch > hidden) {
      hidden = epoch;
      punch.assign(cursor.key());
    } else if (!equal(cursor.key(), punch)) {
      remove(cursor.key());
    }
    TRY(more, cursor.next());
  }
  state.position.assign(object ? path.below_object() : path.below_dkey());
  return {};
}

/// Births and punches of an akey.
Result<> Merge::start_akey(const Reader& reader, State& state) {
  TRY(KeyPath path, path_of_akey(state.akey));
  state.hidden = state.dkey_hidden;
  state.record_bytes = 0;
  state.akey_punch.clear();
  const PathBytes start(path.akey_entry(bound_));
  const ByteView prefix = start.view().first(start.size() - 8);
  store::Cursor cursor(reader.view, tree_);
  TRY(bool more, cursor.seek(start));
  for (bool newest = true; more && starts_with(cursor.key(), prefix); newest = false) {
    if (removal_.full()) return {};
    const Epoch epoch = epoch_of(cursor.key());
    TRY(const Entry entry, decode_entry(cursor.value()));
    const bool counts = newest && epoch > state.hidden;
    if (counts && entry.type == EntryType::kPunch) {
      state.hidden = epoch;
      state.akey_punch.assign(cursor.key());
    } else if (counts) {
      // What is older than the birth belongs to an earlier life of the akey.
      state.record_bytes = entry.record_bytes;
      state.hidden = Epoch(epoch.value() - 1);
    } else {
      remove(cursor.key());
    }
    TRY(more, cursor.next());
  }
  state.kept_single = state.wide_punches = state.overlaps = state.skipped_window = false;
  state.sweep_class = UINT32_MAX;
  state.sweep_first = UINT64_MAX;
  state.sweep_covered = state.sweep_end = state.window = 0;
  state.position.assign(path.kind_prefix(Kind::kWidePunch));
  state.phase = Phase::kSweep;
  return {};
}

Result<> Merge::step_sweep(const Reader& reader, State& state) {
  store::Cursor cursor(reader.view, tree_);
  TRY(bool more, cursor.seek(state.position));
  for (std::uint32_t i = 0; i < kSweptPerStep; ++i) {
    if (!more || !starts_with(cursor.key(), state.akey)) return end_sweep(state);
    if (removal_.full()) return {};
    removal_.looked_at += cursor.key().size() + cursor.value().size();
    CHECK_OK(sweep_entry(state, cursor.key(), cursor.value()));
    state.position.assign(cursor.key());
    state.position.push_back(std::byte{0});
    TRY(more, cursor.next());
  }
  return {};
}

Result<> Merge::sweep_entry(State& state, ByteView raw_key, ByteView value) {
  TRY(const ParsedKey key, parse_key(raw_key));
  if (key.epoch > bound_) return {};
  if (key.epoch <= state.hidden) return remove_data(raw_key, value);
  if (key.kind == Kind::kWidePunch) {
    state.wide_punches = state.overlaps = true;
    return {};
  }
  if (key.kind == Kind::kSingle) {
    if (state.kept_single) return remove_data(raw_key, value);
    state.kept_single = true;
    return {};
  }
  TRY(const Entry entry, decode_entry(value));
  const std::uint64_t end = key.first + entry.records;
  if (state.sweep_class != key.extent_class) {
    state.overlaps = state.overlaps || state.sweep_class != UINT32_MAX;
    state.sweep_class = key.extent_class;
    state.sweep_first = UINT64_MAX;
    state.sweep_end = 0;
  }
  if (state.sweep_first == key.first) {
    // An older version with the same start: covered unless it is longer.
    if (end <= state.sweep_covered) return remove_data(raw_key, value);
  } else {
    state.sweep_first = key.first;
    state.sweep_covered = 0;
  }
  state.overlaps = state.overlaps || key.first < state.sweep_end || entry.type == EntryType::kHole;
  state.sweep_covered = std::max(state.sweep_covered, end);
  state.sweep_end = std::max(state.sweep_end, end);
  return {};
}

Result<> Merge::end_sweep(State& state) {
  if (state.overlaps && state.record_bytes > 0) {
    state.phase = Phase::kWindows;
    return {};
  }
  leave_akey(state);
  return {};
}

void Merge::leave_akey(State& state) {
  if (!state.akey_punch.empty()) remove(state.akey_punch);
  state.akey_punch.clear();
  state.position.assign(after_prefix(state.akey));
  state.phase = Phase::kKeys;
}

/// First record of the first window at or after `state.window` that holds an extent.
Result<std::optional<std::uint64_t>> Merge::next_window(const Reader& reader, const State& state, KeyPath& path) {
  std::optional<std::uint64_t> nearest;
  for (std::uint32_t extent_class = 0; extent_class < kExtentClasses; ++extent_class) {
    store::Cursor cursor(reader.view, tree_);
    TRY(const bool found, cursor.seek(path.extent(extent_class, state.window, kEpochLatest)));
    if (!found || !starts_with(cursor.key(), path.kind_prefix(Kind::kExtent, extent_class))) continue;
    TRY(const ParsedKey key, parse_key(cursor.key()));
    nearest = std::min(nearest.value_or(UINT64_MAX), key.first);
  }
  if (nearest) *nearest -= *nearest % window_records(state.record_bytes);
  return nearest;
}

Result<> Merge::step_windows(const Reader& reader, State& state) {
  TRY(KeyPath path, path_of_akey(state.akey));
  TRY(const auto next, next_window(reader, state, path));
  if (!next) {
    state.position.assign(path.kind_prefix(Kind::kWidePunch));
    state.phase = Phase::kWide;
    return {};
  }
  return merge_window(reader, state, path, first_piece({*next, UINT64_MAX - *next}, state.record_bytes));
}

/// An old version of records of the window.
struct Merge::Item {
  std::uint64_t first = 0, end = 0;
  Epoch epoch;
  std::uint32_t extent_class = 0;
  bool hole = false;
  bool visible = false;
};

/// The old versions of the records of a window, and which of them can be seen.
struct Merge::Window {
  std::uint64_t first = 0, end = 0;
  std::vector<Item> items;
  Overlay overlay;

  void resolve() {
    Overlay::Slices slices;
    overlay.resolve(first, end, slices);
    for (const Overlay::Slice& slice : slices)
      if (slice.version != Overlay::kHole) items[slice.version].visible = true;
  }
  /// Hides something older that would be seen without it.
  bool needs(const Item& hole) const {
    return hole.visible && std::ranges::any_of(items, [&hole](const Item& item) {
             return !item.hole && item.visible && item.epoch < hole.epoch && item.first < hole.end &&
                    item.end > hole.first;
           });
  }
};

Result<> Merge::merge_window(const Reader& reader, State& state, KeyPath& path, RecordRange range) {
  Window window{.first = range.first, .end = range.first + range.count, .items = {}, .overlay = {}};
  TRY(const bool whole, read_extents(reader, state, path, window));
  if (!whole) {
    state.skipped_window = true;
    state.window = window.end;
    return {};
  }
  if (state.wide_punches) CHECK_OK(read_wide_punches(reader, state, path, window));
  window.resolve();
  // Data first: a punched range may go only after everything older that it hides.
  TRY(const bool hidden_gone, remove_hidden_data(reader, path, window));
  if (hidden_gone && remove_idle_holes(path, window)) state.window = window.end;
  return {};
}

/// False: the window is too crowded for one slice.
Result<bool> Merge::read_extents(const Reader& reader, const State& state, KeyPath& path, Window& window) {
  const std::uint64_t looked_at_before = removal_.looked_at;
  for (std::uint32_t extent_class = 0; extent_class < kExtentClasses; ++extent_class) {
    store::Cursor cursor(reader.view, tree_);
    TRY(bool more, cursor.seek(path.extent(extent_class, window.first, kEpochLatest)));
    while (more && starts_with(cursor.key(), path.kind_prefix(Kind::kExtent, extent_class))) {
      TRY(const ParsedKey key, parse_key(cursor.key()));
      if (key.first >= window.end) break;
      if (key.epoch <= bound_ && key.epoch > state.hidden) {
        TRY(const Entry entry, decode_entry(cursor.value()));
        const std::uint64_t end = key.first + entry.records;
        window.overlay.add(key.first, end, key.epoch, static_cast<std::uint32_t>(window.items.size()));
        window.items.push_back({key.first, end, key.epoch, extent_class, entry.type == EntryType::kHole});
      }
      removal_.looked_at += cursor.key().size() + cursor.value().size();
      TRY(more, cursor.next());
      if (window.items.size() > kMaxWindowItems || removal_.looked_at - looked_at_before > kMaxWindowBytes) {
        return false;
      }
    }
  }
  return true;
}

Result<> Merge::read_wide_punches(const Reader& reader, const State& state, KeyPath& path, Window& window) {
  store::Cursor cursor(reader.view, tree_);
  TRY(bool more, cursor.seek(path.kind_prefix(Kind::kWidePunch)));
  while (more && starts_with(cursor.key(), path.kind_prefix(Kind::kWidePunch))) {
    TRY(const ParsedKey key, parse_key(cursor.key()));
    if (key.first >= window.end) break;
    TRY(const Entry entry, decode_entry(cursor.value()));
    if (key.epoch <= bound_ && key.epoch > state.hidden && key.first + entry.records > window.first)
      window.overlay.add(key.first, key.first + entry.records, key.epoch, Overlay::kHole);
    TRY(more, cursor.next());
  }
  return {};
}

/// False: the slice is full before all is removed.
Result<bool> Merge::remove_hidden_data(const Reader& reader, KeyPath& path, const Window& window) {
  for (const Item& item : window.items) {
    if (item.visible || item.hole) continue;
    if (removal_.full()) return false;
    const ByteView key = path.extent(item.extent_class, item.first, item.epoch);
    TRY(const auto value, reader.view.get(tree_, key));
    if (value) CHECK_OK(remove_data(key, *value));
  }
  return true;
}

/// False: the slice is full before all are removed.
bool Merge::remove_idle_holes(KeyPath& path, const Window& window) {
  for (const Item& item : window.items) {
    if (!item.hole || window.needs(item)) continue;
    if (removal_.full()) return false;
    remove(path.extent(item.extent_class, item.first, item.epoch));
  }
  return true;
}

Result<> Merge::step_wide(const Reader& reader, State& state) {
  store::Cursor cursor(reader.view, tree_);
  TRY(bool more, cursor.seek(state.position));
  while (more && !state.skipped_window && starts_with(cursor.key(), state.akey)) {
    TRY(const ParsedKey key, parse_key(cursor.key()));
    if (key.kind != Kind::kWidePunch) break;
    if (removal_.full()) return {};
    if (key.epoch <= bound_) remove(cursor.key());
    TRY(more, cursor.next());
  }
  leave_akey(state);
  return {};
}

Task<Result<>> aggregate_container(Core& core, Uuid id, Epoch bound, bool polite) {
  Merge merge(core, id, bound);
  CO_TRY(bool going, co_await core.store.run([&merge](store::View& view) { return merge.start(view); }));
  while (going) {
    CO_TRY(const bool done, co_await core.store.run([&merge](store::View& view) { return merge.slice(view); }));
    if (done) break;
    CO_CHECK_OK(co_await end_slice(core, polite));
  }
  co_return Result<>();
}

}  // namespace cenote::object
