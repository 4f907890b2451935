#include "posix_model.h"

#include <algorithm>
#include <deque>

namespace cenote::sim {
namespace {

using posix::FileType;

std::deque<std::string> components_of(const std::string& path) {
  std::deque<std::string> components;
  std::string component;
  for (const char letter : path + "/") {
    if (letter != '/') {
      component += letter;
      continue;
    }
    if (!component.empty() && component != ".") components.push_back(component);
    component.clear();
  }
  return components;
}

void collect(const ModelNode& directory, const std::string& prefix, std::vector<std::string>& paths) {
  for (const auto& [name, node] : directory.entries) {
    std::string path = prefix;
    path.append("/").append(name);
    paths.push_back(path);
    if (node->type == FileType::kDirectory) collect(*node, path, paths);
  }
}

}  // namespace

PosixModel::PosixModel() : root_(std::make_shared<ModelNode>()) {}

Result<PosixModel::Place> PosixModel::resolve(const std::string& path, bool follow) const {
  std::deque<std::string> rest = components_of(path);
  std::vector<Place> walked = {{nullptr, "", root_, {}}};
  std::uint32_t links = 0;
  const auto arrive = [&walked](Place end) {
    end.ancestors.clear();
    for (const Place& place : walked) end.ancestors.push_back(place.node.get());
    return end;
  };
  while (!rest.empty()) {
    const std::string name = rest.front();
    rest.pop_front();
    if (name == "..") {
      if (walked.size() > 1) walked.pop_back();
      continue;
    }
    const auto& directory = walked.back().node;
    const auto found = directory->entries.find(name);
    Place here{directory, name, found == directory->entries.end() ? nullptr : found->second, {}};
    if (!here.node) {
      if (rest.empty()) return arrive(std::move(here));
      return fail(Code::kNotFound);
    }
    if (here.node->type == FileType::kSymlink && (!rest.empty() || follow)) {
      if (++links > posix::kMaxSymlinkDepth) return fail(Code::kTooManyLinks);
      const std::string& target = here.node->target;
      if (target.starts_with('/')) walked.resize(1);
      const auto expanded = components_of(target);
      rest.insert(rest.begin(), expanded.begin(), expanded.end());
      continue;
    }
    if (here.node->type != FileType::kDirectory) {
      if (rest.empty()) return arrive(std::move(here));
      return fail(Code::kNotADirectory);
    }
    walked.push_back(std::move(here));
  }
  Place end = std::move(walked.back());
  walked.pop_back();
  return arrive(std::move(end));
}

Result<PosixModel::Place> PosixModel::existing(const std::string& path, bool follow) const {
  TRY(Place place, resolve(path, follow));
  if (!place.node) return fail(Code::kNotFound);
  return place;
}

Result<PosixModel::Place> PosixModel::check_make(const std::string& path) const {
  TRY(Place place, resolve(path, false));
  if (place.node) return fail(Code::kExists);
  return place;
}

Result<PosixModel::Place> PosixModel::check_create(const std::string& path, bool exclusive) const {
  TRY(Place place, resolve(path, !exclusive));
  if (!place.node) return place;
  if (exclusive) return fail(Code::kExists);
  if (place.node->type == FileType::kDirectory) return fail(Code::kIsADirectory);
  return place;
}

Result<PosixModel::Place> PosixModel::check_file(const std::string& path) const {
  TRY(Place place, existing(path, true));
  if (place.node->type != FileType::kFile) return fail(Code::kIsADirectory);
  return place;
}

Result<PosixModel::Place> PosixModel::check_unlink(const std::string& path) const {
  TRY(Place place, existing(path, false));
  if (place.node->type == FileType::kDirectory) return fail(Code::kIsADirectory);
  return place;
}

Result<PosixModel::Place> PosixModel::check_rmdir(const std::string& path) const {
  TRY(Place place, existing(path, false));
  if (place.node->type != FileType::kDirectory) return fail(Code::kNotADirectory);
  if (!place.directory) return fail(Code::kInvalidArgument);
  if (!place.node->entries.empty()) return fail(Code::kNotEmpty);
  return place;
}

Result<PosixModel::Rename> PosixModel::check_rename(const std::string& from, const std::string& to) const {
  Rename rename;
  TRY(rename.from, existing(from, false));
  TRY(rename.to, resolve(to, false));
  const auto& moved = rename.from.node;
  const auto& replaced = rename.to.node;
  if (!rename.from.directory || !rename.to.directory) return fail(Code::kInvalidArgument);
  if (replaced == moved) {
    rename.nothing = true;
    return rename;
  }
  if (std::ranges::find(rename.to.ancestors, moved.get()) != rename.to.ancestors.end())
    return fail(Code::kInvalidArgument);
  if (!replaced) return rename;
  const bool moves_directory = moved->type == FileType::kDirectory;
  const bool replaces_directory = replaced->type == FileType::kDirectory;
  if (moves_directory && !replaces_directory) return fail(Code::kNotADirectory);
  if (!moves_directory && replaces_directory) return fail(Code::kIsADirectory);
  if (!replaced->entries.empty()) return fail(Code::kNotEmpty);
  return rename;
}

void PosixModel::move(const Rename& rename) {
  if (rename.nothing) return;
  auto node = rename.from.node;
  remove(rename.from);
  add(rename.to, std::move(node));
}

std::string PosixModel::path_of(const Place& place) const {
  std::string path;
  for (std::size_t i = 1; i < place.ancestors.size(); ++i) {
    for (const auto& [name, node] : place.ancestors[i - 1]->entries) {
      if (node.get() == place.ancestors[i]) path += "/" + name;
    }
  }
  return path + "/" + place.name;
}

std::vector<std::string> PosixModel::paths() const {
  std::vector<std::string> paths = {"/"};
  collect(*root_, "", paths);
  return paths;
}

}  // namespace cenote::sim
