// Names that go, and what becomes of what they led to.

#include <utility>

#include "cenote/base/format.h"
#include "impl.h"
#include "path.h"
#include "removal.h"

namespace cenote::posix {
namespace {

constexpr int kAttempts = 16;
constexpr std::uint32_t kFreeingTasks = 4;

std::string shown(std::string_view name) { return printable(as_bytes(name), kMaxNameBytes); }

Error no_entry(std::string_view name) { return Error(Code::kNotFound, fmt::format("no entry '{}'", shown(name))); }

struct UnlinkAttempt {
  std::optional<Removed> removed;
};

Task<Result<>> unlink_in(async::Container view, Place place, std::uint64_t session, std::uint32_t mark, WallTime now,
                         UnlinkAttempt* attempt, Until until) {
  *attempt = {};
  Records records(std::move(view));
  CO_TRY(auto entry, co_await records.entry(place, until));
  if (!entry) co_return fail(no_entry(place.dkey));
  if (entry->type == FileType::kDirectory) {
    co_return failf(Code::kIsADirectory, "'{}' is a directory: remove it with everything in it ('cenote fs rm -r')",
                    shown(place.dkey));
  }
  CO_TRY(attempt->removed, co_await remove_name(records, place, *std::move(entry), session, now, until));
  co_return co_await records.touch(place.object, mark, now, until);
}

Task<Result<>> remove_directory_in(async::Container view, Place place, std::uint32_t mark, WallTime now,
                                   std::vector<std::string>* waiting, ObjectId* directory, Until until) {
  waiting->clear();
  Records records(std::move(view));
  CO_TRY(const auto entry, co_await records.entry(place, until));
  if (!entry) co_return fail(no_entry(place.dkey));
  if (entry->type != FileType::kDirectory)
    co_return failf(Code::kNotADirectory, "'{}' is no directory", shown(place.dkey));
  *directory = entry->object;
  auto emptied = co_await remove_empty(records, entry->object, waiting, until);
  if (!emptied && emptied.error() == Code::kNotEmpty && waiting->empty())
    co_return failf(Code::kNotEmpty, "directory '{}' is not empty", shown(place.dkey));
  CO_CHECK_OK(std::move(emptied));
  CO_CHECK_OK(co_await records.remove(place, until));
  co_return co_await records.touch(place.object, mark, now, until);
}

/// Lets what waits in a directory wait in its companion instead.
Task<Result<>> move_removed_in(async::Container view, Place from, bool* gone, Until until) {
  Records records(std::move(view));
  CO_TRY(auto entry, co_await records.entry(from, until));
  *gone = !entry || !entry->inode;
  if (*gone) co_return Result<>();
  entry->inode->has_companion = true;
  const Place kept = Place::in_companion(entry->object);
  CO_CHECK_OK(co_await records.remove(from, until));
  co_return co_await records.put_entry(kept, *std::move(entry), Precondition::kNone, until);
}

/// Nothing can be written, and punching works all the same.
bool no_room_to_write(const Error& error) { return error == Code::kNoSpace || error == Code::kQuotaExceeded; }

}  // namespace

Task<Result<>> FileSystem::unlink(Node directory, std::string name, Until until) {
  Impl& self = *impl_;
  CO_CHECK_OK(validate_name(name));
  CO_CHECK_OK(self.check_changes(directory, name));
  const Place place = Place::of_name(directory.object(), name);
  auto session = co_await self.session.enter(directory.object(), until);
  if (!session && no_room_to_write(session.error())) co_return co_await self.unlink_without_room(place, until);
  CO_TRY(const std::uint64_t number, std::move(session));
  UnlinkAttempt attempt;
  const WallTime now = self.now();
  auto unlinked = co_await self.container.transact(
      [&](async::Container& view) { return unlink_in(view, place, number, self.mark_of(name), now, &attempt, until); },
      until.no_later_than(self.session.lease_end()));
  if (!unlinked && no_room_to_write(unlinked.error())) co_return co_await self.unlink_without_room(place, until);
  if (!unlinked) self.note_doubt(unlinked.error(), directory.object());
  CO_CHECK_OK(std::move(unlinked));
  if (attempt.removed)
    co_await self.removed(std::move(attempt.removed->inode), std::move(attempt.removed->place), until);
  co_return Result<>();
}

/// Where nothing can be written the data goes first, and then the name: an interruption leaves an empty file. Of
/// several names none can go, since the others could not be told.
Task<Result<>> FileSystem::Impl::unlink_without_room(Place place, Until until) {
  CO_TRY(auto entry, co_await records.entry(place, until));
  if (!entry) co_return fail(no_entry(place.dkey));
  if (entry->type == FileType::kDirectory)
    co_return failf(Code::kIsADirectory, "'{}' is a directory", shown(place.dkey));
  const auto state = nodes.find(entry->object);
  if (!entry->inode || (state && state->open_files > 0)) {
    co_return failf(Code::kNoSpace, "'{}' cannot be removed while there is no room to write: {}", shown(place.dkey),
                    entry->inode ? "it is open" : "it has other names");
  }
  CO_CHECK_OK(co_await punch_contents(records, *entry->inode, until));
  co_return co_await records.remove(place, until);
}

Task<Result<>> FileSystem::remove_directory(Node directory, std::string name, Until until) {
  Impl& self = *impl_;
  CO_CHECK_OK(validate_name(name));
  CO_CHECK_OK(self.check_changes(directory, name));
  const Place place = Place::of_name(directory.object(), name);
  for (int i = 0; i < kAttempts; ++i) {
    std::vector<std::string> waiting;
    ObjectId inner;
    const WallTime now = self.now();
    auto removed = co_await self.container.transact(
        [&](async::Container& view) {
          return remove_directory_in(view, place, self.mark_of(name), now, &waiting, &inner, until);
        },
        until);
    if (removed || waiting.empty()) co_return removed;
    CO_CHECK_OK(co_await self.clear_waiting(inner, std::move(waiting), until));
  }
  co_return failf(Code::kTxRestart, "in '{}' something is removed all the time", shown(name));
}

Task<Result<>> FileSystem::Impl::clear_waiting(ObjectId directory, std::vector<std::string> dkeys, Until until) {
  for (const std::string& dkey : dkeys) {
    CO_TRY(const RemovedKey key, parse_removed(dkey));
    const Place place{directory, dkey};
    const auto state = nodes.find(key.object);
    const bool open_here = state && state->open_files > 0;
    bool frees = key.session == session.number() && !open_here;
    if (key.session != session.number()) {
      // Of a session that has no records any more nobody has anything open.
      CO_TRY(const bool known, co_await Session::is_known(records, key.session, until));
      frees = !known;
    }
    if (frees) {
      CO_TRY(auto entry, co_await records.entry(place, until));
      if (entry && entry->inode) CO_CHECK_OK(co_await reclaim(*std::move(entry->inode), place, until));
      continue;
    }
    // Somebody has it open, as far as we know.
    CO_CHECK_OK(co_await Session::put_open(records, key.session, key.object, until));
    bool gone = false;
    CO_CHECK_OK(co_await container.transact(
        [&](async::Container& view) { return move_removed_in(view, place, &gone, until); }, until));
    if (open_here && !gone) keep(*state, Place::in_companion(key.object));
  }
  co_return Result<>();
}

Task<> FileSystem::Impl::removed(Inode inode, Place place, Until until) {
  const auto state = nodes.find(inode.object);
  if (state && state->is_in_use()) {
    keep(*state, std::move(place));
    // What is only held is given back soon, and who removes faster than that waits as below.
    if (state->open_files == 0 && co_await freeing_slots.acquire(1, until)) freeing_slots.release();
    co_return;
  }
  if (state) {
    state->place = place;
    state->is_removed = true;
  }
  const ObjectId directory = place.object;
  // Who removes faster than can be freed waits here.
  if (!co_await freeing_slots.acquire(1, until)) {
    doubt(directory);
    co_return;
  }
  to_free.push_back({std::move(inode), std::move(place)});
  if (freeing_tasks == kFreeingTasks) co_return;
  ++freeing_tasks;
  if (freeing.spawn(free_queued(this))) co_return;
  if (--freeing_tasks > 0) co_return;  // one that runs still comes to it
  freeing_slots.release(to_free.size());
  for (const Removed& waiting : to_free) doubt(waiting.place.object);
  to_free.clear();
}

void FileSystem::Impl::doubt(const ObjectId& directory) {
  constexpr std::size_t kMostDoubts = 65536;
  if (doubtful.size() < kMostDoubts) {
    doubtful[directory] = reactor().now();
  } else {
    session.leave_behind();
  }
}

void FileSystem::Impl::keep(Node::State& state, Place place) {
  state.place = std::move(place);
  state.is_removed = true;
  if (!std::exchange(state.is_kept, true)) ++kept_open;
}

Task<Result<>> FileSystem::Impl::punch_contents(Records records, Inode inode, Until until) {
  if (inode.type == FileType::kFile) {
    if (inode.is_wide) CO_CHECK_OK(co_await records.punch_object(tail_object(inode.object), until));
    CO_CHECK_OK(co_await records.punch_object(inode.object, until));
  }
  if (inode.has_companion) CO_CHECK_OK(co_await records.punch_object(companion_object(inode.object), until));
  co_return Result<>();
}

void FileSystem::Impl::note_doubt(const Error& error, const ObjectId& directory) {
  const bool certain = error == Code::kNotFound || error == Code::kExists || error == Code::kNotADirectory ||
                       error == Code::kIsADirectory || error == Code::kNotEmpty || error == Code::kInvalidArgument ||
                       error == Code::kReadOnly || error == Code::kTxRestart || error == Code::kGone ||
                       error == Code::kConditionFailed;
  if (!certain) doubt(directory);
}

Task<Result<>> FileSystem::Impl::settle_doubts(Until until) {
  const auto doubts = doubtful;
  for (const auto& [directory, since] : doubts) {
    // What was sent may take effect for as long as the session is bound to be alive.
    if (reactor().now() < since + Session::kDeadAfter) continue;
    CO_TRY(const Records::Page waiting,
           co_await records.list(directory, removed_prefix(session.number()), {}, kMaxListEntries, until));
    CO_CHECK_OK(co_await free_waiting(directory, waiting.dkeys, until));
    const auto known = doubtful.find(directory);
    if (waiting.at_end && known != doubtful.end() && known->second == since) doubtful.erase(known);
  }
  co_return Result<>();
}

/// What this session has removed, and has not open.
Task<Result<>> FileSystem::Impl::free_waiting(ObjectId directory, std::vector<std::string> dkeys, Until until) {
  for (const std::string& dkey : dkeys) {
    CO_TRY(const RemovedKey key, parse_removed(dkey));
    const Place place{directory, dkey};
    const auto state = nodes.find(key.object);
    if (state && state->is_in_use()) {
      keep(*state, place);
      continue;
    }
    CO_TRY(auto entry, co_await records.entry(place, until));
    if (entry && entry->inode) CO_CHECK_OK(co_await reclaim(*std::move(entry->inode), place, until));
  }
  co_return Result<>();
}

/// The place last: as long as something is there, somebody will come back to this.
Task<Result<>> FileSystem::Impl::free_removed(Records records, Inode inode, Place place, Until until) {
  const ObjectId object = inode.object;
  CO_CHECK_OK(co_await punch_contents(records, std::move(inode), until));
  auto removed = co_await records.remove(std::move(place), until, Precondition::kPresent);
  if (removed || removed.error() != Code::kConditionFailed) co_return removed;
  // It waited in its companion, which is punched, or somebody has let it wait there meanwhile.
  co_return co_await records.punch_object(companion_object(object), until);
}

Task<Result<>> FileSystem::Impl::reclaim(Inode inode, Place place, Until until) {
  const ObjectId object = inode.object;
  const bool in_companion = place == Place::in_companion(object);
  CO_CHECK_OK(co_await free_removed(records, std::move(inode), std::move(place), until));
  // Where others have moved it there meanwhile, its record goes with the session.
  if (in_companion) co_return co_await session.forget_open(object, until);
  co_return Result<>();
}

Task<Result<>> FileSystem::Impl::close_file(Node node, Until until) {
  const auto& state = node.state();
  ASSERT(state->open_files > 0);
  --state->open_files;
  co_return co_await free_unused(std::move(node), until);
}

Task<Result<>> FileSystem::Impl::free_unused(Node node, Until until) {
  const auto& state = node.state();
  if (state->is_in_use() || !state->is_kept) co_return Result<>();
  state->is_kept = false;
  --kept_open;
  auto stored = co_await load(node, until);
  if (!stored && stored.error() == Code::kGone) co_return Result<>();  // others took this session for dead
  CO_TRY(Stored last, std::move(stored));
  const Place place = state->place;
  auto freed = co_await reclaim(std::move(last.inode), place, until);
  if (freed) co_return freed;
  // What waits in a companion is on record until the session ends.
  session.leave_behind();
  if (place != Place::in_companion(state->object)) doubt(place.object);
  co_return freed;
}

}  // namespace cenote::posix
