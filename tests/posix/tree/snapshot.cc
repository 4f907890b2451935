#include "tree/snapshot.h"

#include <fmt/format.h>
#include <sys/stat.h>
#include <sys/xattr.h>

#include <algorithm>

#include "kit/files.h"

namespace cenote::posix_tests {

namespace {

constexpr std::size_t kShownMax = 10;

using FirstPaths = std::map<ino_t, std::string>;

std::map<std::string, std::string> attributes_of(const std::string& path) {
  std::string names(1 << 16, '\0');
  names.resize(static_cast<std::size_t>(ok(::llistxattr(path.c_str(), names.data(), names.size()))));
  std::map<std::string, std::string> attributes;
  for (std::size_t at = 0; at < names.size();) {
    const std::string name = names.c_str() + at;
    at += name.size() + 1;
    if (!name.starts_with("user.")) continue;
    std::string value(1 << 12, '\0');
    value.resize(static_cast<std::size_t>(ok(::lgetxattr(path.c_str(), name.c_str(), value.data(), value.size()))));
    attributes.emplace(name, value);
  }
  return attributes;
}

Node node_at(const std::string& whole, const std::string& path, FirstPaths& first_paths, SnapshotOptions options) {
  const struct stat status = status_of(whole);
  Node node{.mode = status.st_mode, .user = status.st_uid, .group = status.st_gid, .links = status.st_nlink};
  if (S_ISDIR(status.st_mode) && !options.directory_links) node.links = 0;
  if (S_ISREG(status.st_mode)) node.content = content_of(whole);
  if (S_ISLNK(status.st_mode)) node.content = target_of(whole);
  if (S_ISREG(status.st_mode)) {
    that(node.content.size() == static_cast<std::size_t>(status.st_size), "st_size is what can be read of " + path);
  }
  if (!S_ISDIR(status.st_mode) && status.st_nlink > 1) {
    node.same_as = first_paths.emplace(status.st_ino, path).first->second;
  }
  node.attributes = attributes_of(whole);
  return node;
}

void collect(const std::string& top, const std::string& path, Snapshot& snapshot, FirstPaths& first_paths,
             SnapshotOptions options) {
  const std::string whole = top + path;
  const Node& node = snapshot.emplace(path, node_at(whole, path, first_paths, options)).first->second;
  if (!S_ISDIR(node.mode)) return;
  for (const std::string& name : names_in(whole)) {
    collect(top, fmt::format("{}/{}", path, name), snapshot, first_paths, options);
  }
}

void collect_paths(const std::string& top, const std::string& path, std::vector<std::string>& paths) {
  for (const std::string& name : names_in(top + path)) {
    const bool directory = S_ISDIR(status_of(fmt::format("{}{}{}", top, path, name)).st_mode);
    const std::string below = fmt::format("{}{}{}", path, name, directory ? "/" : "");
    paths.push_back(below);
    if (directory) collect_paths(top, below, paths);
  }
}

std::string describe(const Node& node) {
  std::string text = fmt::format("mode {:o}, owner {}:{}, {} links, content {}", node.mode, node.user, node.group,
                                 node.links, show(node.content));
  if (!node.same_as.empty()) text += ", the same as " + node.same_as;
  for (const auto& [name, value] : node.attributes) text += fmt::format(", {} of {} bytes", name, value.size());
  return text;
}

std::string difference(const std::string& path, const Node& actual, const Node& expected) {
  std::string text =
      fmt::format("/{} expected {}; got {}", path.empty() ? "" : path.substr(1), describe(expected), describe(actual));
  if (actual.content.size() != expected.content.size() || actual.content == expected.content) return text;
  const auto place = std::ranges::mismatch(actual.content, expected.content);
  return text + fmt::format("; the contents differ from byte {}", place.in1 - actual.content.begin());
}

}  // namespace

Snapshot take_snapshot(const std::string& top, SnapshotOptions options) {
  Snapshot snapshot;
  FirstPaths first_paths;
  collect(top, "", snapshot, first_paths, options);
  return snapshot;
}

std::vector<std::string> differences(const Snapshot& actual, const Snapshot& expected) {
  std::vector<std::string> found;
  for (const auto& [path, node] : expected) {
    const auto other = actual.find(path);
    if (other == actual.end()) {
      found.push_back(fmt::format("{} is missing: {}", path, describe(node)));
    } else if (!(other->second == node)) {
      found.push_back(difference(path, other->second, node));
    }
  }
  for (const auto& [path, node] : actual) {
    if (!expected.contains(path)) found.push_back(fmt::format("{} should not be: {}", path, describe(node)));
  }
  if (found.size() > kShownMax) {
    const std::size_t more = found.size() - kShownMax;
    found.resize(kShownMax);
    found.push_back(fmt::format("and {} more", more));
  }
  return found;
}

std::vector<std::string> paths_of(const std::string& top) {
  std::vector<std::string> paths{"/"};
  collect_paths(top, "/", paths);
  return paths;
}

}  // namespace cenote::posix_tests
