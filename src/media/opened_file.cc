#include "opened_file.h"

#include <fcntl.h>
#include <linux/fs.h>
#include <linux/magic.h>
#include <sys/file.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/statfs.h>
#include <unistd.h>

#include <cerrno>
#include <filesystem>
#include <system_error>

#include "cenote/base/assert.h"
#include "cenote/base/format.h"
#include "write_cache.h"

namespace cenote::media {
namespace {

constexpr mode_t kFileMode = 0600;

std::string reason(int error) { return std::generic_category().message(error); }

std::unexpected<Error> open_failed(const std::string& path, int error) {
  switch (error) {
    case ENOENT:
      return failf(Code::kNotFound, "'{}' does not exist", path);
    case ENOTDIR:
    case ELOOP:
    case ENAMETOOLONG:
      return failf(Code::kInvalidArgument, "'{}' is no usable path: {}", path, reason(error));
    case EACCES:
    case EPERM:
      return failf(Code::kPermissionDenied, "'{}' may not be read and written by this user: check owner and mode",
                   path);
    case EROFS:
      return failf(Code::kPermissionDenied, "'{}' is on a read-only file system", path);
    case EISDIR:
      return failf(Code::kInvalidArgument, "'{}' is a directory, a file or block device is needed", path);
    case EBUSY:
      return failf(Code::kLocked, "'{}' is in use: mounted, part of another device, or open elsewhere", path);
    case ENXIO:
    case ENODEV:
      return failf(Code::kIoError, "'{}' has no device behind it", path);
    default:
      return failf(Code::kIoError, "cannot open '{}': {}", path, reason(error));
  }
}

std::unexpected<Error> resize_failed(const std::string& path, std::uint64_t bytes, int error) {
  if (error == ENOSPC || error == EDQUOT || error == EFBIG) {
    return failf(Code::kDeviceFull, "no room to create '{}' with {} bytes: {}", path, bytes, reason(error));
  }
  return failf(Code::kIoError, "cannot give '{}' its {} bytes: {}", path, bytes, reason(error));
}

struct Opened {
  FileDescriptor fd;
  bool created = false;
};

bool is_block_device(const std::string& path) {
  struct stat status{};
  return ::stat(path.c_str(), &status) == 0 && S_ISBLK(status.st_mode);
}

// Opens what exists, or creates it when that is asked for. Direct where the file system lets it open so.
Result<Opened> open_or_create(const std::string& path, const UringDeviceOptions& options) {
  int flags = O_RDWR | O_CLOEXEC | O_NOCTTY;
  if (options.exclusive && is_block_device(path)) flags |= O_EXCL;
  if (options.direct) flags |= O_DIRECT;
  int create = 0;
  for (;;) {
    const int fd = ::open(path.c_str(), flags | create, kFileMode);
    if (fd >= 0) return Opened{FileDescriptor(fd), create != 0};
    if (errno == EINTR) continue;
    if (errno == EINVAL && (flags & O_DIRECT) != 0) {
      flags &= ~O_DIRECT;
    } else if (errno == ENOENT && options.create_bytes > 0 && create == 0) {
      create = O_CREAT | O_EXCL;
    } else if (errno == EEXIST && create != 0) {
      create = 0;
    } else if (errno == ENOENT && create != 0) {
      return failf(Code::kNotFound, "'{}' cannot be created: its directory does not exist", path);
    } else {
      return open_failed(path, errno);
    }
  }
}

Result<> lock(int fd, const std::string& path) {
  if (::flock(fd, LOCK_EX | LOCK_NB) == 0) return {};
  if (errno == EWOULDBLOCK) return failf(Code::kLocked, "'{}' is open in another process", path);
  return failf(Code::kIoError, "cannot lock '{}': {}", path, reason(errno));
}

// The name of a new file is durable only when its directory is.
Result<> sync_directory_of(const std::string& path) {
  std::filesystem::path directory = std::filesystem::path(path).parent_path();
  if (directory.empty()) directory = ".";
  const FileDescriptor fd(::open(directory.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (!fd || ::fsync(fd.get()) != 0) {
    return failf(Code::kIoError, "cannot make the name '{}' durable: {}", path, reason(errno));
  }
  return {};
}

// The size is set last and in one step: a crash leaves a file that is still empty, and the next open begins anew.
Result<> give_size(int fd, const std::string& path, std::uint64_t bytes) {
  const auto size = static_cast<off_t>(bytes);
  int result = 0;
  do {
    result = ::fallocate(fd, FALLOC_FL_KEEP_SIZE, 0, size);
  } while (result != 0 && errno == EINTR);
  // Without reservations (ZFS, some network file systems) the file is sparse and may run full later.
  if (result != 0 && errno != EOPNOTSUPP) return resize_failed(path, bytes, errno);
  if (::ftruncate(fd, size) != 0 || ::fsync(fd) != 0) return resize_failed(path, bytes, errno);
  return sync_directory_of(path);
}

Result<std::uint64_t> size_of_block_device(int fd, const std::string& path) {
  std::uint64_t bytes = 0;
  int sector_bytes = 0;
  if (::ioctl(fd, BLKGETSIZE64, &bytes) != 0 || ::ioctl(fd, BLKSSZGET, &sector_bytes) != 0) {
    return failf(Code::kIoError, "cannot read the size of '{}': {}", path, reason(errno));
  }
  if (sector_bytes > static_cast<int>(kBlockBytes)) {
    return failf(Code::kUnsupported, "'{}' has sectors of {} bytes; at most {} are supported", path, sector_bytes,
                 kBlockBytes);
  }
  return bytes;
}

Result<std::uint64_t> size_of_file(const Opened& opened, const std::string& path, std::uint64_t present_bytes,
                                   std::uint64_t create_bytes) {
  if (present_bytes > 0 || create_bytes == 0) return present_bytes;
  Result<> sized = give_size(opened.fd.get(), path, create_bytes);
  if (!sized) {
    // Locked since before it had a size, so nobody else has begun to use it.
    if (opened.created) ::unlink(path.c_str());
    return fail(std::move(sized).error());
  }
  return create_bytes;
}

// Some file systems open with O_DIRECT and then refuse to read so, or want coarser alignment than ours.
bool can_read_directly(int fd) {
  alignas(kBlockBytes) std::byte block[kBlockBytes];
  return ::pread(fd, block, sizeof block, 0) >= 0 || errno != EINVAL;
}

bool is_in_memory(int fd, const struct stat& status) {
  struct statfs system{};
  return S_ISREG(status.st_mode) && ::fstatfs(fd, &system) == 0 &&
         (system.f_type == TMPFS_MAGIC || system.f_type == RAMFS_MAGIC);
}

WriteCache write_cache_of_file(bool in_memory, const struct stat& status) {
  if (in_memory) return WriteCache::kMemory;
  return write_cache_of(S_ISBLK(status.st_mode) ? status.st_rdev : status.st_dev);
}

Result<bool> settle_direct(int fd, const std::string& path) {
  const int flags = ::fcntl(fd, F_GETFL);
  if (flags < 0) return failf(Code::kIoError, "cannot read the mode of '{}': {}", path, reason(errno));
  if ((flags & O_DIRECT) == 0) return false;
  if (can_read_directly(fd)) return true;
  if (::fcntl(fd, F_SETFL, flags & ~O_DIRECT) != 0) {
    return failf(Code::kIoError, "cannot leave direct I/O on '{}': {}", path, reason(errno));
  }
  return false;
}

}  // namespace

Result<std::uint64_t> measure_file(int fd, const std::string& path) {
  struct stat status{};
  if (::fstat(fd, &status) != 0) return failf(Code::kIoError, "cannot examine '{}': {}", path, reason(errno));
  auto bytes = static_cast<std::uint64_t>(status.st_size);
  if (S_ISBLK(status.st_mode)) {
    TRY(bytes, size_of_block_device(fd, path));
  }
  return bytes / kBlockBytes;
}

void FileDescriptor::reset() {
  if (fd_ >= 0) ::close(std::exchange(fd_, -1));
}

Result<OpenedFile> open_file(const std::string& path, const UringDeviceOptions& options) {
  if (options.create_bytes % kBlockBytes != 0) {
    return failf(Code::kInvalidArgument, "size {} for '{}' is no multiple of {}", options.create_bytes, path,
                 kBlockBytes);
  }
  TRY(Opened opened, open_or_create(path, options));
  const int fd = opened.fd.get();
  if (options.exclusive) CHECK_OK(lock(fd, path));
  struct stat status{};
  if (::fstat(fd, &status) != 0) return failf(Code::kIoError, "cannot examine '{}': {}", path, reason(errno));

  std::uint64_t bytes = 0;
  if (S_ISBLK(status.st_mode)) {
    TRY(bytes, size_of_block_device(fd, path));
  } else if (S_ISREG(status.st_mode)) {
    TRY(bytes, size_of_file(opened, path, static_cast<std::uint64_t>(status.st_size), options.create_bytes));
  } else {
    return failf(Code::kInvalidArgument, "'{}' is neither a file nor a block device", path);
  }
  if (bytes < kBlockBytes) {
    return failf(Code::kInvalidArgument, "'{}' has {} bytes, less than one block of {}", path, bytes, kBlockBytes);
  }

  OpenedFile file;
  TRY(file.direct, settle_direct(fd, path));
  file.in_memory = is_in_memory(fd, status);
  file.prefers_durable_writes = durable_writes_are_cheap(write_cache_of_file(file.in_memory, status), file.direct);
  file.block_count = bytes / kBlockBytes;
  file.fd = std::move(opened.fd);
  return file;
}

}  // namespace cenote::media
