#pragma once

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "cenote/client/async.h"
#include "cenote/posix/attributes.h"
#include "cenote/posix/file.h"
#include "cenote/posix/node.h"

namespace cenote::posix {

struct DirectoryEntry {
  std::string name;
  FileType type = FileType::kFile;
  ObjectId object;
  std::uint16_t snapshot = 0;  ///< as in Attributes
};

/// What a name leads to.
struct Found {
  Node node;
  Attributes attributes;
};

struct NamedNode {
  std::string name;
  Found found;
};

enum class RenameMode : std::uint8_t {
  kReplace,    ///< what has the new name goes, if it is of the same kind: an empty one, for directories
  kNoReplace,  ///< kExists when the new name is taken
  kExchange,   ///< both names are there and change places
};

enum class XattrMode : std::uint8_t { kAny, kCreate, kReplace };

/// Whether a FileSystem looks after what clients have left that are no more, and keeps what it has read.
enum class Upkeep : std::uint8_t {
  kShared,  ///< as every client that stays
  kNone,    ///< it removes nothing, and there are many of its kind, which end at any moment: others would wait for them
};

/// Of the pool, as this container may use it.
struct SpaceInfo {
  std::uint64_t total_bytes = 0, free_bytes = 0;
};

/// Directories, files and everything else that has a name, in one container (docs/formats/posix.md).
///
/// Every change of names or attributes is one transaction: it happens at one moment or, when it fails, not at all, and
/// is durable when it returns; of several clients that change the same thing each sees what the others did. What is
/// kept of what was read (names, attributes, sizes) engines ask back before another client changes it: it is as if it
/// was read each time. Permissions are not checked: front ends do that.
///
/// What is said of nodes: kGone, everywhere, for one that has been removed, and is not kept by an open File of this
/// FileSystem. A view of a snapshot shows the tree as it was: what would change it is kReadOnly.
///
/// The name ".snapshots" in the root, which is not listed, leads to a directory that has each named snapshot of the
/// container as a directory. It is there always, and nothing else can have that name. Nodes of a snapshot that was
/// destroyed are kGone a second later; what is open of it, when its data is given back.
class FileSystem {
 public:
  /// Writes superblock and root directory unless they are there; the container must be of type "posix". Of a view of a
  /// snapshot kNotFound if there was no tree yet.
  static Task<Result<std::unique_ptr<FileSystem>>> open(async::Container container, Until until = {},
                                                        Upkeep upkeep = Upkeep::kShared);
  ~FileSystem();
  /// Ends what runs in the background, and frees what was removed. Must be awaited before destruction. Nothing is freed
  /// any more when `until` has passed: other clients do so after a minute or two.
  Task<> close(Until until = {});

  Node root() const;
  // A name is one component; "." and ".." are no names, but `lookup` understands them.
  Task<Result<Found>> lookup(Node directory, std::string name, Until until = {});
  Task<Result<Attributes>> attributes(Node node, Until until = {});
  Task<Result<Attributes>> set_attributes(Node node, AttributeChange change, Until until = {});
  /// A regular file; `created` tells whether it was there.
  struct Created {
    Found found;
    bool created = false;
  };
  Task<Result<Created>> create_file(Node directory, std::string name, CreateOptions options, Until until = {});
  Task<Result<Found>> make_directory(Node directory, std::string name, CreateOptions options, Until until = {});
  Task<Result<Found>> make_symlink(Node directory, std::string name, std::string target, CreateOptions options,
                                   Until until = {});
  /// A pipe, a socket or a device: not of the other types.
  Task<Result<Found>> make_special(Node directory, std::string name, FileType type, std::uint32_t device,
                                   CreateOptions options, Until until = {});
  /// Another name. kIsADirectory; kOutOfRange at kMaxLinks.
  Task<Result<Attributes>> link(Node node, Node directory, std::string name, Until until = {});
  /// kIsADirectory for directories. What nobody of this FileSystem has open is given back soon after.
  Task<Result<>> unlink(Node directory, std::string name, Until until = {});
  Task<Result<>> remove_directory(Node directory, std::string name, Until until = {});  ///< kNotEmpty
  /// kInvalidArgument: a directory into itself.
  Task<Result<>> rename(Node from, std::string name, Node to, std::string new_name, RenameMode mode = {},
                        Until until = {});
  Task<Result<std::string>> read_link(Node node, Until until = {});
  /// One page of a directory in name order; `after` is the last name of the page before, empty at the start; an empty
  /// page is the end. Entries created or removed meanwhile may or may not show, others show exactly once.
  Task<Result<std::vector<DirectoryEntry>>> read_directory(Node directory, std::string after, Until until = {});
  Task<Result<std::vector<NamedNode>>> read_directory_plus(Node directory, std::string after, Until until = {});

