#include <algorithm>

#include "cenote/base/format.h"
#include "core.h"

namespace cenote::object {
namespace {

class Punch {
 public:
  Punch(Core& core, const PunchRequest& request) : core_(core), request_(request) {}

  Result<UpdateReply> attempt(store::View& view, store::Lsn& seen);

 private:
  // Each checks the condition and adds the entries of the punch to the batch.
  Result<> punch_object(const Reader& reader, KeyPath& path, Epoch epoch);
  Result<> punch_dkey(const Reader& reader, KeyPath& path, Epoch epoch);
  Result<> punch_akeys(const Reader& reader, KeyPath& path, Epoch epoch);
  Result<> punch_ranges(const Reader& reader, KeyPath& path, Epoch epoch);
  Result<> punch_level(const Reader& reader, ByteView prefix, ByteView entry);
  void punch_range(const Reader& reader, KeyPath& path, const AkeyState& array, RecordRange range, Epoch epoch,
                   ArrayFlags& flags);
  Result<> check(bool exists, ByteView akey) const;

  Core& core_;
  const PunchRequest& request_;
};

Result<> Punch::check(bool exists, ByteView akey) const {
  if (exists || request_.condition == Precondition::kNone) return {};
  return failf(Code::kConditionFailed, "{}: does not exist", describe(request_.object, request_.dkey, akey));
}

/// Where there is nothing at all there is nothing to hide, and no entry is left behind.
Result<> Punch::punch_level(const Reader& reader, ByteView prefix, ByteView entry) {
  KeySearch search(reader);
  TRY(const bool found, search.first_from(prefix));
  if (!found || !starts_with(search.key(), prefix)) return {};
  ValueBytes value;
  append_punch(value);
  core_.batch.put(reader.tree, entry, value);
  return {};
}

Result<> Punch::punch_object(const Reader& reader, KeyPath& path, Epoch epoch) {
  if (request_.condition != Precondition::kNone) {
    TRY(const bool exists, object_exists(reader, path));
    CHECK_OK(check(exists, {}));
  }
  return punch_level(reader, path.object_prefix(), path.object_entry(epoch));
}

Result<> Punch::punch_dkey(const Reader& reader, KeyPath& path, Epoch epoch) {
  if (request_.condition != Precondition::kNone) {
    TRY(const bool exists, dkey_exists(reader, path));
    CHECK_OK(check(exists, {}));
  }
  return punch_level(reader, path.dkey_prefix(), path.dkey_entry(epoch));
}

Result<> Punch::punch_akeys(const Reader& reader, KeyPath& path, Epoch epoch) {
  TRY(const Epoch hidden, dkey_hidden(reader, path));
  for (const KeyBytes& akey : request_.akeys) {
    path.set_akey(akey);
    if (request_.condition != Precondition::kNone) {
      TRY(const AkeyState state, akey_state(reader, path, hidden));
      CHECK_OK(check(state.exists(), akey));
    }
    CHECK_OK(punch_level(reader, path.akey_prefix(), path.akey_entry(epoch)));
  }
  return {};
}

Result<> Punch::punch_ranges(const Reader& reader, KeyPath& path, Epoch epoch) {
  TRY(const Epoch hidden, dkey_hidden(reader, path));
  const KeyBytes& akey = request_.akeys[0];
  path.set_akey(akey);
  TRY(const AkeyState state, akey_state(reader, path, hidden));
  CHECK_OK(check(state.exists(), akey));
  if (!state.exists()) return {};
  if (state.is != AkeyState::Is::kArray)
    return failf(Code::kTypeMismatch, "{}: is a single value", describe(request_.object, request_.dkey, akey));
  ArrayFlags flags = state.flags;
  for (const RecordRange& range : request_.ranges) punch_range(reader, path, state, range, epoch, flags);
  if (flags == state.flags && !state.inherited) return {};
  ValueBytes value;
  append_array(state.record_bytes, flags, value);
  core_.batch.put(reader.tree, path.akey_entry(state.born), value);
  return {};
}

/// Parts of one window become entries beside its extents, where readers of the window find them; what covers several
/// whole windows becomes one entry that all readers of the array look at.
void Punch::punch_range(const Reader& reader, KeyPath& path, const AkeyState& array, RecordRange range, Epoch epoch,
                        ArrayFlags& flags) {
  const std::uint64_t window = window_records(array.record_bytes);
  while (range.count > 0) {
    RecordRange part = first_piece(range, array.record_bytes);
    ValueBytes value;
    if (part.count == window && range.count >= 2 * window) {
      // No record lies behind the last number, so a punch of all that follows needs no end of a window.
      const bool to_the_end = range.first + range.count == UINT64_MAX;
      part.count = to_the_end ? range.count : range.count - range.count % window;
      append_hole(part.count, value);
      flags.add_wide_punch();
      core_.batch.put(reader.tree, path.wide_punch(part.first, epoch), value);
    } else {
      append_hole(part.count, value);
      const std::uint32_t in_class = extent_class(part.count * array.record_bytes);
      flags.add_class(in_class);
      core_.batch.put(reader.tree, path.extent(in_class, part.first, epoch), value);
    }
    range = {range.first + part.count, range.count - part.count};
  }
}

Result<UpdateReply> Punch::attempt(store::View& view, store::Lsn& seen) {
  TRY(Container * container, core_.find_container(request_.container, seen));
  TRY(const auto known, core_.sessions.check(request_.id, core_.wall_now()));
  if (known) {
    ++core_.counters.repeated;
    seen = std::max(seen, known->lsn);
    return UpdateReply{known->epoch};
  }
  const Reader reader = container->reader(view, kEpochLatest);
  KeyPath path(request_.object);
  if (request_.level != PunchLevel::kObject) path.set_dkey(request_.dkey);
  core_.batch.clear();
  core_.batch.set_space_class(store::SpaceClass::kReclaim);
  Core::Stamp stamp{.request = request_.id, .epoch = core_.clock.next(core_.wall_now()), .ceiling = {}};
  switch (request_.level) {
    case PunchLevel::kObject:
      CHECK_OK(punch_object(reader, path, stamp.epoch));
      break;
    case PunchLevel::kDkey:
      CHECK_OK(punch_dkey(reader, path, stamp.epoch));
      break;
    case PunchLevel::kAkey:
      CHECK_OK(punch_akeys(reader, path, stamp.epoch));
      break;
    case PunchLevel::kRange:
      CHECK_OK(punch_ranges(reader, path, stamp.epoch));
      break;
  }
  core_.stamp(*container, stamp);
  if (core_.batch.empty()) return UpdateReply{stamp.epoch};
  TRY(const store::Lsn lsn, view.apply(core_.batch));
  core_.stamped(*container, stamp, lsn);
  if (request_.level != PunchLevel::kRange) ++container->punches;
  if (request_.level == PunchLevel::kRange) core_.akeys.forget(container->tree, path.akey_prefix());
  seen = std::max(seen, lsn);
  return UpdateReply{stamp.epoch};
}

}  // namespace

Task<Result<UpdateReply>> punch(Core& core, const PunchRequest& request, Until until, store::Lsn& seen) {
  CO_CHECK_OK(validate(request));
  ++core.counters.punches;
  Punch operation(core, request);
  co_return co_await core.store.run(
      [&operation, &seen](store::View& view) {
        auto result = operation.attempt(view, seen);
        seen = std::max(seen, view.seen());
        return result;
      },
      until);
}

}  // namespace cenote::object
