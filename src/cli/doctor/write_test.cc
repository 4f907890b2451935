#include "write_test.h"

#include <fcntl.h>
#include <sys/uio.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <chrono>
#include <system_error>
#include <vector>

#include "cenote/base/format.h"

namespace cenote::cli {
namespace {

constexpr std::size_t kBlock = 4096;
constexpr int kWrites = 64;
constexpr Duration kAtMost = std::chrono::milliseconds(500);

/// Closes what it holds; the file has no name, so it is gone then.
struct UnnamedFile {
  int fd = -1;
  bool direct = true;
  UnnamedFile(const UnnamedFile&) = delete;
  UnnamedFile& operator=(const UnnamedFile&) = delete;
  explicit UnnamedFile(const std::string& directory) {
    fd = ::open(directory.c_str(), O_TMPFILE | O_RDWR | O_DIRECT | O_CLOEXEC, 0600);
    if (fd >= 0 || errno != EINVAL) return;
    direct = false;
    fd = ::open(directory.c_str(), O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
  }
  ~UnnamedFile() {
    if (fd >= 0) ::close(fd);
  }
};

std::string reason() { return std::generic_category().message(errno); }

}  // namespace

Result<WriteTest> test_writes(const std::string& directory) {
  const UnnamedFile file(directory);
  if (file.fd < 0) return failf(Code::kIoError, "cannot create a file in '{}': {}", directory, reason());
  if (::fallocate(file.fd, 0, 0, kWrites * kBlock) != 0 && errno == ENOSPC) {
    return failf(Code::kDeviceFull, "no room for a test file in '{}'", directory);
  }
  alignas(kBlock) std::array<char, kBlock> block{};
  std::vector<Duration> times;
  Duration total{};
  for (int i = 0; i < kWrites && total < kAtMost; ++i) {
    block.fill(static_cast<char>(i + 1));
    iovec part{block.data(), block.size()};
    const auto begun = std::chrono::steady_clock::now();
    const ssize_t written = ::pwritev2(file.fd, &part, 1, static_cast<off_t>(i * kBlock), RWF_DSYNC);
    if (written != static_cast<ssize_t>(kBlock)) {
      return failf(Code::kIoError, "cannot write to a file in '{}': {}", directory, reason());
    }
    times.push_back(std::chrono::duration_cast<Duration>(std::chrono::steady_clock::now() - begun));
    total += times.back();
  }
  std::ranges::sort(times);
  return WriteTest{.direct = file.direct, .median = times[times.size() / 2], .worst = times.back()};
}

}  // namespace cenote::cli
