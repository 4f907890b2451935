// New names: of new things, and of what is there.

#include "acl.h"
#include "cenote/base/format.h"
#include "cenote/protocol/object_class.h"
#include "impl.h"
#include "path.h"

namespace cenote::posix {
namespace {

constexpr int kAttempts = 16;
constexpr std::uint32_t kSetGroupId = 02000;

std::string shown(std::string_view name) { return printable(as_bytes(name), kMaxNameBytes); }

struct LinkAttempt {
  bool has_moved = false;
  Inode inode;
};

Task<Result<>> link_in(async::Container view, Node node, ObjectId directory, std::string name, std::uint32_t mark,
                       WallTime now, LinkAttempt* attempt, Until until) {
  *attempt = {};
  Records records(std::move(view));
  const Place place = node.state()->place, kept = Place::in_companion(node.object());
  CO_TRY(auto entry, co_await records.entry(place, until));
  if (!entry || entry->object != node.object() || !entry->inode) {
    attempt->has_moved = true;
    co_return fail(Code::kNotFound, "the inode is elsewhere");
  }
  Inode& inode = attempt->inode = *std::move(entry->inode);
  if (inode.links == 0) co_return fail(Code::kGone, "what has lost its last name gets no other");
  if (inode.links >= kMaxLinks) co_return failf(Code::kOutOfRange, "it has {} names, which is the most", inode.links);
  ++inode.links;
  inode.ctime = now;
  inode.has_companion = true;
  if (place != kept)
    CO_CHECK_OK(co_await records.put_entry(place, Entry::reference(inode), Precondition::kNone, until));
  CO_CHECK_OK(co_await records.put_entry(kept, Entry::of(inode), Precondition::kNone, until));
  CO_CHECK_OK(co_await records.put_entry(Place::of_name(directory, std::move(name)), Entry::reference(inode),
                                         Precondition::kAbsent, until));
  CO_CHECK_OK(co_await records.require_directory(directory, until));
  co_return co_await records.touch(directory, mark, now, until);
}

}  // namespace

/// The mode of something new and its access lists, which the directory's default one leads to; else the umask counts.
Task<Result<>> FileSystem::Impl::give_mode(Inode directory, CreateOptions options, NewInode* made, Until until) {
  Inode& inode = made->inode;
  inode.mode = options.mode & 07777;
  if (inode.type == FileType::kSymlink) co_return Result<>();
  std::optional<Bytes> stored;
  if (directory.has_xattrs) {
    CO_TRY(stored, co_await records.xattr(directory.object, std::string(kDefaultAcl), until));
  }
  if (!stored) {
    inode.mode &= ~options.umask;
    co_return Result<>();
  }
  auto acl = decode_acl(*stored);
  if (!acl || acl->empty()) {
    co_return failf(Code::kCorrupt, "the default access control list of directory {} is damaged",
                    directory.object.to_string());
  }
  if (inode.is_directory()) made->xattrs.push_back({std::string(kDefaultAcl), *std::move(stored)});
  const InheritedAcl inherited = inherit(*std::move(acl), inode.mode);
  inode.mode = inherited.mode;
  if (inherited.access) made->xattrs.push_back({std::string(kAccessAcl), encode_acl(*inherited.access)});
  inode.has_companion = inode.has_xattrs = !made->xattrs.empty();
  co_return Result<>();
}

Task<Result<NewInode>> FileSystem::Impl::new_inode(Node directory, FileType type, CreateOptions options, Until until) {
  CO_CHECK_OK(check_changes(directory));
  CO_TRY(const Stored above, co_await load(directory, until));
  const bool is_file = type == FileType::kFile;
  CO_TRY(const ObjectId object, co_await container.allocate_object(
                                    with_redundancy(ObjectClass::kS1, container.redundancy()),
                                    is_file ? KeyFlavour::kUint64 : KeyFlavour::kLexical, KeyFlavour::kLexical, until));
  const WallTime time = now();
  NewInode made{.inode = {.type = type,
                          .object = object,
                          .uid = options.uid,
                          .gid = options.gid,
                          .atime = options.atime.value_or(time),
                          .mtime = options.mtime.value_or(time),
                          .ctime = time,
                          .created = time},
                .xattrs = {}};
  CO_CHECK_OK(co_await give_mode(above.inode, options, &made, until));
  Inode& inode = made.inode;
  if ((above.inode.mode & kSetGroupId) != 0) {
    inode.gid = above.inode.gid;
    if (type == FileType::kDirectory) inode.mode |= kSetGroupId;
  }
  if (type == FileType::kDirectory) {
    inode.parent = directory.object();
    if (options.mtime) inode.times_set = time;
  }
  co_return made;
}

/// Why a name could not be given: nullopt if nothing stands against it by now.
Task<Result<std::optional<Error>>> FileSystem::Impl::why_not(ObjectId directory, std::string name, Until until) {
  CO_TRY(const auto entry, co_await records.entry(Place::of_name(directory, name), until));
  if (entry) co_return std::optional(Error(Code::kExists, fmt::format("'{}' exists already", shown(name))));
  CO_TRY(const auto above, co_await records.directory(directory, 0, until));
  if (!above)
    co_return std::optional(Error(Code::kGone, fmt::format("the directory where '{}' was to be is gone", shown(name))));
  co_return std::optional<Error>();
}

Task<Result<Found>> FileSystem::Impl::insert(Node directory, std::string name, NewInode made, Until until) {
  Inode& inode = made.inode;
  CO_CHECK_OK(validate_name(name));
  if (directory.type() != FileType::kDirectory)
    co_return failf(Code::kNotADirectory, "no directory to make '{}' in", shown(name));
  if (is_snapshots_name(directory, name))
    co_return failf(Code::kExists, "'{}' exists already: the snapshots of the container", shown(name));
  for (int i = 0; i < kAttempts; ++i) {
    auto inserted = co_await records.insert(Place::of_name(directory.object(), name), inode, made.xattrs, mark_of(name),
                                            touch_marks, until);
    if (inserted) {
      Place place = inode.is_directory() ? Place::of_directory(inode.object) : Place::of_name(directory.object(), name);
      const std::uint64_t size = inode.target.size();
      const Node node = node_of(inode, std::move(place));
      co_return Found{node, describe({std::move(inode), {}}, size)};
    }
    if (inserted.error() != Code::kConditionFailed) co_return fail(std::move(inserted).error());
    CO_TRY(const auto reason, co_await why_not(directory.object(), name, until));
    if (reason) co_return fail(*reason);
  }
  co_return failf(Code::kTxRestart, "'{}' comes and goes all the time", shown(name));
}

Task<Result<FileSystem::Created>> FileSystem::create_file(Node directory, std::string name, CreateOptions options,
                                                          Until until) {
  Impl& self = *impl_;
  for (int i = 0; i < kAttempts; ++i) {
    CO_TRY(NewInode inode, co_await self.new_inode(directory, FileType::kFile, options, until));
    auto made = co_await self.insert(directory, name, std::move(inode), until);
    if (made) co_return Created{*std::move(made), true};
    if (made.error() != Code::kExists || options.exclusive) co_return fail(std::move(made).error());
    auto present = co_await lookup(directory, name, until);
    if (!present && present.error() == Code::kNotFound) continue;  // removed meanwhile
    CO_TRY(Found found, std::move(present));
    if (found.node.type() == FileType::kDirectory)
      co_return failf(Code::kIsADirectory, "'{}' is a directory", shown(name));
    if (found.node.type() != FileType::kFile)
      co_return failf(Code::kExists, "'{}' exists and is no regular file", shown(name));
    if (options.truncate) {
      CO_TRY(found.attributes,
             co_await set_attributes(found.node, {.atime = options.atime, .mtime = options.mtime, .size = 0}, until));
    }
    co_return Created{std::move(found), false};
  }
  co_return failf(Code::kTxRestart, "'{}' comes and goes all the time", shown(name));
}

Task<Result<Found>> FileSystem::make_directory(Node directory, std::string name, CreateOptions options, Until until) {
  CO_TRY(NewInode inode, co_await impl_->new_inode(directory, FileType::kDirectory, options, until));
  co_return co_await impl_->insert(directory, std::move(name), std::move(inode), until);
}

Task<Result<Found>> FileSystem::make_symlink(Node directory, std::string name, std::string target,
                                             CreateOptions options, Until until) {
  if (target.empty() || target.size() >= kMaxPathBytes) {
    co_return failf(Code::kNameTooLong, "a symbolic link's target has 1 to {} bytes, not {}", kMaxPathBytes - 1,
                    target.size());
  }
  options.mode = 0777;
  CO_TRY(NewInode inode, co_await impl_->new_inode(directory, FileType::kSymlink, options, until));
  inode.inode.target = std::move(target);
  co_return co_await impl_->insert(directory, std::move(name), std::move(inode), until);
}

Task<Result<Found>> FileSystem::make_special(Node directory, std::string name, FileType type, std::uint32_t device,
                                             CreateOptions options, Until until) {
  const bool is_device = type == FileType::kCharacterDevice || type == FileType::kBlockDevice;
  if (!is_device && type != FileType::kFifo && type != FileType::kSocket)
    co_return fail(Code::kInvalidArgument, "only pipes, sockets and devices are made like this");
  CO_TRY(NewInode inode, co_await impl_->new_inode(directory, type, options, until));
  if (is_device) inode.inode.device = device;
  co_return co_await impl_->insert(directory, std::move(name), std::move(inode), until);
}

Task<Result<Attributes>> FileSystem::link(Node node, Node directory, std::string name, Until until) {
  Impl& self = *impl_;
  CO_CHECK_OK(validate_name(name));
  CO_CHECK_OK(self.check_changes(node));
  CO_CHECK_OK(self.check_changes(directory));
  if (self.is_snapshots_name(directory, name))
    co_return failf(Code::kExists, "'{}' exists already: the snapshots of the container", shown(name));
  if (node.type() == FileType::kDirectory) co_return fail(Code::kIsADirectory, "a directory has one name only");
  if (directory.type() != FileType::kDirectory)
    co_return failf(Code::kNotADirectory, "no directory to make '{}' in", shown(name));
  for (int i = 0; i < kAttempts; ++i) {
    LinkAttempt attempt;
    const WallTime now = self.now();
    auto linked = co_await self.container.transact(
        [&](async::Container& view) {
          return link_in(view, node, directory.object(), name, self.mark_of(name), now, &attempt, until);
        },
        until);
    if (linked) {
      node.state()->place = Place::in_companion(node.object());
      CO_TRY(const std::uint64_t size, co_await self.size_of(attempt.inode, until));
      co_return self.describe({std::move(attempt.inode), {}}, size);
    }
    if (attempt.has_moved) {
      CO_CHECK_OK(co_await self.relocate(node, until));
    } else if (linked.error() == Code::kConditionFailed) {
      CO_TRY(const auto reason, co_await self.why_not(directory.object(), name, until));
      if (reason) co_return fail(*reason);
    } else {
      co_return fail(std::move(linked).error());
    }
  }
  co_return failf(Code::kTxRestart, "'{}' comes and goes all the time", shown(name));
}

}  // namespace cenote::posix
