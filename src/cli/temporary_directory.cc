#include "temporary_directory.h"

#include <cerrno>
#include <cstdlib>
#include <filesystem>

#include "cenote/base/format.h"

namespace cenote::cli {

Result<TemporaryDirectory> TemporaryDirectory::create(const std::string& prefix) {
  std::error_code error;
  const std::filesystem::path parent = std::filesystem::temp_directory_path(error);
  if (error) return failf(Code::kIoError, "there is no directory for temporary files: {}; set TMPDIR", error.message());
  std::string path = (parent / (prefix + "XXXXXX")).string();
  if (::mkdtemp(path.data()) == nullptr) {
    return failf(errno == EACCES ? Code::kPermissionDenied : Code::kIoError,
                 "cannot create a directory in '{}': {}; set TMPDIR", parent.string(),
                 std::generic_category().message(errno));
  }
  return TemporaryDirectory(std::move(path));
}

TemporaryDirectory::~TemporaryDirectory() {
  std::error_code ignored;
  if (!path_.empty()) std::filesystem::remove_all(path_, ignored);
}

}  // namespace cenote::cli
