#include "merge.h"

#include <algorithm>
#include <functional>

#include "cenote/base/codec.h"
#include "merge_window.h"

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

/// The key of an entry of an object, dkey or akey.
PathBytes level_entry(ByteView prefix, Epoch epoch) {
  PathBytes key(prefix);
  key.resize(prefix.size() + 9);
  key[prefix.size()] = std::byte{0};
  store_be(key.data() + prefix.size() + 1, ~epoch.value());
  return key;
}

}  // namespace

Epoch Merge::Place::hidden(Epoch reader) const {
  const auto* found = std::ranges::lower_bound(punches, reader, std::greater());
  return found == punches.end() ? kEpochZero : *found;
}

Epoch Merge::Place::first_at_or_after(Epoch epoch) const {
  const auto* found = std::ranges::upper_bound(punches, epoch, std::greater());
  return found == punches.begin() ? kEpochLatest : *(found - 1);
}

void Merge::State::keep(Epoch epoch) {
  for (Place* place : {&object, &dkey, &akey}) place->oldest_kept = std::min(place->oldest_kept, epoch);
}

Result<bool> Merge::start(store::View& view) {
  const auto found = core_.containers.find(container_);
  if (found == core_.containers.end()) return false;
  Container& container = found->second;
  // Later updates are above both numbers, also after a restart; only so may the past be closed.
  bound_ = std::min({bound_, core_.clock.last(), core_.clock.ceiling()});
  tree_ = container.tree;
  eras_ = Eras(container.retained(), bound_);
  ancestors_ = container.ancestors;
  inherited_ = container.source ? container.source->epoch : kEpochZero;
  releases_ = container.releases;
  rollbacks_ = container.rollbacks;
  relinks_ = container.relinks;
  interrupted_ = !container.rolled_back.empty();
  if (interrupted_ || rests(container)) return false;
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
  interrupted_ = container.rollbacks != rollbacks_ || container.relinks != relinks_;
  if (interrupted_ || rests(container)) return true;
  const Reader reader{view, tree_, bound_};
  core_.batch.clear();
  core_.batch.set_space_class(store::SpaceClass::kReclaim);
  removal_ = {};
  emptied_.clear();
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
    TRY(const std::uint64_t objects, emptied_.count(view, tree_));
    CHECK_OK(core_.apply_refunded(container, {.bytes = removal_.bytes, .objects = objects}, view));
    core_.counters.merged_entries += removal_.entries;
    core_.counters.reclaimed_blocks += removal_.blocks;
  }
  state_ = std::move(state);
  if (done && what_ == What::kAll) container.merged(bound_, releases_);
  if (done) container.thinned = bound_;
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
  emptied_.removed(key);
  ++removal_.entries;
}

void Merge::remove_fact(ByteView key) {
  if (what_ == What::kAll) remove(key);
}

Result<> Merge::remove_hidden(ByteView key, ByteView value) {
  if (what_ == What::kHiddenData) {
    TRY(const Entry entry, decode_entry(value));
    if (!entry.holds_data()) return {};
  }
  return remove_data(key, value);
}

Result<> Merge::remove_data(ByteView key, ByteView value) {
  TRY(const Entry entry, decode_entry(value));
  remove(key);
  if (!entry.holds_data()) return {};
  removal_.bytes += entry.bytes;
  release(entry.extents().view());
  return {};
}

/// Whether an ancestor has anything below a punch, which only the punch may hide.
Result<bool> Merge::hides_inherited(const Reader& reader, ByteView prefix) const {
  for (const Layer& ancestor : ancestors_) {
    store::Cursor cursor(reader.view, ancestor.tree);
    TRY(const bool found, cursor.seek(prefix));
    if (found && starts_with(cursor.key(), prefix)) return true;
  }
  return false;
}

/// The pass leaves an object, dkey or akey: punches that hide nothing any more go. False: the slice is full before.
Result<bool> Merge::leave(const Reader& reader, Place& place) {
  if (!place.punches.empty()) {
    TRY(const bool needed, hides_inherited(reader, place.prefix));
    if (needed) place.oldest_kept = std::min(place.oldest_kept, inherited_);
  }
  for (; !place.punches.empty(); place.punches.pop_back()) {
    if (place.punches.back() >= place.oldest_kept) continue;
    if (removal_.full()) return false;
    remove_fact(level_entry(place.prefix, place.punches.back()));
  }
  place = {};
  return true;
}

