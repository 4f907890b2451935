#include "write_cache.h"

#include <fmt/format.h>
#include <sys/sysmacros.h>

#include <fstream>
#include <optional>

namespace cenote::media {
namespace {

std::optional<std::string> first_line(const std::string& path) {
  std::ifstream file(path);
  std::string line;
  if (!std::getline(file, line)) return std::nullopt;
  return line;
}

}  // namespace

WriteCache write_cache_of(dev_t disk, const std::string& sys_root) {
  const std::string base = fmt::format("{}/dev/block/{}:{}", sys_root, major(disk), minor(disk));
  // The entry is a link into the tree of devices, where a partition lies below its disk.
  for (const std::string& queue : {base + "/queue", base + "/../queue"}) {
    const std::optional<std::string> mode = first_line(queue + "/write_cache");
    if (!mode) continue;
    if (*mode == "write through") return WriteCache::kWriteThrough;
    return first_line(queue + "/fua") == "1" ? WriteCache::kFua : WriteCache::kWriteBack;
  }
  return WriteCache::kUnknown;
}

}  // namespace cenote::media
