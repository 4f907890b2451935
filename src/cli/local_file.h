#pragma once

#include <istream>
#include <string>
#include <string_view>

#include "cenote/base/error.h"

namespace cenote::cli {

/// How much of a file is copied at a time.
inline constexpr std::size_t kCopyBytes = 4u << 20;

/// Closes a file when it goes.
class FileDescriptor {
 public:
  explicit FileDescriptor(int fd) : fd_(fd) {}
  FileDescriptor(const FileDescriptor&) = delete;
  FileDescriptor& operator=(const FileDescriptor&) = delete;
  ~FileDescriptor();
  int get() const { return fd_; }

 private:
  int fd_;
};

/// What errno says, as an error that names the file.
Error system_error(std::string_view what, const std::string& path);
/// All that is left of a stream; by pieces, since iterators go byte by byte.
std::string read_all(std::istream& in);
std::string join(std::string directory, std::string_view name);

}  // namespace cenote::cli