Result<bool> Merge::step_keys(const Reader& reader, State& state) {
  store::Cursor cursor(reader.view, tree_);
  TRY(const bool found, cursor.seek(state.position));
  const ByteView key = found ? cursor.key() : ByteView();
  for (Place* place : {&state.dkey, &state.object}) {
    if (place->prefix.empty() || starts_with(key, place->prefix)) continue;
    TRY(const bool left, leave(reader, *place));
    if (!left) return false;
  }
  if (!found) return true;
  TRY(const ParsedKey parsed, parse_key(key));
  if (state.object.prefix.empty()) state.object.prefix.assign(key.first(KeyPath::kObjectEnd));
  if (parsed.level != Level::kObject && state.dkey.prefix.empty()) state.dkey.prefix.assign(key.first(parsed.dkey_end));
  if (parsed.level != Level::kAkey) {
    CHECK_OK(step_level(reader, state, parsed));
    return false;
  }
  state.akey.prefix.assign(key.first(parsed.akey_end));
  CHECK_OK(start_akey(reader, state));
  return false;
}

/// The punches of an object or dkey: the newest of each era counts, those before it go.
Result<> Merge::step_level(const Reader& reader, State& state, const ParsedKey& key) {
  const bool object = key.level == Level::kObject;
  KeyPath path = path_of(key);
  SmallVector<Epoch, 1>& punches = object ? state.object.punches : state.dkey.punches;
  punches.clear();
  const PathBytes start(object ? path.object_entry(bound_) : path.dkey_entry(bound_));
  const ByteView prefix = start.view().first(start.size() - 8);
  store::Cursor cursor(reader.view, tree_);
  TRY(bool more, cursor.seek(start));
  while (more && starts_with(cursor.key(), prefix)) {
    // A slice that is full ends here; the next one finds what is left.
    if (removal_.full()) return {};
    const Epoch epoch = epoch_of(cursor.key());
    const std::size_t era = eras_.of(epoch);
    const bool newest = punches.empty() || eras_.of(punches.back()) != era;
    if (newest && (object || epoch > state.object.hidden(eras_.end(era)))) {
      punches.push_back(epoch);
    } else {
      remove_fact(cursor.key());
    }
    TRY(more, cursor.next());
  }
  state.position.assign(object ? path.below_object() : path.below_dkey());
  return {};
}

/// Up to where the punches of object and dkey hide what the reader of an era would see.
Epoch Merge::hidden_above(const State& state, std::size_t era) const {
  const Epoch reader = eras_.end(era);
  return std::max(state.object.hidden(reader), state.dkey.hidden(reader));
}

/// The same with what happened to the akey itself.
Epoch Merge::hidden(State& state, std::size_t era) const {
  if (state.hidden_era == era) return state.hidden;
  const Epoch reader = eras_.end(era);
  const auto* turn = std::ranges::lower_bound(state.turns, reader, std::greater(), &Turn::epoch);
  state.hidden = std::max(hidden_above(state, era), turn == state.turns.end() ? kEpochZero : turn->hides);
  state.hidden_era = era;
  return state.hidden;
}

/// Births and punches of an akey: the newest of each era counts, if nothing above the akey hides it.
Result<> Merge::start_akey(const Reader& reader, State& state) {
  TRY(KeyPath path, path_of_akey(state.akey.prefix));
  state.akey.punches.clear();
  state.akey.oldest_kept = kEpochLatest;
  state.turns.clear();
  state.lives.clear();
  const PathBytes start(path.akey_entry(bound_));
  const ByteView prefix = start.view().first(start.size() - 8);
  store::Cursor cursor(reader.view, tree_);
  TRY(bool more, cursor.seek(start));
  for (std::size_t last_era = kNoEra; more && starts_with(cursor.key(), prefix);) {
    if (removal_.full()) return {};
    const Epoch epoch = epoch_of(cursor.key());
    const std::size_t era = eras_.of(epoch);
    TRY(const Entry entry, decode_entry(cursor.value()));
    const bool counts = era != last_era && epoch > hidden_above(state, era);
    if (counts && entry.type == EntryType::kPunch) {
      state.turns.push_back({epoch, epoch});
      state.akey.punches.push_back(epoch);
    } else if (counts) {
      take_birth(state, epoch, entry.record_bytes);
    } else {
      remove_fact(cursor.key());
    }
    last_era = era;
    TRY(more, cursor.next());
  }
  state.hidden_era = state.single_era = state.sweep_era = kNoEra;
  state.wide_punches = state.overlaps = state.skipped_window = false;
  state.sweep_class = UINT32_MAX;
  state.sweep_first = UINT64_MAX;
  state.sweep_covered = state.sweep_end = state.window = 0;
  state.life = 0;
  state.position.assign(path.kind_prefix(Kind::kWidePunch));
  state.phase = Phase::kSweep;
  return {};
}

