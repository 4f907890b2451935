#include "cenote/base/format.h"
#include "impl.h"

namespace cenote::posix {
namespace {

constexpr std::string_view kXattrDkey = "x";
constexpr std::size_t kMaxXattrBytes = 65536;

Result<> validate_xattr(std::string_view name) {
  if (name.empty() || name.size() > kMaxNameBytes || name.contains('\0')) {
    return failf(Code::kInvalidArgument, "the name of an extended attribute has 1 to {} bytes and no zero",
                 kMaxNameBytes);
  }
  return {};
}

}  // namespace

Task<Result<>> FileSystem::set_xattr(std::string path, std::string name, Bytes value, Until until) {
  CO_CHECK_OK(validate_xattr(name));
  if (value.size() > kMaxXattrBytes) {
    co_return failf(Code::kValueTooLarge, "extended attribute '{}' of {} bytes is over the limit of {}", name,
                    value.size(), kMaxXattrBytes);
  }
  CO_TRY(Resolved found, co_await impl_->resolve_existing(std::move(path), true, until));
  // The mark first: a companion without a mark would outlive its object.
  if (!found.inode->has_xattrs) {
    found.inode->has_xattrs = true;
    CO_CHECK_OK(co_await impl_->entries.replace(found.place, *found.inode, until));
  }
  UpdateRequest request;
  request.object = xattr_object(found.inode->object);
  request.dkey = to_bytes(as_bytes(kXattrDkey));
  AkeyUpdate& attribute = request.akeys.emplace_back();
  attribute.akey = to_bytes(as_bytes(name));
  attribute.bytes = value.size();
  CO_CHECK_OK(co_await impl_->entries.container().update(std::move(request), {ByteView(value)}, until));
  co_return Result<>();
}

Task<Result<Bytes>> FileSystem::get_xattr(std::string path, std::string name, Until until) {
  CO_CHECK_OK(validate_xattr(name));
  CO_TRY(const Resolved found, co_await impl_->resolve_existing(path, true, until));
  FetchRequest request;
  request.object = xattr_object(found.inode->object);
  request.dkey = to_bytes(as_bytes(kXattrDkey));
  AkeyFetch& attribute = request.akeys.emplace_back();
  attribute.akey = to_bytes(as_bytes(name));
  attribute.max_bytes = kMaxXattrBytes;
  Bytes value(kMaxXattrBytes);
  CO_TRY(const FetchReply reply,
         co_await impl_->entries.container().fetch(std::move(request), {MutableBytes(value)}, until));
  if (!reply.akeys[0].exists) co_return failf(Code::kNotFound, "'{}' has no extended attribute '{}'", path, name);
  value.resize(reply.akeys[0].bytes);
  co_return value;
}

Task<Result<std::vector<std::string>>> FileSystem::list_xattrs(std::string path, Until until) {
  CO_TRY(const Resolved found, co_await impl_->resolve_existing(std::move(path), true, until));
  std::vector<std::string> names;
  if (!found.inode->has_xattrs) co_return names;
  ListRequest request;
  request.object = xattr_object(found.inode->object);
  request.level = ListLevel::kAkeys;
  request.dkey = to_bytes(as_bytes(kXattrDkey));
  do {
    CO_TRY(ListReply page, co_await impl_->entries.container().list(request, until));
    for (const ListedKey& listed : page.keys) names.push_back(to_text(listed.key));
    request.anchor = std::move(page.anchor);
  } while (!request.anchor.empty());
  co_return names;
}

Task<Result<>> FileSystem::remove_xattr(std::string path, std::string name, Until until) {
  CO_CHECK_OK(validate_xattr(name));
  CO_TRY(const Resolved found, co_await impl_->resolve_existing(path, true, until));
  PunchRequest request;
  request.object = xattr_object(found.inode->object);
  request.level = PunchLevel::kAkey;
  request.condition = Precondition::kPresent;
  request.dkey = to_bytes(as_bytes(kXattrDkey));
  request.akeys.push_back(to_bytes(as_bytes(name)));
  auto punched = co_await impl_->entries.container().punch(std::move(request), until);
  if (!punched && punched.error() == Code::kConditionFailed) {
    co_return failf(Code::kNotFound, "'{}' has no extended attribute '{}'", path, name);
  }
  CO_CHECK_OK(std::move(punched));
  co_return Result<>();
}

}  // namespace cenote::posix
