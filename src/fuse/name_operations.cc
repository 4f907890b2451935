#include <fcntl.h>
#include <sys/stat.h>

#include <cerrno>

#include "request.h"

// Names: everything that finds, makes, renames or removes one.
namespace cenote::fuse {
namespace {

using posix::Found;

Task<Result<Found>> look_up(Request& request, std::string name) {
  request.translate(Code::kGone, ENOENT);
  CO_TRY(posix::Node directory, request.node());
  co_return co_await request.files().lookup(std::move(directory), std::move(name), request.until());
}

// In a directory that is removed nothing is made, and that is said as Linux says it: ENOENT.

Task<Result<Found>> make_directory(Request& request, std::string name, mode_t mode) {
  request.translate(Code::kGone, ENOENT);
  CO_TRY(posix::Node directory, request.node());
  co_return co_await request.files().make_directory(std::move(directory), std::move(name), request.creation(mode),
                                                    request.until());
}

Task<Result<Found>> make_symlink(Request& request, std::string target, std::string name) {
  request.translate(Code::kGone, ENOENT);
  CO_TRY(posix::Node directory, request.node());
  co_return co_await request.files().make_symlink(std::move(directory), std::move(name), std::move(target),
                                                  request.creation(0777), request.until());
}

Result<posix::FileType> special_type(mode_t mode) {
  switch (mode & S_IFMT) {
    case S_IFIFO:
      return posix::FileType::kFifo;
    case S_IFSOCK:
      return posix::FileType::kSocket;
    case S_IFCHR:
      return posix::FileType::kCharacterDevice;
    case S_IFBLK:
      return posix::FileType::kBlockDevice;
    default:
      return fail(Code::kInvalidArgument);
  }
}

Task<Result<Found>> make_node(Request& request, std::string name, mode_t mode, dev_t device) {
  request.translate(Code::kGone, ENOENT);
  CO_TRY(posix::Node directory, request.node());
  posix::CreateOptions options = request.creation(mode);
  if (S_ISREG(mode)) {
    options.exclusive = true;
    CO_TRY(auto made,
           co_await request.files().create_file(std::move(directory), std::move(name), options, request.until()));
    co_return std::move(made.found);
  }
  CO_TRY(const posix::FileType type, special_type(mode));
  co_return co_await request.files().make_special(std::move(directory), std::move(name), type,
                                                  static_cast<std::uint32_t>(device), options, request.until());
}

Task<Result<Found>> link(Request& request, fuse_ino_t directory_number, std::string name) {
  request.translate(Code::kOutOfRange, EMLINK);
  request.translate(Code::kGone, ENOENT);
  CO_TRY(posix::Node node, request.node());
  CO_TRY(posix::Node directory, request.node(directory_number));
  CO_TRY(const posix::Attributes attributes,
         co_await request.files().link(node, std::move(directory), std::move(name), request.until()));
  co_return Found{.node = std::move(node), .attributes = attributes};
}

Task<Result<Done>> unlink(Request& request, std::string name) {
  CO_TRY(posix::Node directory, request.node());
  CO_CHECK_OK(co_await request.files().unlink(std::move(directory), std::move(name), request.until()));
  co_return Done();
}

Task<Result<Done>> remove_directory(Request& request, std::string name) {
  CO_TRY(posix::Node directory, request.node());
  CO_CHECK_OK(co_await request.files().remove_directory(std::move(directory), std::move(name), request.until()));
  co_return Done();
}

Result<posix::RenameMode> rename_mode(unsigned flags) {
  switch (flags) {
    case 0:
      return posix::RenameMode::kReplace;
    case RENAME_NOREPLACE:
      return posix::RenameMode::kNoReplace;
    case RENAME_EXCHANGE:
      return posix::RenameMode::kExchange;
    default:
      return fail(Code::kInvalidArgument);
  }
}

Task<Result<Done>> rename(Request& request, std::string name, fuse_ino_t to_number, std::string new_name,
                          unsigned flags) {
  CO_TRY(const posix::RenameMode mode, rename_mode(flags));
  CO_TRY(posix::Node from, request.node());
  CO_TRY(posix::Node to, request.node(to_number));
  CO_CHECK_OK(co_await request.files().rename(std::move(from), std::move(name), std::move(to), std::move(new_name),
                                              mode, request.until()));
  co_return Done();
}

Task<Result<std::string>> read_link(Request& request) {
  CO_TRY(posix::Node node, request.node());
  co_return co_await request.files().read_link(std::move(node), request.until());
}

}  // namespace

void add_name_operations(fuse_lowlevel_ops& operations) {
  operations.lookup = [](fuse_req_t request, fuse_ino_t parent, const char* name) {
    start(request, "lookup", parent, look_up, name);
  };
  operations.forget = [](fuse_req_t request, fuse_ino_t number, std::uint64_t lookups) {
    Front::Impl::of(request).forget(number, lookups);
    ::fuse_reply_none(request);
  };
  operations.forget_multi = [](fuse_req_t request, std::size_t count, fuse_forget_data* forgotten) {
    for (std::size_t i = 0; i < count; ++i) Front::Impl::of(request).forget(forgotten[i].ino, forgotten[i].nlookup);
    ::fuse_reply_none(request);
  };
  operations.mknod = [](fuse_req_t request, fuse_ino_t parent, const char* name, mode_t mode, dev_t device) {
    start(request, "mknod", parent, make_node, name, mode, device);
  };
  operations.mkdir = [](fuse_req_t request, fuse_ino_t parent, const char* name, mode_t mode) {
    start(request, "mkdir", parent, make_directory, name, mode);
  };
  operations.symlink = [](fuse_req_t request, const char* target, fuse_ino_t parent, const char* name) {
    start(request, "symlink", parent, make_symlink, target, name);
  };
  operations.link = [](fuse_req_t request, fuse_ino_t number, fuse_ino_t parent, const char* name) {
    start(request, "link", number, link, parent, name);
  };
  operations.unlink = [](fuse_req_t request, fuse_ino_t parent, const char* name) {
    start(request, "unlink", parent, unlink, name);
  };
  operations.rmdir = [](fuse_req_t request, fuse_ino_t parent, const char* name) {
    start(request, "rmdir", parent, remove_directory, name);
  };
  operations.rename = [](fuse_req_t request, fuse_ino_t parent, const char* name, fuse_ino_t new_parent,
                         const char* new_name, unsigned flags) {
    start(request, "rename", parent, rename, name, new_parent, new_name, flags);
  };
  operations.readlink = [](fuse_req_t request, fuse_ino_t number) { start(request, "readlink", number, read_link); };
}

}  // namespace cenote::fuse
