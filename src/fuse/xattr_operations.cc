#include <sys/stat.h>
#include <sys/xattr.h>

#include <cerrno>
#include <string_view>

#include "request.h"

// Extended attributes.
namespace cenote::fuse {
namespace {

constexpr std::string_view kAccessAcl = "system.posix_acl_access", kDefaultAcl = "system.posix_acl_default";
constexpr std::string_view kUser = "user.", kTrusted = "trusted.", kSecurity = "security.";

/// Capabilities would have to be taken away by whoever writes, which is not done here, so nobody gets to store them.
/// The kernel asks for them before every write.
bool is_capability(std::string_view name) { return name == "security.capability"; }

/// 0, or what a program is told of such a name.
int refusal_of(std::string_view name) {
  if (is_capability(name)) return EOPNOTSUPP;
  if (name == kAccessAcl || name == kDefaultAcl) return 0;
  for (const std::string_view space : {kUser, kTrusted, kSecurity}) {
    if (name.starts_with(space)) return name.size() > space.size() ? 0 : EINVAL;
  }
  return EOPNOTSUPP;
}

/// Who is not in a file's group leaves it no set-group-id bit when changing its permissions.
Task<Result<>> drop_set_group_id(Request& request, posix::Node node) {
  CO_TRY(const posix::Attributes attributes, co_await request.files().attributes(node, request.until()));
  if ((attributes.mode & S_ISGID) == 0 || request.is_in_group(attributes.gid)) co_return Result<>();
  CO_CHECK_OK(co_await request.files().set_attributes(
      std::move(node), {.mode = attributes.mode & ~std::uint32_t{S_ISGID}}, request.until()));
  co_return Result<>();
}

Task<Result<Done>> set_xattr(Request& request, std::string name, Bytes value, int flags) {
  request.translate(Code::kNotFound, ENODATA);
  CO_TRY(posix::Node node, request.node());
  const posix::XattrMode mode = flags == XATTR_CREATE    ? posix::XattrMode::kCreate
                                : flags == XATTR_REPLACE ? posix::XattrMode::kReplace
                                                         : posix::XattrMode::kAny;
  if (name == kAccessAcl && !request.is_by_root()) CO_CHECK_OK(co_await drop_set_group_id(request, node));
  CO_CHECK_OK(
      co_await request.files().set_xattr(std::move(node), std::move(name), std::move(value), mode, request.until()));
  co_return Done();
}

/// The size alone, if there is no room at all.
Result<XattrAnswer> fitted(Request& request, Bytes value, std::size_t room) {
  if (room == 0) return XattrAnswer(XattrSize{value.size()});
  if (value.size() <= room) return XattrAnswer(std::move(value));
  request.translate(Code::kOutOfRange, ERANGE);
  return fail(Code::kOutOfRange);
}

Task<Result<XattrAnswer>> get_xattr(Request& request, std::string name, std::size_t room) {
  request.translate(Code::kNotFound, ENODATA);
  CO_TRY(posix::Node node, request.node());
  CO_TRY(Bytes value, co_await request.files().get_xattr(std::move(node), std::move(name), request.until()));
  co_return fitted(request, std::move(value), room);
}

Task<Result<XattrAnswer>> list_xattrs(Request& request, std::size_t room) {
  CO_TRY(posix::Node node, request.node());
  CO_TRY(const auto names, co_await request.files().list_xattrs(std::move(node), request.until()));
  Bytes list;
  for (const std::string& name : names) {
    if (name.starts_with(kTrusted) && !request.is_by_root()) continue;
    const ByteView bytes = as_bytes(std::string_view(name.c_str(), name.size() + 1));
    list.insert(list.end(), bytes.begin(), bytes.end());
  }
  co_return fitted(request, std::move(list), room);
}

Task<Result<Done>> remove_xattr(Request& request, std::string name) {
  request.translate(Code::kNotFound, ENODATA);
  CO_TRY(posix::Node node, request.node());
  CO_CHECK_OK(co_await request.files().remove_xattr(std::move(node), std::move(name), request.until()));
  co_return Done();
}

}  // namespace

void add_xattr_operations(fuse_lowlevel_ops& operations) {
  operations.setxattr = [](fuse_req_t request, fuse_ino_t number, const char* name, const char* value,
                           std::size_t bytes, int flags) {
    if (const int refusal = refusal_of(name); refusal != 0) {
      ::fuse_reply_err(request, refusal);
      return;
    }
    const ByteView view = as_bytes(std::string_view(value, bytes));
    start(request, "setxattr", number, set_xattr, name, Bytes(view.begin(), view.end()), flags);
  };
  operations.getxattr = [](fuse_req_t request, fuse_ino_t number, const char* name, std::size_t room) {
    if (const int refusal = refusal_of(name); refusal != 0) {
      ::fuse_reply_err(request, is_capability(name) ? ENODATA : refusal);
      return;
    }
    start(request, "getxattr", number, get_xattr, name, room);
  };
  operations.listxattr = [](fuse_req_t request, fuse_ino_t number, std::size_t room) {
    start(request, "listxattr", number, list_xattrs, room);
  };
  operations.removexattr = [](fuse_req_t request, fuse_ino_t number, const char* name) {
    start(request, "removexattr", number, remove_xattr, name);
  };
}

}  // namespace cenote::fuse
