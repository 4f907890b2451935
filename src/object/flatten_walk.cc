#include "flatten_walk.h"

#include <algorithm>

namespace cenote::object {
namespace {

/// One request fetches the parts of a step, and one puts them.
constexpr std::size_t kMostParts = 128;
static_assert(kMostParts <= kMaxRangesPerRequest && kMostParts <= kMaxPiecesPerUpdate);
/// Records that more versions than this may cover are looked at in smaller pieces, which are also stored as such.
constexpr std::uint32_t kMostVersions = 1024;
constexpr std::uint64_t kThinning = 16;

/// Of the reader's layers, all but its own.
Reader ancestors_of(const Reader& reader) {
  const Reader nearest = reader.layer(1);
  return {reader.view, nearest.tree, nearest.epoch, nearest.rolled_back, reader.below.subspan(1)};
}

class Step {
 public:
  Step(const Reader& reader, FlattenPlace& place, FlattenStep& step)
      : reader_(reader), ancestors_(ancestors_of(reader)), place_(place), step_(step) {}

  Result<bool> run();

 private:
  Result<bool> find_akey();
  Result<> enter();
  Result<> look_at_single();
  Result<> look_at_array();
  Result<std::optional<std::uint64_t>> next_record();
  Result<bool> is_crowded(RecordRange range);
  Result<std::uint32_t> count_versions(const Reader& layer, RecordRange range, std::uint32_t most);
  void leave();

