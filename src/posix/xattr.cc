#include "acl.h"
#include "cenote/base/format.h"
#include "impl.h"

namespace cenote::posix {
namespace {

constexpr int kAttempts = 16;
constexpr std::uint32_t kPermissions = 0777;

Result<> validate_xattr(std::string_view name) {
  if (name.empty() || name.size() > kMaxNameBytes || name.contains('\0')) {
    return failf(Code::kInvalidArgument, "the name of an extended attribute has 1 to {} bytes and no zero",
                 kMaxNameBytes);
  }
  return {};
}

Error no_xattr(std::string_view name) {
  return Error(Code::kNotFound, fmt::format("no extended attribute '{}'", printable(as_bytes(name))));
}

/// One change of an extended attribute.
struct XattrChange {
  std::string name;
  std::optional<Bytes> value;  ///< none: it goes
  XattrMode mode = XattrMode::kAny;
  bool may_be_missing = false;                    ///< that it goes is all that is wanted
  std::optional<std::uint32_t> permissions = {};  ///< bits of the mode that change with it
  WallTime now{};
  bool has_moved = false;
};

Task<Result<>> change_in(async::Container view, Node node, XattrChange* change, Until until) {
  change->has_moved = false;
  Records records(view);
  const Place place = node.state()->place;
  CO_TRY(auto entry, co_await records.entry(place, until));
  if (!entry || entry->object != node.object() || !entry->inode) {
    change->has_moved = true;
    co_return fail(Code::kNotFound, "the inode is elsewhere");
  }
  Inode& inode = *entry->inode;
  inode.ctime = change->now;
  if (change->permissions) inode.mode = (inode.mode & ~kPermissions) | *change->permissions;
  const bool nothing_goes = !change->value && change->may_be_missing && !inode.has_xattrs;
  if (!nothing_goes) inode.has_companion = inode.has_xattrs = true;
  CO_CHECK_OK(co_await records.put_entry(place, *std::move(entry), Precondition::kNone, until));
  if (nothing_goes) co_return Result<>();
  if (change->value) {
    Precondition condition = Precondition::kNone;
    if (change->mode == XattrMode::kCreate) condition = Precondition::kAbsent;
    if (change->mode == XattrMode::kReplace) condition = Precondition::kPresent;
    co_return co_await records.put_xattr(node.object(), {change->name, *change->value}, condition, until);
  }
  PunchRequest request;
  request.object = companion_object(node.object());
  request.level = PunchLevel::kAkey;
  request.condition = change->may_be_missing ? Precondition::kNone : Precondition::kPresent;
  request.dkey = to_bytes(as_bytes(kXattrDkey));
  request.akeys.push_back(to_bytes(as_bytes(change->name)));
  CO_CHECK_OK(co_await view.punch(std::move(request), until));
  co_return Result<>();
}

Task<Result<>> change_xattr(FileSystem::Impl& files, Node node, XattrChange change, Until until) {
  for (int i = 0; i < kAttempts; ++i) {
    change.now = files.now();
    auto changed = co_await files.container.transact(
        [&](async::Container& view) { return change_in(view, node, &change, until); }, until);
    if (!change.has_moved) {
      if (changed || changed.error() != Code::kConditionFailed) co_return changed;
      if (change.mode != XattrMode::kCreate) co_return fail(no_xattr(change.name));
      co_return failf(Code::kExists, "the extended attribute '{}' is there already", printable(as_bytes(change.name)));
    }
    if (node.type() == FileType::kDirectory) co_return fail(Code::kGone, "the directory was removed");
    CO_CHECK_OK(co_await files.relocate(node, until));
  }
  co_return failf(Code::kTxRestart, "what has the number {} is renamed all the time", node.number());
}

bool is_acl(std::string_view name) { return name == kAccessAcl || name == kDefaultAcl; }

/// An access list and the mode say the same; one that says no more than the mode is not kept.
Result<XattrChange> change_to_acl(FileType type, XattrChange change) {
  if (type == FileType::kSymlink) return fail(Code::kUnsupported, "a symbolic link has no access control list");
  const bool is_access = change.name == kAccessAcl;
  if (!is_access && type != FileType::kDirectory)
    return fail(Code::kPermissionDenied, "only a directory has a default access control list");
  TRY(const Acl acl, decode_acl(*change.value));
  if (is_access && !acl.empty()) change.permissions = mode_with(acl, 0);
  if (acl.empty() || (is_access && is_plain(acl))) {
    change.value.reset();
    change.may_be_missing = true;
  } else {
    change.value = encode_acl(acl);
  }
  return change;
}

}  // namespace

Task<Result<>> FileSystem::set_xattr(Node node, std::string name, Bytes value, XattrMode mode, Until until) {
  CO_CHECK_OK(validate_xattr(name));
  CO_CHECK_OK(impl_->check_changes(node));
  if (value.size() > kMaxXattrBytes) {
    co_return failf(Code::kValueTooLarge, "extended attribute '{}' of {} bytes is over the limit of {}", name,
                    value.size(), kMaxXattrBytes);
  }
  XattrChange change{.name = std::move(name), .value = std::move(value), .mode = mode};
  if (is_acl(change.name)) {
    CO_TRY(change, change_to_acl(node.type(), std::move(change)));
  }
  co_return co_await change_xattr(*impl_, std::move(node), std::move(change), until);
}

Task<Result<>> FileSystem::remove_xattr(Node node, std::string name, Until until) {
  CO_CHECK_OK(validate_xattr(name));
  CO_CHECK_OK(impl_->check_changes(node));
  co_return co_await change_xattr(*impl_, std::move(node), {.name = std::move(name), .value = std::nullopt}, until);
}

Task<Result<Bytes>> FileSystem::get_xattr(Node node, std::string name, Until until) {
  CO_CHECK_OK(validate_xattr(name));
  if (node.is_in_snapshot() && !impl_->container.snapshot()) {
    CO_TRY(FileSystem* const inner, co_await impl_->snapshots.use(node.state()->snapshot, until));
    co_return co_await inner->get_xattr(std::move(node), std::move(name), until);
  }
  if (impl_->is_snapshots_directory(node)) co_return fail(no_xattr(name));
  Impl& self = *impl_;
  if (is_acl(name)) {
    // Asked for again and again, and hardly ever there: the inode knows.
    CO_TRY(const Stored stored, co_await self.load(node, until));
    if (!stored.inode.has_xattrs) co_return fail(no_xattr(name));
  }
  CO_TRY(auto value, co_await self.records.xattr(node.object(), name, until));
  if (!value) co_return fail(no_xattr(name));
  co_return *std::move(value);
}

Task<Result<std::vector<std::string>>> FileSystem::list_xattrs(Node node, Until until) {
  Impl& self = *impl_;
  if (node.is_in_snapshot() && !self.container.snapshot()) {
    CO_TRY(FileSystem* const inner, co_await self.snapshots.use(node.state()->snapshot, until));
    co_return co_await inner->list_xattrs(std::move(node), until);
  }
  if (self.is_snapshots_directory(node)) co_return std::vector<std::string>();
  CO_TRY(const Stored stored, co_await self.load(node, until));
  std::vector<std::string> names;
  if (!stored.inode.has_xattrs) co_return names;
  ListRequest request;
  request.object = companion_object(node.object());
  request.level = ListLevel::kAkeys;
  request.dkey = to_bytes(as_bytes(kXattrDkey));
  do {
    CO_TRY(ListReply page, co_await self.container.list(request, until));
    for (const ListedKey& listed : page.keys) names.push_back(to_text(listed.key));
    request.anchor = std::move(page.anchor);
  } while (!request.anchor.empty());
  co_return names;
}

}  // namespace cenote::posix
