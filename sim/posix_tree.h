#pragma once

#include <memory>
#include <set>
#include <string>

#include "client_node.h"
#include "posix_model.h"

namespace cenote::sim {

/// One client that changes a tree of files, and the model that tells what must come of it. An operation may be cut
/// short, as by the death of its program: it has then taken effect or not, which a look at the tree decides, and
/// everything else is as it was. All members run on the client's node. A violation is a failure of the run.
///
/// Invariant: between two operations the tree in the file system equals the model, steps left half-done by an operation
/// that was cut short included, since every later visitor sees them as done or as not begun.
class PosixTree {
 public:
  PosixTree(Run& run, ClientNode& client) : run_(run), client_(client) {}

  /// Connects, formats the container, and makes `operations` random operations.
  Task<Result<>> work(std::uint64_t operations);
  /// Compares everything.
  Task<Result<>> verify();
  /// A check of the file system finds nothing.
  Task<Result<>> check();
  /// Every object of the container can be reached from the tree.
  Task<Result<>> check_leaks();
  /// Must be the last.
  Task<> end();
  /// Removes everything; nothing but the fixed objects may be left.
  Task<Result<>> remove_all();

 private:
  // What an operation came to, from the view of the model.
  enum class Verdict : std::uint8_t { kDone, kRefused, kUncertain };

  Task<Result<>> reconnect();
  Task<> leave();
  /// Waits until others have cleared away after the clients that died.
  Task<> outlive_the_dead();
  Task<Result<>> one_operation();
  Task<Result<>> make_directory();
  Task<Result<>> make_symlink();
  Task<Result<>> create();
  Task<Result<>> write();
  Task<Result<>> truncate();
  Task<Result<>> read();
  Task<Result<>> rename();
  Task<Result<>> unlink();
  Task<Result<>> remove_directory();
  Task<Result<>> stat();
  Task<Result<>> set_mode();
  Task<Result<>> set_xattr();
  Task<Result<>> read_link();

  /// Compares what an operation answered with what it had to; kCorrupt when they differ.
  Result<Verdict> judge(const std::string& what, const Result<>& actual, const Result<>& expected);
  /// After an operation of unknown outcome: until nothing of it can take effect any more. The client may be another one
  /// then.
  Task<Result<>> settle();
  /// The attributes at a path, or nothing.
  Task<Result<std::optional<posix::Attributes>>> look(std::string path);
  Task<Result<>> set_xattr_at(std::string path, std::string name, Bytes value, Until until);
  Task<Result<Bytes>> get_xattr_at(std::string path, std::string name, Until until);
  Task<Result<>> adopt_new_entry(std::string path, PosixModel::Place place, std::shared_ptr<ModelNode> node,
                                 bool certain);
  /// After an unlink or rmdir, by its name in `how`, that answered `removed` where the model has `place` to remove.
  Task<Result<>> adopt_removal(std::string_view how, std::string path, Result<> removed,
                               Result<PosixModel::Place> place);
  /// Finds out what a write or truncation of unknown outcome left; every byte must be the old or the new one.
  Task<Result<>> adopt_data(std::string path, std::shared_ptr<ModelNode> node, Bytes wanted);
  Task<Result<Bytes>> read_whole(std::string path);

  Task<Result<>> verify_directory(std::string path, std::shared_ptr<ModelNode> directory);
  Task<Result<>> verify_node(std::string path, std::shared_ptr<ModelNode> node);
  Task<Result<std::vector<posix::DirectoryEntry>>> list(std::string path);
  Task<Result<std::set<ObjectId>>> stored_objects();

  std::string any_path();
  std::string file_path();
  std::uint64_t any_offset();
  Bytes any_data();
  Until patience() const { return Until::at(client_.node().now() + std::chrono::minutes(10)); }
  /// The bound of one operation: sometimes too short for it.
  Until hurried();

  Run& run_;
  ClientNode& client_;
  PosixModel model_;
  std::optional<async::Container> container_;
  std::unique_ptr<posix::FileSystem> files_;
  std::uint64_t patterns_ = 0;
};

}  // namespace cenote::sim
