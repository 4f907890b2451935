// Changing what is there: attributes, times, sizes.

#include <algorithm>

#include "acl.h"
#include "cenote/base/format.h"
#include "impl.h"

namespace cenote::posix {
namespace {

constexpr int kAttempts = 16;

/// What one run of a transaction that changes an inode came to.
struct Attempt {
  bool has_moved = false;  ///< the inode was not where it was thought to be
  Inode inode;
};

/// The access list, if there is one, follows the mode.
Task<Result<>> change_acl(Records records, ObjectId object, std::uint32_t mode, Until until) {
  CO_TRY(const auto stored, co_await records.xattr(object, std::string(kAccessAcl), until));
  if (!stored) co_return Result<>();
  auto acl = decode_acl(*stored);
  if (!acl || acl->empty())
    co_return failf(Code::kCorrupt, "the access control list of {} is damaged", object.to_string());
  co_return co_await records.put_xattr(object, {std::string(kAccessAcl), encode_acl(acl_with(*std::move(acl), mode))},
                                       Precondition::kNone, until);
}

Task<Result<>> change_in(async::Container view, Node node, const std::function<Result<>(Inode&)>* change,
                         Attempt* attempt, Until until) {
  *attempt = {};
  Records records(std::move(view));
  const Place place = node.state()->place;
  CO_TRY(auto entry, co_await records.entry(place, until));
  if (!entry || entry->object != node.object() || !entry->inode) {
    attempt->has_moved = true;
    co_return fail(Code::kNotFound, "the inode is elsewhere");
  }
  attempt->inode = *std::move(entry->inode);
  const std::uint32_t mode = attempt->inode.mode;
  CO_CHECK_OK((*change)(attempt->inode));
  if (attempt->inode.mode != mode && attempt->inode.has_xattrs)
    CO_CHECK_OK(co_await change_acl(records, node.object(), attempt->inode.mode, until));
  co_return co_await records.put_entry(place, Entry::of(attempt->inode), Precondition::kNone, until);
}

void apply(const AttributeChange& change, WallTime now, Inode& inode) {
  if (change.mode) inode.mode = *change.mode & 07777;
  if (change.uid) inode.uid = *change.uid;
  if (change.gid) inode.gid = *change.gid;
  if (change.atime) inode.atime = *change.atime;
  if (change.size && !change.mtime) inode.mtime = now;
  if (change.mtime) {
    inode.mtime = *change.mtime;
    if (inode.is_directory()) inode.times_set = now;
  }
  inode.ctime = now;
}

}  // namespace

Task<Result<Inode>> FileSystem::Impl::change_inode(Node node, std::function<Result<>(Inode&)> change, Until until) {
  const auto& state = node.state();
  const std::function<Result<>(Inode&)> with_times = [&](Inode& inode) -> Result<> {
    if (state->written_at && *state->written_at > inode.mtime) {
      inode.mtime = *state->written_at;
      inode.ctime = std::max(inode.ctime, *state->written_at);
    }
    if (state->read_at) inode.atime = std::max(inode.atime, *state->read_at);
    return change(inode);
  };
  for (int i = 0; i < kAttempts; ++i) {
    const auto written = state->written_at, read = state->read_at;
    Attempt attempt;
    auto changed = co_await container.transact(
        [&](async::Container& view) { return change_in(view, node, &with_times, &attempt, until); }, until);
    if (changed) {
      // What was read and written meanwhile is still to be told.
      if (state->written_at == written) state->written_at.reset();
      if (state->read_at == read) state->read_at.reset();
      state->times_saved = now();
      co_return std::move(attempt.inode);
    }
    if (!attempt.has_moved) co_return fail(std::move(changed).error());
    if (state->type == FileType::kDirectory)
      co_return failf(Code::kGone, "the directory with the number {} was removed", node.number());
    CO_CHECK_OK(co_await relocate(node, until));
  }
  co_return failf(Code::kTxRestart, "what has the number {} is renamed all the time", node.number());
}

Task<Result<Attributes>> FileSystem::set_attributes(Node node, AttributeChange change, Until until) {
  Impl& self = *impl_;
  CO_CHECK_OK(self.check_changes(node));
  if (change.size) {
    if (node.type() == FileType::kDirectory) co_return fail(Code::kIsADirectory, "a directory has no size to set");
    if (node.type() != FileType::kFile)
      co_return fail(Code::kInvalidArgument, "no regular file: it has no size to set");
    CO_CHECK_OK(co_await self.truncate(node, *change.size, until));
  }
  const WallTime now = self.now();
  const auto set = [&](Inode& inode) -> Result<> {
    apply(change, now, inode);
    return {};
  };
  CO_TRY(Inode changed, co_await self.change_inode(node, set, until));
  if (changed.is_directory()) co_return co_await attributes(node, until);
  CO_TRY(const std::uint64_t size, co_await self.size_of(changed, until));
  co_return self.describe({std::move(changed), {}}, size);
}

Task<Result<>> FileSystem::Impl::save_times(Node node, Until until) {
  const auto& state = node.state();
  if (!state->written_at && !state->read_at) co_return Result<>();
  auto saved = co_await change_inode(node, [](Inode&) -> Result<> { return {}; }, until);
  if (saved) {
    state->saved_ctime = saved->ctime;
    co_return Result<>();
  }
  // Nobody asks for the times of what is gone.
  if (saved.error() == Code::kGone) co_return Result<>();
  co_return fail(std::move(saved).error());
}

Task<Result<>> FileSystem::Impl::truncate(Node node, std::uint64_t size, Until until) {
  if (size > kMaxFileBytes) {
    co_return failf(Code::kOutOfRange, "{} bytes are more than a file can have: {}", size, kMaxFileBytes);
  }
  CO_TRY(Stored stored, co_await load(node, until));
  bool wide = stored.inode.is_wide;
  if (!wide && !FileData::is_narrow(0, size)) {
    CO_CHECK_OK(co_await widen(node, until));
    wide = true;
  }
  co_return co_await FileData(container, node.object()).set_size(size, wide, until);
}

Task<Result<>> FileSystem::Impl::widen(Node node, Until until) {
  const auto set = [](Inode& inode) -> Result<> {
    inode.is_wide = true;
    return {};
  };
  CO_CHECK_OK(co_await change_inode(node, set, until));
  node.state()->is_wide = true;
  co_return Result<>();
}

}  // namespace cenote::posix
