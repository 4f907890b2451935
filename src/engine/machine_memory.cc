#include <sys/sysinfo.h>

#include <algorithm>
#include <charconv>
#include <fstream>
#include <optional>
#include <string>

#include "cenote/engine/engine_options.h"

namespace cenote::engine {
namespace {

std::optional<std::uint64_t> number_in(const std::string& path) {
  std::ifstream file(path);
  std::string text;
  std::uint64_t value = 0;
  if (!(file >> text) || std::from_chars(text.data(), text.data() + text.size(), value).ec != std::errc()) return {};
  return value;
}

/// The path of this process in the hierarchy of control groups, version 2.
std::string control_group() {
  std::ifstream file("/proc/self/cgroup");
  for (std::string line; std::getline(file, line);)
    if (line.starts_with("0::")) return line.substr(3);
  return "/";
}

}  // namespace

std::uint64_t usable_memory() {
  struct sysinfo info{};
  ::sysinfo(&info);
  std::uint64_t bytes = std::uint64_t{info.totalram} * info.mem_unit;
  // A container sees its own group as the root; elsewhere each group above may have a limit, too.
  for (std::string group = control_group();; group.resize(group.rfind('/'))) {
    if (const auto limit = number_in("/sys/fs/cgroup" + group + "/memory.max")) bytes = std::min(bytes, *limit);
    if (group.find('/') == std::string::npos) break;
  }
  // Version 1; without a limit it is a very large number.
  if (const auto limit = number_in("/sys/fs/cgroup/memory/memory.limit_in_bytes")) bytes = std::min(bytes, *limit);
  return bytes;
}

std::uint64_t default_cache_bytes(std::uint64_t memory_bytes, std::size_t targets) {
  constexpr std::uint64_t kLeast = 64ull << 20, kMost = 1ull << 30;
  const std::uint64_t share = memory_bytes / 16 / std::max<std::size_t>(targets, 1);
  return std::clamp(share >> 20 << 20, kLeast, kMost);
}

}  // namespace cenote::engine
