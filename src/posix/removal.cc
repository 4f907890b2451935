#include "removal.h"

#include <algorithm>

#include "cenote/base/format.h"

namespace cenote::posix {

Task<Result<std::optional<Removed>>> remove_name(Records records, Place name, Entry entry, std::uint64_t session,
                                                 WallTime now, Until until) {
  const Place kept = Place::in_companion(entry.object);
  Inode inode;
  if (entry.inode) {
    inode = *std::move(entry.inode);
  } else {
    CO_TRY(auto found, co_await records.entry(kept, until));
    if (!found || !found->inode) {
      co_return failf(Code::kCorrupt, "entry '{}' leads to nothing: 'cenote fs check' tells more", name.dkey);
    }
    inode = *std::move(found->inode);
  }
  inode.ctime = now;
  inode.links -= std::min(inode.links, 1u);
  CO_CHECK_OK(co_await records.remove(name, until));
  if (inode.links > 0) {
    CO_CHECK_OK(co_await records.put_entry(kept, Entry::of(inode), Precondition::kNone, until));
    co_return std::optional<Removed>();
  }
  const Place waits = Place::removed(name.object, session, inode.object);
  CO_CHECK_OK(co_await records.put_entry(waits, Entry::of(inode), Precondition::kNone, until));
  // The inode is in one place.
  if (inode.has_companion) CO_CHECK_OK(co_await records.remove(kept, until));
  co_return std::optional(Removed{std::move(inode), waits});
}

Task<Result<Contents>> contents_of(Records records, ObjectId directory, Until until) {
  Contents contents;
  std::string after;
  for (;;) {
    CO_TRY(const Records::Page page, co_await records.list(directory, {}, after, kMaxListEntries, until));
    for (const std::string& dkey : page.dkeys) {
      if (is_name(dkey)) {
        contents.has_names = true;
        co_return contents;
      }
      if (dkey != kSelfDkey) contents.removed.push_back(dkey);
    }
    if (page.at_end || page.dkeys.empty()) co_return contents;
    after = page.dkeys.back();
  }
}

Task<Result<>> remove_empty(Records records, ObjectId directory, std::vector<std::string>* waiting, Until until) {
  CO_TRY(const auto stored, co_await records.directory(directory, 0, until));
  if (!stored) co_return fail(Code::kNotFound, "another client has removed the directory");
  CO_TRY(Contents contents, co_await contents_of(records, directory, until));
  if (contents.has_names) co_return fail(Code::kNotEmpty, "the directory is not empty");
  if (!contents.removed.empty()) {
    *waiting = std::move(contents.removed);
    co_return fail(Code::kNotEmpty, "something that was removed in the directory is to be freed before");
  }
  CO_CHECK_OK(co_await records.punch_object(directory, until));
  if (stored->inode.has_companion) CO_CHECK_OK(co_await records.punch_object(companion_object(directory), until));
  co_return Result<>();
}

}  // namespace cenote::posix
