#include "punch.h"

#include <algorithm>

#include "cenote/base/format.h"
#include "object_count.h"

namespace cenote::object {

void put_punched_range(store::Batch& batch, store::TreeId tree, KeyPath& path, std::uint32_t record_bytes,
                       RecordRange range, Epoch epoch, ArrayFlags& flags) {
  const std::uint64_t window = window_records(record_bytes);
  while (range.count > 0) {
    RecordRange part = first_piece(range, record_bytes);
    ValueBytes value;
    if (part.count == window && range.count >= 2 * window) {
      // No record lies behind the last number, so a punch of all that follows needs no end of a window.
      const bool to_the_end = range.first + range.count == UINT64_MAX;
      part.count = to_the_end ? range.count : range.count - range.count % window;
      append_hole(part.count, value);
      flags.add_wide_punch();
      batch.put(tree, path.wide_punch(part.first, epoch), value);
    } else {
      append_hole(part.count, value);
      const std::uint32_t in_class = extent_class(part.count * record_bytes);
      flags.add_class(in_class);
      batch.put(tree, path.extent(in_class, part.first, epoch), value);
    }
    range = {range.first + part.count, range.count - part.count};
  }
}

bool is_of_whole_windows(RecordRange range, std::uint32_t record_bytes) {
  const std::uint64_t window = window_records(record_bytes);
  const bool to_the_end = range.first + range.count == UINT64_MAX;
  return range.first % window == 0 && range.count >= 2 * window && (to_the_end || range.count % window == 0);
}

Result<> Punch::check(bool exists, ByteView akey) const {
  if (exists || request_.condition == Precondition::kNone) return {};
  return failf(Code::kConditionFailed, "{}: does not exist", describe(request_.object, request_.dkey, akey));
}

/// Where there is nothing at all there is nothing to hide, and no entry is left behind; but what is missing at an
/// incomplete member may come later.
Result<> Punch::punch_level(const Reader& reader, ByteView prefix, ByteView entry) {
  if (member_ != Member::kIncomplete) {
    KeySearch search(reader);
    TRY(const bool found, search.first_from(prefix));
    if (!found || !starts_with(search.key(), prefix)) return {};
  }
  ValueBytes value;
  append_punch(value);
  core_.batch.put(reader.tree, entry, value);
  if (punched_ != nullptr) punched_->add_level(prefix);
  return {};
}

Result<> Punch::punch_object(const Reader& reader, Epoch epoch) {
  if (request_.condition != Precondition::kNone) {
    TRY(const bool exists, object_exists(reader, path_));
    CHECK_OK(check(exists, {}));
  }
  return punch_level(reader, path_.object_prefix(), path_.object_entry(epoch));
}

Result<> Punch::punch_dkey(const Reader& reader, Epoch epoch) {
  if (request_.condition != Precondition::kNone) {
    TRY(const bool exists, dkey_exists(reader, path_));
    CHECK_OK(check(exists, {}));
  }
  return punch_level(reader, path_.dkey_prefix(), path_.dkey_entry(epoch));
}

Result<> Punch::punch_akeys(const Reader& reader, Epoch epoch) {
  TRY(const Epoch hidden, dkey_hidden(reader, path_));
  for (const KeyBytes& akey : request_.akeys) {
    path_.set_akey(akey);
    if (request_.condition != Precondition::kNone) {
      TRY(const AkeyState state, akey_state(reader, path_, hidden));
      CHECK_OK(check(state.exists(), akey));
    }
    CHECK_OK(punch_level(reader, path_.akey_prefix(), path_.akey_entry(epoch)));
  }
  return {};
}

Result<> Punch::punch_ranges(const Reader& reader, Epoch epoch) {
  const KeyBytes& akey = request_.akeys[0];
  path_.set_akey(akey);
  if (member_ == Member::kIncomplete) return punch_unknown_array(reader, epoch);
  TRY(const Epoch hidden, dkey_hidden(reader, path_));
  TRY(const AkeyState state, akey_state(reader, path_, hidden));
  CHECK_OK(check(state.exists(), akey));
  if (!state.exists()) return {};
  if (state.is != AkeyState::Is::kArray)
    return failf(Code::kTypeMismatch, "{}: is a single value", describe(request_.object, request_.dkey, akey));
  ArrayFlags flags = state.flags;
  for (const RecordRange& range : request_.ranges)
    put_punched_range(core_.batch, reader.tree, path_, state.record_bytes, range, epoch, flags);
  if (punched_ != nullptr) punched_->add_ranges(path_.akey_prefix(), flags);
  if (flags == state.flags && !state.inherited) return {};
  ValueBytes value;
  append_array(state.record_bytes, flags, value);
  core_.batch.put(reader.tree, path_.akey_entry(state.born), value);
  return {};
}

/// Where windows end only the birth of the array tells, which may be missing, or be one of earlier times: punched
/// ranges that are found whatever the size of a record, until it comes (late_births.h).
Result<> Punch::punch_unknown_array(const Reader& reader, Epoch epoch) {
  for (const RecordRange& range : request_.ranges) {
    ValueBytes value;
    append_hole(range.count, value);
    core_.batch.put(reader.tree, path_.wide_punch(range.first, epoch), value);
  }
  return {};
}

Result<> Punch::put(const Reader& reader, Epoch whole, Epoch part, TransactionPunches* punched) {
  punched_ = punched;
  const std::uint32_t operations = core_.batch.operations();
  if (request_.level != PunchLevel::kObject) path_.set_dkey(request_.dkey);
  CHECK_OK(put_level(reader, whole, part));
  puts_ = core_.batch.operations() > operations;
  return {};
}

Result<> Punch::put_level(const Reader& reader, Epoch whole, Epoch part) {
  switch (request_.level) {
    case PunchLevel::kObject:
      return punch_object(reader, whole);
    case PunchLevel::kDkey:
      return punch_dkey(reader, whole);
    case PunchLevel::kAkey:
      return punch_akeys(reader, whole);
    case PunchLevel::kRange:
      return punch_ranges(reader, part);
  }
  return {};
}

bool Punch::may_bring(const Container& container) const {
  // Elsewhere there is something of the object in the tree already, or nothing to punch.
  return puts_ && (container.source || member_ == Member::kIncomplete);
}

void Punch::applied(Container& container) {
  if (request_.level == PunchLevel::kRange) {
    core_.akeys.forget(container.tree, path_.akey_prefix());
  } else {
    ++container.punches;
  }
}

namespace {

Result<UpdateReply> attempt(Core& core, const PunchRequest& request, store::View& view, store::Lsn& seen) {
  TRY(Container * container, core.find_container(request.container, seen));
  TRY(const auto known, core.sessions.check(request.id, core.wall_now()));
  if (known) {
    ++core.counters.repeated;
    seen = std::max(seen, known->lsn);
    return UpdateReply{known->epoch};
  }
  CHECK_OK(core.check_decided(request, kEpochLatest));
  core.batch.clear();
  core.batch.set_space_class(store::SpaceClass::kReclaim);
  Core::Stamp stamp{.request = request.id, .epoch = core.clock.next(core.wall_now()), .ceiling = {}};
  Punch punch(core, request);
  CHECK_OK(punch.put(container->reader(view, kEpochLatest), stamp.epoch, stamp.epoch, nullptr));
  if (punch.may_bring(*container)) {
    TRY(stamp.added.objects, count_born(*container, view, {&request.object, 1}));
  }
  core.stamp(*container, stamp);
  if (core.batch.empty()) return UpdateReply{stamp.epoch};
  TRY(const store::Lsn lsn, core.apply_charged(*container, stamp, view));
  punch.applied(*container);
  core.watches.note(container->id, request.object);
  seen = std::max(seen, lsn);
  return UpdateReply{stamp.epoch};
}

}  // namespace

Task<Result<UpdateReply>> punch(Core& core, const PunchRequest& request, Until until, store::Lsn& seen) {
  CO_CHECK_OK(validate(request));
  ++core.counters.punches;
  co_return co_await core.store.run(
      [&](store::View& view) {
        auto result = attempt(core, request, view, seen);
        seen = std::max(seen, view.seen());
        return result;
      },
      until);
}

}  // namespace cenote::object
