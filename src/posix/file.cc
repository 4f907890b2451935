#include "cenote/posix/file.h"

#include <algorithm>
#include <array>

#include "cenote/base/format.h"
#include "impl.h"
#include "open_file.h"
#include "removal.h"

namespace cenote::posix {
namespace {

// While a file is written, others see when that was at most this late.
constexpr Duration kSaveTimesAfter = std::chrono::seconds(1);
// Reads are told of as with the mount option relatime: when the file was changed since, or after a day.
constexpr Duration kReadTimeHolds = std::chrono::hours(24);
constexpr int kAttempts = 16;

Result<> check_end(std::uint64_t offset, std::uint64_t bytes) {
  if (offset <= kMaxFileBytes && bytes <= kMaxFileBytes - offset) return {};
  return failf(Code::kOutOfRange, "{} bytes at offset {} reach beyond the largest file of {} bytes", bytes, offset,
               kMaxFileBytes);
}

struct Appending {
  bool has_moved = false;
  bool widened = false;
  std::uint64_t offset = 0;
};

Task<Result<>> append_in(async::Container view, Node node, ByteView from, WallTime now, Appending* attempt,
                         Until until) {
  *attempt = {};
  Records records(view);
  FileData data(view, node.object());
  const Place place = node.state()->place;
  CO_TRY(auto entry, co_await records.entry(place, until));
  if (!entry || entry->object != node.object() || !entry->inode) {
    attempt->has_moved = true;
    co_return fail(Code::kNotFound, "the inode is elsewhere");
  }
  CO_TRY(attempt->offset, co_await data.size(entry->inode->is_wide, until));
  CO_CHECK_OK(check_end(attempt->offset, from.size()));
  attempt->widened = entry->inode->is_wide;
  if (!attempt->widened && !FileData::is_narrow(attempt->offset, from.size())) {
    attempt->widened = entry->inode->is_wide = true;
    entry->inode->mtime = entry->inode->ctime = now;
    CO_CHECK_OK(co_await records.put_entry(place, *std::move(entry), Precondition::kNone, until));
  }
  co_return co_await data.write(attempt->offset, from, until);
}

/// Takes the name away, if it still leads to what was created, as it was then.
Task<Result<>> abandon_in(async::Container view, Place place, ObjectId object, std::array<WallTime, 2> ours,
                          std::uint64_t session, std::uint32_t mark, WallTime now, std::optional<Removed>* removed,
                          Until until) {
  removed->reset();
  Records records(std::move(view));
  CO_TRY(auto entry, co_await records.entry(place, until));
  if (!entry || entry->object != object || !entry->inode || entry->inode->links != 1) co_return Result<>();
  // Who takes a file over changes its ctime, before anything else.
  if (std::ranges::find(ours, entry->inode->ctime) == ours.end()) co_return Result<>();
  CO_TRY(*removed, co_await remove_name(records, place, *std::move(entry), session, now, until));
  co_return co_await records.touch(place.object, mark, now, until);
}

/// A zero that stands alone at the end carries the size of a file that was made longer: it counts as a part of the
/// hole.
Task<Result<bool>> last_is_zero(FileData data, std::uint64_t size, bool wide, Until until) {
  Bytes last(1);
  CO_TRY(const std::uint64_t got, co_await data.read(size - 1, last, wide, until));
  co_return got == 1 && last[0] == std::byte{};
}

}  // namespace

Node File::node() const { return state_->node; }

Task<Result<std::uint64_t>> File::read(std::uint64_t offset, MutableBytes into, Until until) {
  const auto state = state_;
  FileSystem::Impl& files = *state->files;
  Node::State& known = *state->node.state();
  const WallTime now = files.now();
  CO_TRY(std::uint64_t got, co_await FileData(files.container, known.object).read(offset, into, known.is_wide, until));
  if (got < into.size() && !known.is_wide) {
    // It ends here, unless another client has written behind the first chunk.
    CO_TRY(const Stored stored, co_await files.load(state->node, until));
    if (stored.inode.is_wide) {
      CO_TRY(got, co_await FileData(files.container, known.object).read(offset, into, true, until));
    }
  }
  known.read_at = now;
  co_return got;
}

Task<Result<>> File::write(std::uint64_t offset, ByteView from, Until until) {
  const auto state = state_;
  FileSystem::Impl& files = *state->files;
  CO_CHECK_OK(check_end(offset, from.size()));
  if (!state->node.state()->is_wide && !FileData::is_narrow(offset, from.size()))
    CO_CHECK_OK(co_await files.widen(state->node, until));
  CO_CHECK_OK(co_await FileData(files.container, state->node.object()).write(offset, from, until));
  if (state->keeps_times) co_return Result<>();
  const WallTime saved_before = state->node.state()->saved_ctime;
  auto noted = co_await files.note_written(state->node, until);
  if (state->node.state()->saved_ctime != saved_before) state->saved = state->node.state()->saved_ctime;
  co_return noted;
}

Task<Result<>> FileSystem::Impl::note_written(Node node, Until until) {
  Node::State& known = *node.state();
  known.written_at = now();
  if (known.times_saved == WallTime{}) known.times_saved = *known.written_at;
  if (*known.written_at - known.times_saved < kSaveTimesAfter) co_return Result<>();
  co_return co_await save_times(node, until);
}

Task<Result<std::uint64_t>> File::append(ByteView from, Until until) {
  const auto state = state_;
  FileSystem::Impl& files = *state->files;
  if (from.size() > kMaxPayloadBytes)
    co_return failf(Code::kOutOfRange, "{} bytes cannot be appended at once: at most {}", from.size(),
                    kMaxPayloadBytes);
  for (int i = 0; i < kAttempts; ++i) {
    Appending attempt;
    const WallTime now = files.now();
    auto appended = co_await files.container.transact(
        [&](async::Container& view) { return append_in(view, state->node, from, now, &attempt, until); }, until);
    if (attempt.has_moved) {
      CO_CHECK_OK(co_await files.relocate(state->node, until));
      continue;
    }
    if (!appended && appended.error() == Code::kUnsupported) {
      // No transaction can ask all targets for the end; so another client's append may come between.
      File self = *this;
      CO_TRY(const std::uint64_t end, co_await self.size(until));
      CO_CHECK_OK(co_await self.write(end, from, until));
      co_return end;
    }
    CO_CHECK_OK(std::move(appended));
    if (attempt.widened) state->node.state()->is_wide = true;
    CO_CHECK_OK(co_await files.note_written(state->node, until));
    co_return attempt.offset;
  }
  co_return failf(Code::kTxRestart, "what has the number {} is renamed all the time", state->node.number());
}

Task<Result<>> File::truncate(std::uint64_t size, Until until) {
  const auto state = state_;
  CO_CHECK_OK(co_await state->files->truncate(state->node, size, until));
  co_return co_await state->files->note_written(state->node, until);
}

Task<Result<>> File::punch(std::uint64_t offset, std::uint64_t bytes, Until until) {
  const auto state = state_;
  FileSystem::Impl& files = *state->files;
  CO_CHECK_OK(check_end(offset, bytes));
  CO_TRY(const Stored stored, co_await files.load(state->node, until));
  CO_CHECK_OK(
      co_await FileData(files.container, state->node.object()).punch(offset, bytes, stored.inode.is_wide, until));
  co_return co_await files.note_written(state->node, until);
}

Task<Result<>> File::extend(std::uint64_t size, Until until) {
  File self = *this;
  CO_TRY(const std::uint64_t before, co_await self.size(until));
  if (before >= size) co_return Result<>();
  co_return co_await self.truncate(size, until);
}

Task<Result<std::uint64_t>> File::size(Until until) {
  const auto state = state_;
  CO_TRY(Stored stored, co_await state->files->load(state->node, until));
  co_return co_await state->files->size_of(std::move(stored.inode), until);
}

Task<Result<std::uint64_t>> File::seek(std::uint64_t offset, SeekTarget target, Until until) {
  const auto state = state_;
  FileSystem::Impl& files = *state->files;
  CO_TRY(const Stored stored, co_await files.load(state->node, until));
  CO_TRY(const std::uint64_t size, co_await files.size_of(stored.inode, until));
  if (offset >= size) co_return failf(Code::kOutOfRange, "offset {} is behind the end, {}", offset, size);
  FileData data(files.container, state->node.object());
  const bool wide = stored.inode.is_wide;
  if (target == SeekTarget::kHole) {
    CO_TRY(const std::uint64_t hole, co_await data.find_hole(offset, wide, until));
    if (offset != size - 1 || hole < size) co_return std::min(hole, size);
    CO_TRY(const bool carries_size, co_await last_is_zero(data, size, wide, until));
    co_return carries_size ? offset : size;
  }
  CO_TRY(const auto found, co_await data.find_data(offset, wide, until));
  bool any = found && *found < size;
  if (any && *found == size - 1) {
    CO_TRY(const bool carries_size, co_await last_is_zero(data, size, wide, until));
    any = !carries_size;
  }
  if (!any) co_return failf(Code::kOutOfRange, "no data from offset {} on", offset);
  co_return *found;
}

Task<Result<>> File::sync(Until until) {
  const auto state = state_;
  Node::State& known = *state->node.state();
  if (known.read_at && !known.written_at) {
    CO_TRY(const Stored stored, co_await state->files->load(state->node, until));
    const bool holds = stored.inode.atime > stored.inode.mtime && *known.read_at - stored.inode.atime < kReadTimeHolds;
    if (holds || state->files->container.snapshot()) {
      known.read_at.reset();
      co_return Result<>();
    }
  }
  co_return co_await state->files->save_times(state->node, until);
}

Task<Result<>> File::close(Until until) {
  const auto state = state_;
  if (state->is_closed) co_return Result<>();
  state->is_closed = true;
  Result<> saved;
  if (!state->node.state()->is_removed) {
    File self = *this;
    saved = co_await self.sync(until);
    // Nobody asks for the times of what is gone.
    if (!saved && saved.error() == Code::kGone) saved = {};
  }
  auto closed = co_await state->files->close_file(state->node, until);
  co_return saved ? std::move(closed) : std::move(saved);
}

Task<Result<>> File::abandon(Until until) {
  const auto state = state_;
  File self = *this;
  FileSystem::Impl& files = *state->files;
  if (!state->created || state->is_closed || state->node.state()->is_removed) co_return co_await self.close(until);
  const auto known = state->node.state();
  known->written_at.reset();
  const Place place = known->place;
  std::optional<Removed> removed;
  const auto session = co_await files.session.enter(place.object, until);
  if (!session) {
    static_cast<void>(co_await self.close(until));
    co_return fail(session.error());
  }
  auto undone = co_await files.container.transact(
      [&](async::Container& view) {
        return abandon_in(view, place, known->object, {*state->created, state->saved}, *session,
                          files.mark_of(place.dkey), files.now(), &removed, until);
      },
      until.no_later_than(files.session.lease_end()));
  if (!undone) files.note_doubt(undone.error(), place.object);
  if (undone && removed) co_await files.removed(std::move(removed->inode), std::move(removed->place), until);
  auto closed = co_await self.close(until);
  co_return undone ? std::move(closed) : std::move(undone);
}

}  // namespace cenote::posix
