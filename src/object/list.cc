#include <algorithm>

#include "cenote/base/codec.h"
#include "cenote/base/format.h"
#include "core.h"

namespace cenote::object {
namespace {

// How much one run does before other work gets its turn. The store keeps all pages that a run met until it ends, so
// this also bounds how much of the page cache a list takes.
constexpr std::uint32_t kStepsPerRun = 32;
constexpr std::uint32_t kAkeysPerStep = 6;

/// A list in the making. It is not of one moment: what was found stays found when an attempt ends at a missing page, so
/// a list of any length makes progress in a cache of any size.
class Listing {
 public:
  /// `shown` may be empty: all is.
  Listing(Core& core, const ListRequest& request, const HistoryFilter& shown)
      : core_(core), request_(request), shown_(shown), path_(request.object) {}

  void start();
  /// Begins one run.
  void refill() { steps_left_ = kStepsPerRun; }
  /// False: run again.
  Result<bool> advance(store::View& view, store::Lsn& seen);
  ListReply take_reply() { return std::move(reply_); }

 private:
  Result<> step(const Reader& reader);
  Result<> step_keys(const Reader& reader);
  Part shown_part(const ObjectId& object, const std::optional<ByteView>& dkey) const {
    return shown_ ? shown_(object, dkey) : Part::kAll;
  }
  Result<bool> find_next_key(const Reader& reader);
  Result<> look_at_akey(const Reader& reader);
  Result<> step_extents(const Reader& reader);
  Result<std::optional<std::uint64_t>> next_extent(const Reader& reader, const AkeyState& array);
  void add_key(ListedKey key);
  void end_key();
  ByteView encoded_anchor() const;

