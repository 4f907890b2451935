#pragma once

#include <string>

#include "cenote/base/error.h"

namespace cenote::fuse {

/// Whether something can be mounted there: kNotFound, kNotADirectory, kNotEmpty, kExists (a mount is there already),
/// kPermissionDenied.
Result<> check_mount_point(const std::string& path);
/// Whether this process may use FUSE on this machine: kUnsupported when there is none, kPermissionDenied.
Result<> check_fuse_device();
/// Why libfuse did not mount, by the error number it left, if any, and by what it and its helper said.
Error mount_failure(const std::string& path, int number, const std::string& said);

/// While it lives, what the process writes to standard error is kept instead: libfuse and its helper speak to nobody
/// else. For the time before other threads log.
class CapturedErrors {
 public:
  CapturedErrors();
  CapturedErrors(const CapturedErrors&) = delete;
  CapturedErrors& operator=(const CapturedErrors&) = delete;
  ~CapturedErrors();
  /// In one line.
  std::string text() const;

 private:
  int original_ = -1, memory_ = -1;
};

}  // namespace cenote::fuse
