#include "local_file.h"

#include <unistd.h>

#include <cerrno>
#include <cstring>

#include "cenote/base/format.h"

namespace cenote::cli {

FileDescriptor::~FileDescriptor() {
  if (fd_ >= 0) ::close(fd_);
}

Error system_error(std::string_view what, const std::string& path) {
  const int number = errno;
  const Code code = number == ENOENT                      ? Code::kNotFound
                    : number == EACCES || number == EPERM ? Code::kPermissionDenied
                    : number == ENOSPC                    ? Code::kDeviceFull
                                                          : Code::kIoError;
  return Error(code, fmt::format("cannot {} '{}': {}", what, path, std::strerror(number)));
}

std::string join(std::string directory, std::string_view name) {
  if (!directory.ends_with('/')) directory += '/';
  return directory.append(name);
}

}  // namespace cenote::cli
