#include <array>
#include <filesystem>
#include <fstream>
#include <sstream>

#include "cenote/base/format.h"
#include "mounting.h"

namespace cenote::cli {
namespace {

/// The kernel writes blanks, tabs, line ends and backslashes of a path as \ooo.
std::string unescaped(std::string_view text) {
  std::string result;
  for (std::size_t i = 0; i < text.size(); ++i) {
    const auto digit = [&](std::size_t at) { return static_cast<unsigned>(text[i + at] - '0'); };
    if (text[i] == '\\' && i + 3 < text.size()) {
      result += static_cast<char>(digit(1) * 64 + digit(2) * 8 + digit(3));
      i += 3;
    } else {
      result += text[i];
    }
  }
  return result;
}

struct MountLine {
  std::string place, type, source;
};

/// "36 35 98:0 /root /place options [tags...] - type source more"
MountLine parse_line(const std::string& line) {
  std::istringstream words(line);
  std::array<std::string, 5> first;
  for (std::string& word : first) words >> word;
  MountLine result{.place = unescaped(first[4])};
  for (std::string word; words >> word && word != "-";) {
  }
  words >> result.type >> result.source;
  result.source = unescaped(result.source);
  return result;
}

constexpr std::string_view kMountType = "fuse.cenote";

}  // namespace

std::vector<std::string> list_mounts() {
  std::ifstream lines("/proc/self/mountinfo");
  std::vector<std::string> places;
  for (std::string line; std::getline(lines, line);) {
    if (const MountLine mount = parse_line(line); mount.type == kMountType) places.push_back(mount.place);
  }
  return places;
}

Result<std::string> find_mount(const std::string& directory) {
  namespace fs = std::filesystem;
  // The directory itself is the mount: whoever looks at it asks its servers. What it is in is not.
  std::error_code failed;
  fs::path plain = fs::absolute(directory, failed).lexically_normal();
  if (plain.filename().empty()) plain = plain.parent_path();
  const fs::path parent = fs::canonical(plain.parent_path(), failed);
  const fs::path place = failed ? plain : parent / plain.filename();
  std::ifstream lines("/proc/self/mountinfo");
  std::string found_type;
  for (std::string line; std::getline(lines, line);) {
    const MountLine mount = parse_line(line);
    if (mount.place == place.string()) found_type = mount.type;  // the last one is on top
  }
  if (found_type == kMountType) return place.string();
  if (!found_type.empty())
    return failf(Code::kNotFound, "what is mounted on '{}' is not of Cenote but of type '{}'", directory, found_type);
  return failf(Code::kNotFound, "nothing of Cenote is mounted on '{}'", directory);
}

}  // namespace cenote::cli
