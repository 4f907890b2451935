#include <algorithm>

#include "cenote/base/format.h"
#include "core.h"

namespace cenote::object {
namespace {

// Windows or dkeys that one run looks at before other work gets its turn; the store keeps their pages until it ends.
constexpr std::uint32_t kStepsPerRun = 32;

/// Looks for the end of an array's data from behind, window by window; without a dkey, in the dkeys from the greatest
/// down. Like a list it keeps what it knows from attempt to attempt.
class EndSearch {
 public:
  /// `shown` may be empty: all is.
  EndSearch(Core& core, const QueryRequest& request, const HistoryFilter& shown)
      : core_(core), request_(request), shown_(shown), path_(request.object) {
    if (!request.dkey.empty()) {
      enter(request.dkey);
    } else {
      below_ = after_prefix(path_.object_prefix());
    }
  }

  /// Begins one run.
  void refill() { steps_left_ = kStepsPerRun; }
  /// False: run again.
  Result<bool> advance(store::View& view, store::Lsn& seen);
  QueryReply take_reply() { return std::move(reply_); }

 private:
  void enter(ByteView dkey) {
    path_.set_dkey(dkey);
    path_.set_akey(request_.akey);
    dkey_.assign(dkey);
    in_dkey_ = true;
    end_ = UINT64_MAX;
  }
  Result<bool> step(const Reader& reader);
  Result<bool> next_dkey(const Reader& reader);
  Result<std::optional<std::uint64_t>> last_extent(const Reader& reader, const AkeyState& array);
  bool leave(const AkeyState* array);

  Core& core_;
  const QueryRequest& request_;
  const HistoryFilter& shown_;
  KeyPath path_;
  Bytes below_;  // dkeys not yet looked at lie below it; empty object prefix successor: the end of the tree
  KeyBytes dkey_;
  bool in_dkey_ = false;
  std::uint64_t end_ = UINT64_MAX;  // no data at or after it
  std::uint32_t steps_left_ = 0;
  QueryReply reply_;
};

Result<bool> EndSearch::advance(store::View& view, store::Lsn& seen) {
  TRY(const Container* container, core_.find_container(request_.container, seen));
  CHECK_OK(check_bound(*container, request_.epoch));
  CHECK_OK(core_.check_decided(request_, request_.epoch));
  const Reader reader = container->reader(view, request_.epoch);
  // Each layer of a clone has pages of its own.
  for (; steps_left_ > 0; steps_left_ -= std::min(steps_left_, reader.layers())) {
    TRY(const bool done, in_dkey_ ? step(reader) : next_dkey(reader));
    if (done) return true;
  }
  return false;
}

/// Enters the greatest dkey below the last one. True: there is none.
Result<bool> EndSearch::next_dkey(const Reader& reader) {
  KeySearch search(reader);
  TRY(const bool found, search.last_up_to(below_));
  if (!found || !starts_with(search.key(), path_.below_object())) return true;
  TRY(const ParsedKey key, parse_key(search.key()));
  const KeyBytes dkey = key.dkey();
  enter(dkey.view());
  below_ = to_bytes(path_.dkey_prefix());
  in_dkey_ = !shown_ || shown_(request_.object, dkey.view()) != Part::kNone;
  return false;
}

/// The array has no (more) data here. True: that is the answer.
bool EndSearch::leave(const AkeyState* array) {
  in_dkey_ = false;
  if (request_.dkey.empty()) return false;
  if (array != nullptr) {
    reply_.exists = true;
    reply_.dkey = dkey_;
    reply_.record_bytes = array->record_bytes;
  }
  return true;
}

Result<std::optional<std::uint64_t>> EndSearch::last_extent(const Reader& reader, const AkeyState& array) {
  std::optional<std::uint64_t> last;
  for (std::uint32_t extent_class = 0; extent_class < kExtentClasses; ++extent_class) {
    if (!array.flags.has_class(extent_class)) continue;
    KeySearch search(reader);
    TRY(const bool found, search.last_up_to(path_.extent(extent_class, end_ - 1, kEpochZero)));
    if (!found || !starts_with(search.key(), path_.kind_prefix(Kind::kExtent, extent_class))) continue;
    TRY(const ParsedKey key, parse_key(search.key()));
    last = std::max(last.value_or(0), key.first);
  }
  return last;
}

/// One window. True: the answer is found.
Result<bool> EndSearch::step(const Reader& reader) {
  TRY(const Epoch hidden, dkey_hidden(reader, path_));
  TRY(const AkeyState array, akey_state(reader, path_, hidden));
  if (array.is == AkeyState::Is::kSingle)
    return failf(Code::kTypeMismatch, "{}: is a single value", describe(request_.object, dkey_, request_.akey));
  if (array.is == AkeyState::Is::kAbsent) return leave(nullptr);
  if (end_ == 0) return leave(&array);
  TRY(const auto last, last_extent(reader, array));
  if (!last) return leave(&array);
  const std::uint64_t window = window_records(array.record_bytes);
  const std::uint64_t window_start = *last - *last % window;
  const RecordRange part = first_piece({window_start, end_ - window_start}, array.record_bytes);
  Versions versions;
  Overlay::Slices slices;
  CHECK_OK(collect_versions(reader, path_, array, part, versions));
  versions.overlay().resolve(part.first, part.first + part.count, slices);
  while (!slices.empty() && slices.back().version == Overlay::kHole) slices.pop_back();
  if (!slices.empty()) {
    reply_.exists = true;
    reply_.dkey = dkey_;
    reply_.record_bytes = array.record_bytes;
    reply_.records = slices.back().end;
    return true;
  }
  end_ = window_start;
  return false;
}

}  // namespace

Task<Result<QueryReply>> query(Core& core, const QueryRequest& request, const HistoryFilter& shown, Until until,
                               store::Lsn& seen) {
  CO_CHECK_OK(validate(request));
  CO_CHECK_OK(co_await admit_epoch(core, request.epoch, until, seen));
  EndSearch search(core, request, shown);
  while (true) {
    search.refill();
    CO_TRY(const bool done, co_await core.store.run(
                                [&search, &seen](store::View& view) {
                                  auto result = search.advance(view, seen);
                                  seen = std::max(seen, view.seen());
                                  return result;
                                },
                                until));
    if (done) break;
    co_await core.reactor.yield();
  }
  co_return search.take_reply();
}

}  // namespace cenote::object
