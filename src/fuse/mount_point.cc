#include "mount_point.h"

#include <dirent.h>
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstdio>
#include <string_view>
#include <system_error>

#include "cenote/base/format.h"

namespace cenote::fuse {
namespace {

std::string reason(int error) { return std::generic_category().message(error); }

Error not_reachable(const std::string& path, int number) {
  switch (number) {
    case ENOENT:
      return Error(Code::kNotFound, fmt::format("no directory '{}' to mount on: create it first", path));
    case ENOTDIR:
      return Error(Code::kNotADirectory, fmt::format("'{}' leads through something that is no directory", path));
    case EACCES:
    case EPERM:
      return Error(Code::kPermissionDenied, fmt::format("no permission to reach the mount point '{}'", path));
    case ENOTCONN:
    case ECONNABORTED:
      return Error(Code::kExists, fmt::format("on '{0}' is a mount whose process has gone: 'cenote fs unmount {0}' "
                                              "takes it away",
                                              path));
    default:
      return Error(Code::kIoError, fmt::format("cannot use '{}' as mount point: {}", path, reason(number)));
  }
}

/// Something mounted there has another device than the directory it is in.
bool is_mounted_on(const std::string& path, const struct stat& status) {
  struct stat parent{};
  if (::stat((path + "/..").c_str(), &parent) != 0) return false;
  return parent.st_dev != status.st_dev;
}

/// Zero, or an error number; ENOTEMPTY if it holds anything.
int check_empty(const std::string& path) {
  DIR* directory = ::opendir(path.c_str());
  if (directory == nullptr) return errno;
  int found = 0;
  while (const dirent* entry = ::readdir(directory)) {
    const std::string_view name(static_cast<const char*>(entry->d_name));
    if (name != "." && name != "..") found = ENOTEMPTY;
  }
  ::closedir(directory);
  return found;
}

}  // namespace

Result<> check_mount_point(const std::string& path) {
  struct stat status{};
  if (::stat(path.c_str(), &status) != 0) return fail(not_reachable(path, errno));
  if (!S_ISDIR(status.st_mode))
    return failf(Code::kNotADirectory, "'{}' is no directory, so nothing can be mounted on it", path);
  if (is_mounted_on(path, status)) return failf(Code::kExists, "something is mounted on '{}' already", path);
  switch (const int error = check_empty(path)) {
    case 0:
      return {};
    case ENOTEMPTY:
      return failf(Code::kNotEmpty,
                   "'{}' is not empty: what is in it would be hidden by the mount; choose an empty directory", path);
    default:
      return fail(not_reachable(path, error));
  }
}

Result<> check_fuse_device() {
  const int device = ::open("/dev/fuse", O_RDWR | O_CLOEXEC);
  if (device >= 0) {
    ::close(device);
    return {};
  }
  switch (errno) {
    case ENOENT:
    case ENODEV:
    case ENXIO:
      return failf(Code::kUnsupported,
                   "no FUSE on this machine (/dev/fuse): load the kernel module with 'modprobe fuse', or give the "
                   "container the device");
    case EACCES:
    case EPERM:
      return failf(Code::kPermissionDenied, "this user may not open /dev/fuse: {}", reason(errno));
    default:
      return failf(Code::kIoError, "cannot open /dev/fuse: {}", reason(errno));
  }
}

Error mount_failure(const std::string& path, int number, const std::string& said) {
  const std::string why = said.empty() ? reason(number) : said;
  if (said.contains("user_allow_other"))
    return Error(Code::kPermissionDenied, "--multi-user needs root, or 'user_allow_other' in /etc/fuse.conf");
  if (said.contains("fusermount3") && said.contains("No such file"))
    return Error(Code::kUnsupported, "only root can mount without fusermount3: install the package fuse3");
  if (number == EPERM || number == EACCES || said.contains("ermission denied") || said.contains("not permitted"))
    return Error(Code::kPermissionDenied, fmt::format("no permission to mount on '{}': {}", path, why));
  return Error(Code::kIoError, fmt::format("cannot mount on '{}': {}", path, why));
}

CapturedErrors::CapturedErrors() {
  memory_ = ::memfd_create("messages", MFD_CLOEXEC);
  if (memory_ < 0) return;
  std::fflush(stderr);
  original_ = ::fcntl(STDERR_FILENO, F_DUPFD_CLOEXEC, 3);
  ::dup2(memory_, STDERR_FILENO);
}

CapturedErrors::~CapturedErrors() {
  if (memory_ < 0) return;
  std::fflush(stderr);
  if (original_ >= 0) {
    ::dup2(original_, STDERR_FILENO);
    ::close(original_);
  } else {
    ::close(STDERR_FILENO);  // as it was
  }
  ::close(memory_);
}

std::string CapturedErrors::text() const {
  if (memory_ < 0) return {};
  std::fflush(stderr);
  std::array<char, 1024> bytes{};
  const ssize_t got = ::pread(memory_, bytes.data(), bytes.size(), 0);
  std::string text(bytes.data(), got > 0 ? static_cast<std::size_t>(got) : 0);
  while (text.ends_with('\n')) text.pop_back();
  for (char& c : text) {
    if (c == '\n') c = ';';
  }
  return text;
}

}  // namespace cenote::fuse
