#include "mount_table.h"

#include <sys/sysmacros.h>

#include <charconv>

#include "cenote/posix/attributes.h"

namespace cenote::intercept {
namespace {

constexpr std::string_view kType = "fuse.cenote";

/// The next word of a line of words between blanks.
std::string_view next_word(std::string_view& line) {
  const std::size_t end = line.find(' ');
  const std::string_view word = line.substr(0, end);
  line.remove_prefix(end == std::string_view::npos ? line.size() : end + 1);
  return word;
}

/// The kernel writes blanks, tabs, line ends and backslashes of a path as \ooo.
std::string unescaped(std::string_view text) {
  std::string result;
  for (std::size_t i = 0; i < text.size(); ++i) {
    if (text[i] != '\\' || i + 3 >= text.size()) {
      result += text[i];
      continue;
    }
    const auto digit = [&](std::size_t at) { return static_cast<unsigned>(text[i + at] - '0'); };
    result += static_cast<char>(digit(1) * 64 + digit(2) * 8 + digit(3));
    i += 3;
  }
  return result;
}

dev_t parse_device(std::string_view text) {
  const std::size_t colon = text.find(':');
  if (colon == std::string_view::npos) return 0;
  unsigned major_number = 0, minor_number = 0;
  const std::string_view first = text.substr(0, colon), second = text.substr(colon + 1);
  std::from_chars(first.begin(), first.end(), major_number);
  std::from_chars(second.begin(), second.end(), minor_number);
  return ::makedev(major_number, minor_number);
}

struct Line {
  dev_t device = 0;
  std::string root, place;
  std::string_view type;
};

/// "36 35 98:0 /root /place options [tags...] - type source more"
Line parse_line(std::string_view line) {
  Line result;
  next_word(line);
  next_word(line);
  result.device = parse_device(next_word(line));
  result.root = unescaped(next_word(line));
  result.place = unescaped(next_word(line));
  while (!line.empty() && next_word(line) != "-") {
  }
  result.type = next_word(line);
  return result;
}

bool is_below_or_at(std::string_view path, std::string_view directory) {
  if (directory == "/") return true;
  return path.starts_with(directory) && (path.size() == directory.size() || path[directory.size()] == '/');
}

}  // namespace

std::vector<MountPoint> parse_mounts(std::string_view mountinfo) {
  std::vector<MountPoint> mounts;
  while (!mountinfo.empty()) {
    const std::size_t end = mountinfo.find('\n');
    const Line line = parse_line(mountinfo.substr(0, end));
    mountinfo.remove_prefix(end == std::string_view::npos ? mountinfo.size() : end + 1);
    for (MountPoint& earlier : mounts) {
      if (is_below_or_at(line.place, earlier.place) || is_below_or_at(earlier.place, line.place))
        earlier.is_covered = true;
    }
    if (line.type == kType)
      mounts.push_back({.device = line.device, .place = line.place, .is_covered = line.root != "/"});
  }
  return mounts;
}

std::optional<std::vector<std::string>> plain_names(std::string_view path) {
  if (path.empty() || path.back() == '/' || path.size() >= posix::kMaxPathBytes) return std::nullopt;
  std::vector<std::string> names;
  while (!path.empty()) {
    const std::size_t end = path.find('/');
    const std::string_view name = path.substr(0, end);
    path.remove_prefix(end == std::string_view::npos ? path.size() : end + 1);
    if (name == ".." || name.size() > posix::kMaxNameBytes) return std::nullopt;
    // "file/." is asked for to see whether it is a directory.
    if (name == "." && path.empty() && !names.empty()) return std::nullopt;
    if (!name.empty() && name != ".") names.emplace_back(name);
  }
  return names;
}

std::optional<PathInMount> match_path(const std::vector<MountPoint>& mounts, std::string_view path) {
  for (std::size_t i = 0; i < mounts.size(); ++i) {
    const MountPoint& mount = mounts[i];
    if (mount.is_covered || !is_below_or_at(path, mount.place)) continue;
    if (path.size() == mount.place.size()) return PathInMount{.mount = i, .names = {}};
    auto names = plain_names(path.substr(mount.place.size() + 1));
    if (!names) return std::nullopt;
    return PathInMount{.mount = i, .names = *std::move(names)};
  }
  return std::nullopt;
}

}  // namespace cenote::intercept