  const Reader& reader_;
  const Reader ancestors_;
  FlattenPlace& place_;
  FlattenStep& step_;
};

Result<bool> Step::run() {
  step_.parts.clear();
  step_.state = {};
  if (place_.akey.empty()) {
    TRY(const bool more, find_akey());
    if (!more || place_.akey.empty()) return more;
  }
  CHECK_OK(enter());
  TRY(const Epoch hidden, dkey_hidden(reader_, step_.path));
  TRY(step_.state, akey_state(reader_, step_.path, hidden));
  switch (step_.state.is) {
    case AkeyState::Is::kAbsent:
      leave();
      break;
    case AkeyState::Is::kSingle:
      CHECK_OK(look_at_single());
      break;
    case AkeyState::Is::kArray:
      CHECK_OK(look_at_array());
      break;
  }
  return true;
}

/// The next akey of which an ancestor holds anything; or past the punches of an object or dkey. False: the end.
Result<bool> Step::find_akey() {
  KeySearch search(ancestors_);
  TRY(const bool found, search.first_from(place_.position));
  if (!found) return false;
  TRY(const ParsedKey key, parse_key(search.key()));
  KeyPath path(key.object);
  if (key.level == Level::kObject) {
    place_.position.assign(path.below_object());
    return true;
  }
  path.set_encoded_dkey(key.encoded_dkey);
  if (key.level == Level::kDkey) {
    place_.position.assign(path.below_dkey());
    return true;
  }
  place_.akey.assign(search.key().first(key.akey_end));
  place_.record = 0;
  return true;
}

Result<> Step::enter() {
  // Parsed for its path only, so any entry will do.
  PathBytes entry(place_.akey);
  entry.resize(entry.size() + 9);
  TRY(const ParsedKey key, parse_key(entry));
  step_.object = key.object;
  step_.dkey = key.dkey();
  step_.akey = key.akey();
  step_.path = KeyPath(key.object);
  step_.path.set_encoded_dkey(key.encoded_dkey);
  step_.path.set_encoded_akey(key.encoded_akey);
  return {};
}

void Step::leave() {
  place_.position.assign(after_prefix(place_.akey));
  place_.akey.clear();
}

Result<> Step::look_at_single() {
  TRY(const auto single, find_single(reader_, step_.path, step_.state.hidden));
  if (single && single->layer > 0)
    step_.parts.push_back(
        {.records = {}, .epoch = single->epoch, .bytes = single->entry.bytes, .whole = true, .entry = single->entry});
  leave();
  return {};
}

/// The first record at or after the place that an ancestor has something of, or from the place on if that is in the
/// same window.
Result<std::optional<std::uint64_t>> Step::next_record() {
  std::optional<std::uint64_t> nearest;
  const std::uint64_t window = window_records(step_.state.record_bytes);
  const std::uint64_t window_start = place_.record - place_.record % window;
  for (std::uint32_t extent_class = 0; extent_class < kExtentClasses; ++extent_class) {
    if (!step_.state.flags.has_class(extent_class)) continue;
    KeySearch search(ancestors_);
    TRY(const bool found, search.first_from(step_.path.extent(extent_class, window_start, kEpochLatest)));
    if (!found || !starts_with(search.key(), step_.path.kind_prefix(Kind::kExtent, extent_class))) continue;
    TRY(const ParsedKey key, parse_key(search.key()));
    nearest = std::min(nearest.value_or(UINT64_MAX), key.first);
  }
  if (!nearest) return nearest;
  return std::max(*nearest, place_.record);
}

/// Up to `most` entries of a layer that may cover something of a range.
Result<std::uint32_t> Step::count_versions(const Reader& layer, RecordRange range, std::uint32_t most) {
  std::uint32_t count = 0;
  const std::uint64_t window_start = range.first - range.first % window_records(step_.state.record_bytes);
  for (std::uint32_t extent_class = 0; extent_class < kExtentClasses && count < most; ++extent_class) {
    if (!step_.state.flags.has_class(extent_class)) continue;
    const std::uint64_t longest = class_records(extent_class, step_.state.record_bytes);
    const std::uint64_t from =
        range.first >= longest ? std::max(window_start, range.first - longest + 1) : window_start;
    store::Cursor cursor(layer.view, layer.tree);
    TRY(bool more, cursor.seek(step_.path.extent(extent_class, from, kEpochLatest)));
    while (more && count < most && starts_with(cursor.key(), step_.path.kind_prefix(Kind::kExtent, extent_class))) {
      TRY(const ParsedKey key, parse_key(cursor.key()));
      if (key.first >= range.first + range.count) break;
      ++count;
      TRY(more, cursor.next());
    }
  }
  return count;
}

Result<bool> Step::is_crowded(RecordRange range) {
  std::uint32_t count = 0;
  for (std::uint32_t i = 0; i < reader_.layers() && count < kMostVersions; ++i) {
    TRY(const std::uint32_t more, count_versions(reader_.layer(i), range, kMostVersions - count));
    count += more;
  }
  return count >= kMostVersions;
}

/// What is left of one window of the array, or some of that.
Result<> Step::look_at_array() {
  TRY(const auto next, next_record());
  if (!next || *next == UINT64_MAX) {
    leave();
    return {};
  }
  RecordRange range = first_piece({*next, UINT64_MAX - *next}, step_.state.record_bytes);
  while (range.count > 1) {
    TRY(const bool crowded, is_crowded(range));
    if (!crowded) break;
    range.count = std::max<std::uint64_t>(1, range.count / kThinning);
  }
  Versions versions;
  Overlay::Slices slices;
  CHECK_OK(collect_versions(reader_, step_.path, step_.state, range, versions));
  versions.overlay().resolve(range.first, range.first + range.count, slices);
  place_.record = range.first + range.count;
  for (const Overlay::Slice& slice : slices) {
    if (slice.version == Overlay::kHole || versions[slice.version].layer == 0) continue;
    const Version& version = versions[slice.version];
    const RecordRange records{slice.first, slice.end - slice.first};
    step_.parts.push_back({.records = records,
                           .epoch = slice.epoch,
                           .extent_class = version.extent_class,
                           .bytes = records.count * step_.state.record_bytes,
                           .whole = slice.first == version.first && records.count == version.entry.records,
                           .entry = version.entry});
    if (step_.parts.size() < kMostParts) continue;
    place_.record = slice.end;
    break;
  }
  return {};
}

}  // namespace

Result<bool> step_flatten(const Reader& reader, FlattenPlace& place, FlattenStep& step) {
  return Step(reader, place, step).run();
}

}  // namespace cenote::object