  /// Keeps the file until the last File of it is closed, whatever becomes of its names.
  Result<File> open_file(Node node);
  /// Keeps a file that loses its last name until as many calls of `release`, for who finds first and opens later. Gives
  /// way where an open File would not: when its directory is removed, or nothing can be written.
  void hold(const Node& node);
  Task<Result<>> release(Node node, Until until = {});

  /// What a node is, for another FileSystem of the same container to `introduce` it to: so that one process can go on
  /// with what another one has found. Where it is may be old when that one uses it, as it may be in this one.
  Bytes identity_of(const Node& node) const;
  /// False of what is in a snapshot, and of the directory of snapshots: they have no identity.
  bool is_in_present(const Node& node) const;
  Result<Node> introduce(ByteView identity);  ///< kMalformed

  /// "system.posix_acl_access" and "system.posix_acl_default" are access control lists, in the form of Linux: the
  /// former changes the mode, as a new mode changes it, and is not kept when it says no more than that; what is made in
  /// a directory with the latter inherits it. kInvalidArgument: no such list; kPermissionDenied: a default one of
  /// something else; kUnsupported: of a symbolic link.
  Task<Result<>> set_xattr(Node node, std::string name, Bytes value, XattrMode mode = {}, Until until = {});
  Task<Result<Bytes>> get_xattr(Node node, std::string name, Until until = {});
  Task<Result<std::vector<std::string>>> list_xattrs(Node node, Until until = {});
  Task<Result<>> remove_xattr(Node node, std::string name, Until until = {});

  Task<Result<SpaceInfo>> space(Until until = {});

  // The same by path: absolute, '/'-separated; "." and ".." are understood. Symbolic links are followed, except in the
  // last component where POSIX says so.
  Task<Result<Found>> find(std::string path, bool follow = true, Until until = {});
  Task<Result<Attributes>> stat(std::string path, bool follow = true, Until until = {});
  Task<Result<>> set_attributes(std::string path, AttributeChange change, Until until = {});
  Task<Result<File>> create(std::string path, CreateOptions options, Until until = {});
  /// The same in a directory that was found before.
  Task<Result<File>> create_at(Node directory, std::string name, CreateOptions options, Until until = {});
  Task<Result<File>> open_file(std::string path, Until until = {});
  Task<Result<>> mkdir(std::string path, CreateOptions options, Until until = {});
  Task<Result<>> symlink(std::string target, std::string path, CreateOptions options, Until until = {});
  Task<Result<std::string>> readlink(std::string path, Until until = {});
  Task<Result<>> unlink(std::string path, Until until = {});
  Task<Result<>> rmdir(std::string path, Until until = {});
  Task<Result<>> rename(std::string from, std::string to, Until until = {});
  Task<Result<std::vector<DirectoryEntry>>> read_directory(std::string path, std::string after, Until until = {});

  /// The object of this name, in lower words, has the records of what this FileSystem removes; 0: there are none.
  std::uint64_t session_number() const;

  struct Impl;
  Impl& impl() { return *impl_; }

 private:
  explicit FileSystem(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

}  // namespace cenote::posix