  Core& core_;
  const ListRequest& request_;
  const HistoryFilter& shown_;
  KeyPath path_;
  Bytes bounds_;    // every listed key starts with these bytes
  Bytes position_;  // where the next key is looked for
  // The key being looked at, if any.
  std::optional<LiveKeySearch> search_;
  bool at_key_ = false;
  KeyBytes key_;
  std::uint64_t record_ = 0;  // kExtents: where the next extent is looked for
  std::uint64_t reply_bytes_ = 0;
  std::uint32_t steps_left_ = 0;
  bool done_ = false;
  ListReply reply_;
};

void Listing::start() {
  if (request_.level >= ListLevel::kAkeys) path_.set_dkey(request_.dkey);
  switch (request_.level) {
    case ListLevel::kObjects:
      break;
    case ListLevel::kDkeys:
      bounds_ = to_bytes(path_.below_object());
      break;
    case ListLevel::kAkeys:
      bounds_ = to_bytes(path_.below_dkey());
      break;
    case ListLevel::kExtents:
      path_.set_akey(request_.akey);
      if (!request_.anchor.empty()) record_ = load_be<std::uint64_t>(request_.anchor.data());
      return;
  }
  const std::size_t level_bytes = bounds_.size();
  if (!request_.prefix.empty()) {
    PathBytes prefix;
    append_encoded(request_.prefix, KeyFlavour::kLexical, prefix);
    bounds_.insert(bounds_.end(), prefix.begin(), prefix.end() - 2);  // without the terminator
  }
  position_ = bounds_;
  if (request_.anchor.empty()) return;
  Bytes last(bounds_.begin(), bounds_.begin() + static_cast<std::ptrdiff_t>(level_bytes));
  PathBytes encoded;
  if (request_.level == ListLevel::kObjects) {
    encoded.append(request_.anchor.view());
  } else {
    append_encoded(
        request_.anchor,
        request_.level == ListLevel::kDkeys ? request_.object.dkey_flavour() : request_.object.akey_flavour(), encoded);
  }
  last.insert(last.end(), encoded.begin(), encoded.end());
  position_ = std::max(position_, after_prefix(last), [](const Bytes& a, const Bytes& b) { return compare(a, b) < 0; });
}

Result<bool> Listing::advance(store::View& view, store::Lsn& seen) {
  TRY(const Container* container, core_.find_container(request_.container, seen));
  CHECK_OK(check_bound(*container, request_.epoch));
  CHECK_OK(core_.check_decided(request_, request_.epoch));
  const Reader reader = container->reader(view, request_.epoch);
  // Each layer of a clone has pages of its own.
  for (; steps_left_ > 0 && !done_; steps_left_ -= std::min(steps_left_, reader.layers())) CHECK_OK(step(reader));
  return done_;
}

Result<> Listing::step(const Reader& reader) {
  return request_.level == ListLevel::kExtents ? step_extents(reader) : step_keys(reader);
}

Result<bool> Listing::find_next_key(const Reader& reader) {
  KeySearch search(reader);
  TRY(const bool found, search.first_from(position_));
  if (!found || !starts_with(search.key(), bounds_)) {
    done_ = true;
    return false;
  }
  TRY(const ParsedKey parsed, parse_key(search.key()));
  switch (request_.level) {
    case ListLevel::kObjects:
      key_.assign(search.key().first(KeyPath::kObjectEnd));
      position_ = after_prefix(key_);
      if (const Part part = shown_part(parsed.object, std::nullopt); part == Part::kNone) {
        return false;
      } else {
        search_.emplace(key_, part == Part::kSome ? &shown_ : nullptr);
      }
      break;
    case ListLevel::kDkeys:
      key_ = parsed.dkey();
      path_.set_encoded_dkey(parsed.encoded_dkey);
      position_ = after_prefix(path_.dkey_prefix());
      if (shown_part(request_.object, key_.view()) == Part::kNone) return false;
      search_.emplace(path_.dkey_prefix());
      break;
    default:
      key_ = parsed.akey();
      path_.set_encoded_akey(parsed.encoded_akey);
      position_ = after_prefix(path_.akey_prefix());
  }
  at_key_ = true;
  return true;
}

Result<> Listing::step_keys(const Reader& reader) {
  if (!at_key_) {
    TRY(const bool found, find_next_key(reader));
    if (!found) return {};
  }
  if (request_.level == ListLevel::kAkeys) return look_at_akey(reader);
  TRY(const LiveKeySearch::Found found, search_->run(reader, kAkeysPerStep));
  if (found == LiveKeySearch::Found::kMore) return {};
  if (found == LiveKeySearch::Found::kYes) add_key({.key = key_});
  end_key();
  return {};
}

Result<> Listing::look_at_akey(const Reader& reader) {
  TRY(const Epoch hidden, dkey_hidden(reader, path_));
  TRY(const AkeyState state, akey_state(reader, path_, hidden));
  if (state.exists()) {
    const bool array = state.is == AkeyState::Is::kArray;
    add_key({.key = key_, .kind = array ? ValueKind::kArray : ValueKind::kSingle, .record_bytes = state.record_bytes});
  }
  end_key();
  return {};
}

void Listing::add_key(ListedKey key) {
  reply_bytes_ += key.key.size() + 8;
  reply_.keys.push_back(std::move(key));
  if (reply_.keys.size() < request_.limit && reply_bytes_ < kMaxListReplyBytes) return;
  reply_.anchor = reply_.keys.back().key;
  done_ = true;
}

void Listing::end_key() {
  at_key_ = false;
  search_.reset();
}

/// First record of the first extent at or after `record_`, or of the one that covers it.
Result<std::optional<std::uint64_t>> Listing::next_extent(const Reader& reader, const AkeyState& array) {
  std::optional<std::uint64_t> nearest;
  const std::uint64_t window = window_records(array.record_bytes);
  for (std::uint32_t extent_class = 0; extent_class < kExtentClasses; ++extent_class) {
    if (!array.flags.has_class(extent_class)) continue;
    KeySearch search(reader);
    TRY(const bool found, search.first_from(path_.extent(extent_class, record_ - record_ % window, kEpochLatest)));
    if (!found || !starts_with(search.key(), path_.kind_prefix(Kind::kExtent, extent_class))) continue;
    TRY(const ParsedKey key, parse_key(search.key()));
    nearest = std::min(nearest.value_or(UINT64_MAX), key.first);
  }
  return nearest;
}

/// One window.
Result<> Listing::step_extents(const Reader& reader) {
  TRY(const Epoch hidden, dkey_hidden(reader, path_));
  TRY(const AkeyState array, akey_state(reader, path_, hidden));
  if (array.is == AkeyState::Is::kSingle)
    return failf(Code::kTypeMismatch, "{}: is a single value", describe(request_.object, request_.dkey, request_.akey));
  done_ = array.is == AkeyState::Is::kAbsent;
  if (done_) return {};
  TRY(const auto next, next_extent(reader, array));
  done_ = !next.has_value();
  if (done_) return {};
  const std::uint64_t from = std::max(record_, *next);
  done_ = from == UINT64_MAX;
  if (done_) return {};
  const RecordRange part = first_piece({from, UINT64_MAX - from}, array.record_bytes);
  Versions versions;
  Overlay::Slices slices;
  CHECK_OK(collect_versions(reader, path_, array, part, versions));
  versions.overlay().resolve(part.first, part.first + part.count, slices);
  record_ = part.first + part.count;
  for (const Overlay::Slice& slice : slices) {
    if (slice.version == Overlay::kHole) continue;
    const std::uint64_t records = slice.end - slice.first;
    reply_.extents.push_back({{slice.first, records}, slice.epoch, records * array.record_bytes});
    if (reply_.extents.size() < request_.limit) continue;
    std::byte anchor[8];
    store_be(anchor, slice.end);
    reply_.anchor.assign(anchor);
    done_ = true;
    break;
  }
  return {};
}

}  // namespace

Task<Result<ListReply>> list(Core& core, const ListRequest& request, const HistoryFilter& shown, Until until,
                             store::Lsn& seen) {
  CO_CHECK_OK(validate(request));
  CO_CHECK_OK(co_await admit_epoch(core, request.epoch, until, seen));
  Listing listing(core, request, shown);
  listing.start();
  while (true) {
    listing.refill();
    CO_TRY(const bool done, co_await core.store.run(
                                [&listing, &seen](store::View& view) {
                                  auto result = listing.advance(view, seen);
                                  seen = std::max(seen, view.seen());
                                  return result;
                                },
                                until));
    if (done) break;
    co_await core.reactor.yield();
  }
  co_return listing.take_reply();
}

}  // namespace cenote::object
