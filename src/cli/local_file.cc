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

std::string read_all(std::istream& in) {
  constexpr std::size_t kPieceBytes = 64u << 10;
  std::string text;
  while (in) {
    const std::size_t before = text.size();
    text.resize(before + kPieceBytes);
    in.read(text.data() + before, kPieceBytes);
    text.resize(before + static_cast<std::size_t>(in.gcount()));
  }
  return text;
}

std::string join(std::string directory, std::string_view name) {
  if (!directory.ends_with('/')) directory += '/';
  return directory.append(name);
}

}  // namespace cenote::cli
