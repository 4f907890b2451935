#include <fcntl.h>
#include <linux/falloc.h>
#include <unistd.h>

#include <cerrno>

#include "request.h"

// Open files and their data.
namespace cenote::fuse {
namespace {

bool is_writable(int flags) { return (flags & O_ACCMODE) != O_RDONLY; }

/// What the kernel may do with an open file: `flags` are those of open(2).
OpenedFile opened(const Request& request, posix::File file, int flags) {
  OpenedFile result{.file = {.file = std::move(file)}};
  const bool alone = request.front().options.session.single_client;
  // The kernel takes its own idea of a file's end for true, and would keep what it writes under a wrong place.
  result.file.appends = !alone && is_writable(flags) && (flags & O_APPEND) != 0;
  result.info.direct_io = result.file.appends ? 1 : 0;
  // Pages of an earlier time are dropped when it is opened: what another client wrote and closed is seen.
  result.info.keep_cache = alone ? 1 : 0;
  result.info.noflush = is_writable(flags) ? 0 : 1;
  return result;
}

Task<Result<OpenedFile>> open(Request& request, int flags) {
  CO_TRY(posix::Node node, request.node());
  if (is_writable(flags) && node.is_in_snapshot()) co_return fail(Code::kReadOnly);
  CO_TRY(posix::File file, request.files().open_file(std::move(node)));
  co_return opened(request, std::move(file), flags);
}

Task<Result<CreatedFile>> create(Request& request, std::string name, mode_t mode, int flags) {
  request.translate(Code::kGone, ENOENT);
  CO_TRY(posix::Node directory, request.node());
  posix::CreateOptions options = request.creation(mode);
  options.exclusive = (flags & O_EXCL) != 0;
  options.truncate = (flags & O_TRUNC) != 0;
  CO_TRY(auto made,
         co_await request.files().create_file(std::move(directory), std::move(name), options, request.until()));
  CO_TRY(posix::File file, request.files().open_file(made.found.node));
  co_return CreatedFile{.found = std::move(made.found), .opened = opened(request, std::move(file), flags)};
}

Task<Result<DataRead>> read(Request& request, std::uint64_t handle, std::size_t bytes, std::uint64_t offset) {
  CO_TRY(const OpenFile* open, request.open_file(handle));
  posix::File file = open->file;
  DataRead data{.memory = request.front().session->spare_memory()};
  const MutableBytes into = data.memory.data().first(std::min(bytes, kTransferBytesMax));
  CO_TRY(data.bytes, co_await file.read(offset, into, request.until()));
  co_return data;
}

/// `memory` holds the request, and with it the data.
Task<Result<Written>> write(Request& request, std::uint64_t handle, Session::Memory memory, ByteView data,
                            std::uint64_t offset, bool at_end) {
  static_cast<void>(memory);
  CO_TRY(OpenFile * open, request.open_file(handle));
  open->is_written = true;
  posix::File file = open->file;
  if (at_end && open->appends) {
    CO_CHECK_OK(co_await file.append(data, request.until()));
  } else {
    CO_CHECK_OK(co_await file.write(offset, data, request.until()));
  }
  co_return Written{data.size()};
}

/// Data is durable when it is written. What is left to tell are the times, so that others see that it has changed.
Task<Result<Done>> make_known(Request& request, std::uint64_t handle) {
  CO_TRY(OpenFile * open, request.open_file(handle));
  if (!open->is_written) co_return Done();
  open->is_written = false;
  posix::File file = open->file;
  CO_CHECK_OK(co_await file.sync(request.until()));
  co_return Done();
}

Task<Result<Done>> release(Request& request, std::uint64_t handle) {
  CO_TRY(const OpenFile* open, request.open_file(handle));
  posix::File file = open->file;
  request.front().files_open.erase(handle);
  CO_CHECK_OK(co_await file.close(request.until()));
  co_return Done();
}

constexpr int kKnownModes = FALLOC_FL_KEEP_SIZE | FALLOC_FL_PUNCH_HOLE | FALLOC_FL_ZERO_RANGE;

Task<Result<Done>> allocate(Request& request, std::uint64_t handle, int mode, std::uint64_t offset,
                            std::uint64_t bytes) {
  if ((mode & ~kKnownModes) != 0) co_return fail(Code::kUnsupported);
  CO_TRY(OpenFile * open, request.open_file(handle));
  open->is_written = true;
  posix::File file = open->file;
  if ((mode & (FALLOC_FL_PUNCH_HOLE | FALLOC_FL_ZERO_RANGE)) != 0) {
    CO_CHECK_OK(co_await file.punch(offset, bytes, request.until()));
  }
  if ((mode & FALLOC_FL_KEEP_SIZE) == 0) {
    CO_CHECK_OK(co_await file.extend(offset + bytes, request.until()));
  }
  co_return Done();
}

Task<Result<Place>> seek(Request& request, std::uint64_t handle, std::uint64_t offset, int whence) {
  request.translate(Code::kOutOfRange, ENXIO);
  CO_TRY(const OpenFile* open, request.open_file(handle));
  posix::File file = open->file;
  if (whence != SEEK_DATA && whence != SEEK_HOLE) co_return fail(Code::kInvalidArgument);
  CO_TRY(const std::uint64_t found,
         co_await file.seek(offset, whence == SEEK_DATA ? posix::SeekTarget::kData : posix::SeekTarget::kHole,
                            request.until()));
  co_return Place{found};
}

}  // namespace

void add_file_operations(fuse_lowlevel_ops& operations) {
  operations.open = [](fuse_req_t request, fuse_ino_t number, fuse_file_info* info) {
    start(request, "open", number, open, info->flags);
  };
  operations.create = [](fuse_req_t request, fuse_ino_t parent, const char* name, mode_t mode, fuse_file_info* info) {
    start(request, "create", parent, create, name, mode, info->flags);
  };
  operations.read = [](fuse_req_t request, fuse_ino_t number, std::size_t bytes, off_t offset, fuse_file_info* info) {
    start(request, "read", number, read, info->fh, bytes, static_cast<std::uint64_t>(offset));
  };
  operations.write = [](fuse_req_t request, fuse_ino_t number, const char* data, std::size_t bytes, off_t offset,
                        fuse_file_info* info) {
    // Pages that the kernel writes by itself have their place.
    const bool at_end = info->writepage == 0 && (info->flags & O_APPEND) != 0;
    start(request, "write", number, write, info->fh, Front::Impl::of(request).session->keep_request(),
          as_bytes(std::string_view(data, bytes)), static_cast<std::uint64_t>(offset), at_end);
  };
  operations.flush = [](fuse_req_t request, fuse_ino_t number, fuse_file_info* info) {
    start(request, "flush", number, make_known, info->fh);
  };
  operations.fsync = [](fuse_req_t request, fuse_ino_t number, int, fuse_file_info* info) {
    start(request, "fsync", number, make_known, info->fh);
  };
  operations.release = [](fuse_req_t request, fuse_ino_t number, fuse_file_info* info) {
    start(request, "release", number, release, info->fh);
  };
  operations.fallocate = [](fuse_req_t request, fuse_ino_t number, int mode, off_t offset, off_t bytes,
                            fuse_file_info* info) {
    start(request, "fallocate", number, allocate, info->fh, mode, static_cast<std::uint64_t>(offset),
          static_cast<std::uint64_t>(bytes));
  };
  operations.lseek = [](fuse_req_t request, fuse_ino_t number, off_t offset, int whence, fuse_file_info* info) {
    start(request, "lseek", number, seek, info->fh, static_cast<std::uint64_t>(offset), whence);
  };
}

}  // namespace cenote::fuse
