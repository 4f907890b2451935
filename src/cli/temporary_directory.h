#pragma once

#include <string>

#include "cenote/base/error.h"

namespace cenote::cli {

/// A new directory that is removed with all that is in it when this goes.
class TemporaryDirectory {
 public:
  /// Below the system's directory for such things ($TMPDIR or /tmp). kIoError or kPermissionDenied names it.
  static Result<TemporaryDirectory> create(const std::string& prefix);
  TemporaryDirectory(TemporaryDirectory&& other) noexcept : path_(std::move(other.path_)) { other.path_.clear(); }
  TemporaryDirectory& operator=(TemporaryDirectory&&) = delete;
  ~TemporaryDirectory();

  const std::string& path() const { return path_; }

 private:
  explicit TemporaryDirectory(std::string path) : path_(std::move(path)) {}
  std::string path_;
};

}  // namespace cenote::cli