void Merge::take_birth(State& state, Epoch born, std::uint32_t record_bytes) {
  Epoch death = std::min(state.object.first_at_or_after(born), state.dkey.first_at_or_after(born));
  if (!state.turns.empty()) death = std::min(death, state.turns.back().epoch);
  Epoch last = bound_;
  if (death != kEpochLatest) {
    // It counts in its own era, so what ended it belongs to a later one.
    const std::size_t era = eras_.of(death);
    ASSERT(era > eras_.of(born));
    last = eras_.end(era - 1);
  }
  state.lives.push_back({born, last, record_bytes});
  // What is older than the birth belongs to an earlier life of the akey.
  state.turns.push_back({born, Epoch(born.value() - 1)});
  state.keep(born);
}

Result<> Merge::step_sweep(const Reader& reader, State& state) {
  store::Cursor cursor(reader.view, tree_);
  TRY(bool more, cursor.seek(state.position));
  for (std::uint32_t i = 0; i < kSweptPerStep; ++i) {
    if (!more || !starts_with(cursor.key(), state.akey.prefix)) return end_sweep(reader, state);
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
  const std::size_t era = eras_.of(key.epoch);
  // Punched ranges of what never was an array come from an incomplete member, which could not know.
  if (key.epoch <= hidden(state, era) || (key.kind == Kind::kWidePunch && state.lives.empty()))
    return remove_hidden(raw_key, value);
  if (key.kind == Kind::kWidePunch) {
    state.wide_punches = state.overlaps = true;
    return {};
  }
  if (key.kind == Kind::kSingle) {
    if (state.single_era == era) return remove_data(raw_key, value);
    state.single_era = era;
    state.keep(key.epoch);
    return {};
  }
  return sweep_extent(state, key, raw_key, value);
}

Result<> Merge::sweep_extent(State& state, const ParsedKey& key, ByteView raw_key, ByteView value) {
  const std::size_t era = eras_.of(key.epoch);
  TRY(const Entry entry, decode_entry(value));
  const std::uint64_t end = key.first + entry.records;
  if (state.sweep_class != key.extent_class) {
    state.overlaps = state.overlaps || state.sweep_class != UINT32_MAX;
    state.sweep_class = key.extent_class;
    state.sweep_first = UINT64_MAX;
    state.sweep_end = 0;
  }
  if (state.sweep_first == key.first && state.sweep_era == era) {
    // An older version with the same start: covered unless it is longer.
    if (end <= state.sweep_covered) return remove_hidden(raw_key, value);
  } else {
    state.sweep_first = key.first;
    state.sweep_era = era;
    state.sweep_covered = 0;
  }
  state.overlaps = state.overlaps || key.first < state.sweep_end || entry.type == EntryType::kHole;
  state.sweep_covered = std::max(state.sweep_covered, end);
  state.sweep_end = std::max(state.sweep_end, end);
  state.keep(key.epoch);
  return {};
}

Result<> Merge::end_sweep(const Reader& reader, State& state) {
  if (!state.overlaps || state.lives.empty()) return leave_akey(reader, state);
  state.phase = Phase::kWindows;
  return {};
}

Result<> Merge::leave_akey(const Reader& reader, State& state) {
  const Bytes next = after_prefix(state.akey.prefix);
  TRY(const bool left, leave(reader, state.akey));
  if (!left) return {};
  state.position.assign(next);
  state.phase = Phase::kKeys;
  return {};
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
  if (nearest) *nearest -= *nearest % window_records(state.lives[state.life].record_bytes);
  return nearest;
}

Result<> Merge::step_windows(const Reader& reader, State& state) {
  TRY(KeyPath path, path_of_akey(state.akey.prefix));
  TRY(const auto next, next_window(reader, state, path));
  if (next)
    return merge_window(reader, state, path,
                        first_piece({*next, UINT64_MAX - *next}, state.lives[state.life].record_bytes));
  state.window = 0;
  if (++state.life < state.lives.size()) return {};
  state.position.assign(path.kind_prefix(Kind::kWidePunch));
  state.phase = Phase::kWide;
  return {};
}

Result<> Merge::merge_window(const Reader& reader, State& state, KeyPath& path, RecordRange range) {
  Window window{.life = state.lives[state.life], .first = range.first, .end = range.first + range.count, .items = {}};
  TRY(const bool whole, read_extents(reader, path, window));
  if (!whole) {
    state.skipped_window = true;
    state.window = window.end;
    return {};
  }
  if (state.wide_punches) CHECK_OK(read_wide_punches(reader, path, window));
  window.resolve();
  // Data first: a punched range may go only after everything older that it hides.
  TRY(const bool hidden_gone, remove_hidden_data(reader, path, window));
  if (!hidden_gone) return {};
  if (what_ == What::kHiddenData) {
    state.window = window.end;
    return {};
  }
  TRY(const bool trimmed, trim_extents(reader, path, window));
  if (trimmed && remove_idle_holes(path, window)) state.window = window.end;
  return {};
}

/// False: the window is too crowded for one slice.
Result<bool> Merge::read_extents(const Reader& reader, KeyPath& path, Window& window) {
  const std::uint64_t looked_at_before = removal_.looked_at;
  for (std::uint32_t extent_class = 0; extent_class < kExtentClasses; ++extent_class) {
    store::Cursor cursor(reader.view, tree_);
    TRY(bool more, cursor.seek(path.extent(extent_class, window.first, kEpochLatest)));
    while (more && starts_with(cursor.key(), path.kind_prefix(Kind::kExtent, extent_class))) {
      TRY(const ParsedKey key, parse_key(cursor.key()));
      if (key.first >= window.end) break;
      if (window.lived(key.epoch)) {
        TRY(const Entry entry, decode_entry(cursor.value()));
        window.items.push_back({.first = key.first,
                                .end = key.first + entry.records,
                                .epoch = key.epoch,
                                .era = eras_.of(key.epoch),
                                .extent_class = extent_class,
                                .hole = entry.type == EntryType::kHole});
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

Result<> Merge::read_wide_punches(const Reader& reader, KeyPath& path, Window& window) {
  store::Cursor cursor(reader.view, tree_);
  TRY(bool more, cursor.seek(path.kind_prefix(Kind::kWidePunch)));
  while (more && starts_with(cursor.key(), path.kind_prefix(Kind::kWidePunch))) {
    TRY(const ParsedKey key, parse_key(cursor.key()));
    if (key.first >= window.end) break;
    TRY(const Entry entry, decode_entry(cursor.value()));
    if (window.lived(key.epoch) && key.first + entry.records > window.first)
      window.items.push_back({.first = key.first,
                              .end = key.first + entry.records,
                              .epoch = key.epoch,
                              .era = eras_.of(key.epoch),
                              .hole = true,
                              .wide = true});
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

void Merge::release(std::span<const store::Extent> extents) {
  for (const store::Extent& extent : extents) {
    core_.batch.release(extent);
    removal_.blocks += extent.blocks;
    ++removal_.extents;
  }
}

/// False: the slice is full before all are removed.
bool Merge::remove_idle_holes(KeyPath& path, const Window& window) {
  for (const Item& item : window.items) {
    if (!item.hole || item.wide || window.needs(item)) continue;
    // It may hide records of the array that lie in the tree of an ancestor.
    if (item.visible && window.life.born <= inherited_) continue;
    if (removal_.full()) return false;
    remove(path.extent(item.extent_class, item.first, item.epoch));
  }
  return true;
}

/// Whether the array lived before the era of a punch of whole windows, so that snapshots may keep what it hides.
bool Merge::covers_older_era(const State& state, Epoch punch) const {
  return std::ranges::any_of(state.lives, [&](const Life& life) {
    return life.born <= punch && punch <= life.last && eras_.of(life.born) < eras_.of(punch);
  });
}

/// What punches of whole windows hide is gone, or kept by snapshots: of those that started at one record in one era the
/// longest newest hides for all.
Result<> Merge::step_wide(const Reader& reader, State& state) {
  if (what_ == What::kHiddenData) return leave_akey(reader, state);
  store::Cursor cursor(reader.view, tree_);
  TRY(bool more, cursor.seek(state.position));
  std::uint64_t first = UINT64_MAX, covered = 0;
  std::size_t era = kNoEra;
  while (more && !state.skipped_window && starts_with(cursor.key(), state.akey.prefix)) {
    TRY(const ParsedKey key, parse_key(cursor.key()));
    if (key.kind != Kind::kWidePunch) break;
    if (removal_.full()) return {};
    if (key.epoch <= bound_) {
      TRY(const Entry entry, decode_entry(cursor.value()));
      const bool same = key.first == first && eras_.of(key.epoch) == era;
      const std::uint64_t end = key.first + entry.records;
      if ((same && end <= covered) || !covers_older_era(state, key.epoch)) {
        remove(cursor.key());
      } else {
        covered = same ? std::max(covered, end) : end;
        first = key.first;
        era = eras_.of(key.epoch);
      }
    }
    TRY(more, cursor.next());
  }
  return leave_akey(reader, state);
}

}  // namespace cenote::object
