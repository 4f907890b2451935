#include <sys/stat.h>

#include "request.h"

// Attributes of nodes, and of the whole.
namespace cenote::fuse {
namespace {

Task<Result<posix::Attributes>> get_attributes(Request& request) {
  CO_TRY(posix::Node node, request.node());
  auto attributes = co_await request.files().attributes(node, request.until());
  if (attributes || attributes.error() != Code::kGone) co_return attributes;
  // A program may be in a removed directory, or have a pipe open that has no name any more; files are kept for that.
  const posix::Attributes* last = request.front().nodes.last_told(node.number());
  if (last == nullptr) co_return attributes;
  attributes = *last;
  attributes->links = 0;
  co_return attributes;
}

WallTime wall_time(const timespec& time) {
  return WallTime(std::chrono::seconds(time.tv_sec) + std::chrono::nanoseconds(time.tv_nsec));
}

/// Which of the values are to be set say bits of `which`.
posix::AttributeChange change_of(const struct stat& values, int which, WallTime now) {
  posix::AttributeChange change;
  if ((which & FUSE_SET_ATTR_MODE) != 0) change.mode = values.st_mode & 07777u;
  if ((which & FUSE_SET_ATTR_UID) != 0) change.uid = values.st_uid;
  if ((which & FUSE_SET_ATTR_GID) != 0) change.gid = values.st_gid;
  if ((which & FUSE_SET_ATTR_SIZE) != 0) change.size = static_cast<std::uint64_t>(values.st_size);
  if ((which & FUSE_SET_ATTR_ATIME) != 0) change.atime = wall_time(values.st_atim);
  if ((which & FUSE_SET_ATTR_MTIME) != 0) change.mtime = wall_time(values.st_mtim);
  if ((which & FUSE_SET_ATTR_ATIME_NOW) != 0) change.atime = now;
  if ((which & FUSE_SET_ATTR_MTIME_NOW) != 0) change.mtime = now;
  return change;
}

Task<Result<posix::Attributes>> set_attributes(Request& request, struct stat values, int which) {
  CO_TRY(posix::Node node, request.node());
  co_return co_await request.files().set_attributes(
      std::move(node), change_of(values, which, request.front().reactor.wall_now()), request.until());
}

Task<Result<posix::SpaceInfo>> get_space(Request& request) {
  co_return co_await request.files().space(request.until());
}

}  // namespace

void add_attribute_operations(fuse_lowlevel_ops& operations) {
  operations.getattr = [](fuse_req_t request, fuse_ino_t number, fuse_file_info*) {
    start(request, "getattr", number, get_attributes);
  };
  operations.setattr = [](fuse_req_t request, fuse_ino_t number, struct stat* values, int which, fuse_file_info*) {
    start(request, "setattr", number, set_attributes, *values, which);
  };
  operations.statfs = [](fuse_req_t request, fuse_ino_t number) { start(request, "statfs", number, get_space); };
}

}  // namespace cenote::fuse
