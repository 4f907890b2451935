#pragma once

#include <cstdint>
#include <string>
#include <utility>

#include "cenote/base/error.h"
#include "cenote/media/uring_device.h"

namespace cenote::media {

/// Owns a file descriptor.
class FileDescriptor {
 public:
  FileDescriptor() = default;
  explicit FileDescriptor(int fd) : fd_(fd) {}
  FileDescriptor(FileDescriptor&& other) noexcept : fd_(std::exchange(other.fd_, -1)) {}
  FileDescriptor& operator=(FileDescriptor&& other) noexcept {
    std::swap(fd_, other.fd_);
    return *this;
  }
  ~FileDescriptor() { reset(); }

  int get() const { return fd_; }
  explicit operator bool() const { return fd_ >= 0; }
  void reset();

 private:
  int fd_ = -1;
};

/// A file or block device that is open, locked, and large enough to be used.
struct OpenedFile {
  FileDescriptor fd;
  std::uint64_t block_count = 0;
  bool direct = false;
  bool prefers_durable_writes = false;
  bool in_memory = false;  ///< on tmpfs or ramfs
};

/// What UringDevice::open promises, apart from the ring.
Result<OpenedFile> open_file(const std::string& path, const UringDeviceOptions& options);

/// How many whole blocks the open file or block device has now.
Result<std::uint64_t> measure_file(int fd, const std::string& path);

}  // namespace cenote::media
