#include <algorithm>

#include "cenote/base/format.h"
#include "impl.h"
#include "path.h"
#include "removal.h"

namespace cenote::posix {
namespace {

constexpr int kAttempts = 16;
/// Directories nested deeper than any path can name, which a chain of parents that is damaged could pass for.
constexpr std::uint32_t kMaxDepth = 100'000;

std::string shown(std::string_view name) { return printable(as_bytes(name), kMaxNameBytes); }

/// What is to be done, and what one run of the transaction came to.
struct Renaming {
  Place from, to;
  RenameMode mode = RenameMode::kReplace;
  std::uint64_t session = 0;
  std::uint32_t from_mark = 0, to_mark = 0;
  WallTime now{};
  Until until;

  std::vector<std::string> waiting;  ///< in the directory that is to be replaced
  ObjectId replaced_directory;
  std::optional<Removed> removed;
  std::vector<std::pair<ObjectId, Place>> arrived;  ///< where inodes are by now

  void begin() {
    waiting.clear();
    replaced_directory = {};
    removed.reset();
    arrived.clear();
  }
};

Result<> check_replacement(const Entry& moved, const Entry& replaced, std::string_view to) {
  const bool moves_directory = moved.type == FileType::kDirectory;
  const bool replaces_directory = replaced.type == FileType::kDirectory;
  if (moves_directory && !replaces_directory)
    return failf(Code::kNotADirectory, "'{}' exists and is no directory", shown(to));
  if (!moves_directory && replaces_directory) return failf(Code::kIsADirectory, "'{}' is a directory", shown(to));
  return {};
}

/// kInvalidArgument: `directory` is in `inner`, or is it.
Task<Result<>> check_no_loop(Records records, ObjectId directory, ObjectId inner, Until until) {
  for (std::uint32_t depth = 0; depth < kMaxDepth; ++depth) {
    if (directory == inner) co_return fail(Code::kInvalidArgument, "a directory cannot be moved into itself");
    CO_TRY(const auto stored, co_await records.directory(directory, 0, until));
    if (!stored) co_return fail(Code::kGone, "the directory that it was to be moved to is gone");
    if (stored->inode.parent == directory) co_return Result<>();
    directory = stored->inode.parent;
  }
  co_return failf(Code::kCorrupt, "directories above {} do not end: 'cenote fs check' tells more",
                  directory.to_string());
}

/// Puts what had another name under this one.
Task<Result<>> place_entry(Records records, Renaming* plan, Entry entry, Place place) {
  const Until until = plan->until;
  if (entry.inode) {
    entry.inode->ctime = plan->now;
    entry.inode->has_companion = true;
    CO_CHECK_OK(co_await records.put_where(entry.object, {place.object, place.dkey}, until));
    plan->arrived.emplace_back(entry.object, place);
  } else if (entry.type == FileType::kDirectory) {
    CO_TRY(auto stored, co_await records.directory(entry.object, 0, until));
    if (!stored) co_return fail(Code::kNotFound, "another client has removed the directory");
    stored->inode.parent = place.object;
    stored->inode.ctime = plan->now;
    CO_CHECK_OK(co_await records.put_entry(Place::of_directory(entry.object), Entry::of(std::move(stored->inode)),
                                           Precondition::kNone, until));
  } else {
    const Place kept = Place::in_companion(entry.object);
    CO_TRY(auto found, co_await records.entry(kept, until));
    if (found && found->inode) {
      found->inode->ctime = plan->now;
      CO_CHECK_OK(co_await records.put_entry(kept, *std::move(found), Precondition::kNone, until));
    }
  }
  co_return co_await records.put_entry(std::move(place), std::move(entry), Precondition::kNone, until);
}

/// Takes away what has the new name.
Task<Result<>> replace(Records records, Renaming* plan, const Entry& moved, Entry replaced) {
  CO_CHECK_OK(check_replacement(moved, replaced, plan->to.dkey));
  if (replaced.type == FileType::kDirectory) {
    plan->replaced_directory = replaced.object;
    auto emptied = co_await remove_empty(records, replaced.object, &plan->waiting, plan->until);
    if (!emptied && emptied.error() == Code::kNotEmpty && plan->waiting.empty())
      co_return failf(Code::kNotEmpty, "directory '{}' is not empty", shown(plan->to.dkey));
    co_return emptied;
  }
  CO_TRY(plan->removed,
         co_await remove_name(records, plan->to, std::move(replaced), plan->session, plan->now, plan->until));
  co_return Result<>();
}

Task<Result<>> rename_in(async::Container view, Renaming* plan) {
  plan->begin();
  Records records(std::move(view));
  const Until until = plan->until;
  CO_TRY(auto moved, co_await records.entry(plan->from, until));
  if (!moved) co_return failf(Code::kNotFound, "no entry '{}'", shown(plan->from.dkey));
  CO_TRY(auto present, co_await records.entry(plan->to, until));
  const bool exchange = plan->mode == RenameMode::kExchange;
  if (exchange && !present) co_return failf(Code::kNotFound, "no entry '{}'", shown(plan->to.dkey));
  if (present && plan->mode == RenameMode::kNoReplace)
    co_return failf(Code::kExists, "'{}' exists already", shown(plan->to.dkey));
  // Two names of the same thing both stay.
  if (present && present->object == moved->object) co_return Result<>();
  if (moved->type == FileType::kDirectory && plan->from.object != plan->to.object)
    CO_CHECK_OK(co_await check_no_loop(records, plan->to.object, moved->object, until));
  if (exchange && present->type == FileType::kDirectory && plan->from.object != plan->to.object)
    CO_CHECK_OK(co_await check_no_loop(records, plan->from.object, present->object, until));
  const bool is_new = !present;
  if (present && !exchange) CO_CHECK_OK(co_await replace(records, plan, *moved, *present));
  CO_CHECK_OK(co_await place_entry(records, plan, *std::move(moved), plan->to));
  if (exchange) {
    CO_CHECK_OK(co_await place_entry(records, plan, *std::move(present), plan->from));
  } else {
    CO_CHECK_OK(co_await records.remove(plan->from, until));
  }
  if (is_new && plan->from.object != plan->to.object)
    CO_CHECK_OK(co_await records.require_directory(plan->to.object, until));
  CO_CHECK_OK(co_await records.touch(plan->to.object, plan->to_mark, plan->now, until));
  if (plan->from.object == plan->to.object) co_return Result<>();
  co_return co_await records.touch(plan->from.object, plan->from_mark, plan->now, until);
}

}  // namespace

Task<Result<>> FileSystem::rename(Node from, std::string name, Node to, std::string new_name, RenameMode mode,
                                  Until until) {
  Impl& self = *impl_;
  CO_CHECK_OK(validate_name(name));
  CO_CHECK_OK(validate_name(new_name));
  CO_CHECK_OK(self.check_changes(from, name));
  CO_CHECK_OK(self.check_changes(to, new_name));
  if (from.type() != FileType::kDirectory || to.type() != FileType::kDirectory)
    co_return fail(Code::kNotADirectory, "a name is in a directory");
  Renaming plan{.from = Place::of_name(from.object(), name),
                .to = Place::of_name(to.object(), new_name),
                .mode = mode,
                .from_mark = self.mark_of(name),
                .to_mark = self.mark_of(new_name),
                .until = until};
  for (int i = 0; i < kAttempts; ++i) {
    if (mode == RenameMode::kReplace) {
      CO_TRY(plan.session, co_await self.session.enter(to.object(), until));
      plan.until = until.no_later_than(self.session.lease_end());
    }
    plan.now = self.now();
    auto renamed =
        co_await self.container.transact([&](async::Container& view) { return rename_in(view, &plan); }, plan.until);
    if (renamed) break;
    if (plan.waiting.empty()) self.note_doubt(renamed.error(), to.object());
    if (plan.waiting.empty() || i + 1 == kAttempts) co_return renamed;
    CO_CHECK_OK(co_await self.clear_waiting(plan.replaced_directory, std::move(plan.waiting), until));
  }
  for (auto& [object, place] : plan.arrived) {
    if (const auto state = self.nodes.find(object)) state->place = std::move(place);
  }
  if (plan.removed) co_await self.removed(std::move(plan.removed->inode), std::move(plan.removed->place), until);
  co_return Result<>();
}

}  // namespace cenote::posix
