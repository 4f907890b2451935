#pragma once

#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "cenote/base/bytes.h"
#include "cenote/posix/file_system.h"

namespace cenote::sim {

/// A file, directory or symbolic link of the model.
struct ModelNode {
  posix::FileType type = posix::FileType::kDirectory;
  std::uint32_t mode = 0;
  ObjectId object;  ///< as the file system told when it was made
  std::map<std::string, std::shared_ptr<ModelNode>> entries{};
  Bytes data{};
  std::string target{};
  std::map<std::string, Bytes> xattrs{};
};

/// The tree as it should be, in memory; the rules of POSIX in the plainest form. Codes are those the file system must
/// answer.
class PosixModel {
 public:
  struct Place {
    std::shared_ptr<ModelNode> directory;  ///< null for the root
    std::string name;
    std::shared_ptr<ModelNode> node;      ///< null: no such entry
    std::vector<ModelNode*> ancestors{};  ///< from the root to `directory`
  };

  PosixModel();
  const std::shared_ptr<ModelNode>& root() const { return root_; }

  Result<Place> resolve(const std::string& path, bool follow) const;
  /// As `resolve`, kNotFound when nothing is there.
  Result<Place> existing(const std::string& path, bool follow) const;

  // What each operation must answer; the tree is changed by `apply` of what it returns, when the operation took effect.
  Result<Place> check_make(const std::string& path) const;
  Result<Place> check_create(const std::string& path, bool exclusive) const;
  Result<Place> check_file(const std::string& path) const;
  Result<Place> check_unlink(const std::string& path) const;
  Result<Place> check_rmdir(const std::string& path) const;
  struct Rename {
    Place from, to;
    bool nothing = false;  ///< both are the same entry
  };
  Result<Rename> check_rename(const std::string& from, const std::string& to) const;

  void add(const Place& place, std::shared_ptr<ModelNode> node) {
    place.directory->entries[place.name] = std::move(node);
  }
  void remove(const Place& place) { place.directory->entries.erase(place.name); }
  void move(const Rename& rename);

  /// The one path to a place that leads through no link and no "..".
  std::string path_of(const Place& place) const;
  /// All paths, "/" first, a directory before what is in it.
  std::vector<std::string> paths() const;

 private:
  std::shared_ptr<ModelNode> root_;
};

}  // namespace cenote::sim
