#include "cenote/posix/file_system.h"

#include "cenote/base/format.h"
#include "cenote/protocol/object_class.h"
#include "file.h"
#include "impl.h"
#include "path.h"

namespace cenote::posix {
namespace {

constexpr std::string_view kSuperblockKey = "superblock";
constexpr std::string_view kLayoutKey = "layout";
constexpr std::size_t kSuperblockRoom = 256;

Task<Result<std::optional<FsSuperblock>>> load_superblock(async::Container container, Until until) {
  FetchRequest request;
  request.object = superblock_object(container.redundancy());
  request.dkey = to_bytes(as_bytes(kSuperblockKey));
  AkeyFetch& layout = request.akeys.emplace_back();
  layout.akey = to_bytes(as_bytes(kLayoutKey));
  layout.max_bytes = kSuperblockRoom;
  Bytes buffer(kSuperblockRoom);
  CO_TRY(const FetchReply reply, co_await container.fetch(std::move(request), {MutableBytes(buffer)}, until));
  if (!reply.akeys[0].exists) co_return std::optional<FsSuperblock>();
  CO_TRY(const FsSuperblock superblock,
         decode_superblock(ByteView(buffer).first(reply.akeys[0].bytes), container.redundancy()));
  co_return std::optional<FsSuperblock>(superblock);
}

Task<Result<>> write_superblock(async::Container container, WallTime now, Until until) {
  const Bytes encoded = encode_superblock({.root = root_object(container.redundancy()), .created = now});
  UpdateRequest request;
  request.object = superblock_object(container.redundancy());
  request.dkey = to_bytes(as_bytes(kSuperblockKey));
  request.dkey_condition = Precondition::kAbsent;
  AkeyUpdate& layout = request.akeys.emplace_back();
  layout.akey = to_bytes(as_bytes(kLayoutKey));
  layout.bytes = encoded.size();
  auto written = co_await container.update(std::move(request), {ByteView(encoded)}, until);
  // Another client formats at the same moment: what it writes is the same.
  if (!written && written.error() != Code::kConditionFailed) co_return fail(std::move(written).error());
  co_return Result<>();
}

Attributes attributes_of(const Inode& inode, std::uint64_t size) {
  return {.type = inode.type,
          .mode = inode.mode,
          .uid = inode.uid,
          .gid = inode.gid,
          .links = inode.links,
          .size = size,
          .atime = inode.atime,
          .mtime = inode.mtime,
          .ctime = inode.ctime,
          .object = inode.object};
}

}  // namespace

FileSystem::FileSystem(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
FileSystem::~FileSystem() = default;

Task<Result<std::unique_ptr<FileSystem>>> FileSystem::open(async::Container container, Until until) {
  if (const std::string& type = container.info().type; type != "posix") {
    co_return failf(Code::kTypeMismatch,
                    "container '{}' holds no files ({}): create one with 'cenote container create --type posix'",
                    container.info().label,
                    type.empty() ? std::string("it has no type") : fmt::format("its type is '{}'", type));
  }
  auto impl = std::make_unique<Impl>(container);
  CO_TRY(const auto superblock, co_await load_superblock(container, until));
  if (!superblock && container.snapshot()) {
    co_return failf(Code::kNotFound, "container '{}' held no files yet at snapshot '{}'", container.info().label,
                    container.snapshot()->name);
  }
  if (!superblock) {
    // The root's attributes come first: once the superblock is there, so are they.
    const WallTime now = container.client().reactor().wall_now();
    Inode root{.type = FileType::kDirectory,
               .mode = 0755,
               .atime = now,
               .mtime = now,
               .ctime = now,
               .object = root_object(container.redundancy())};
    auto made = co_await impl->entries.insert(EntryPlace::root(container.redundancy()), std::move(root), until);
    if (!made && made.error() != Code::kExists) co_return fail(std::move(made).error());
    CO_CHECK_OK(co_await write_superblock(container, now, until));
  }
  co_return std::unique_ptr<FileSystem>(new FileSystem(std::move(impl)));
}

Task<Result<Attributes>> FileSystem::stat(std::string path, bool follow, Until until) {
  CO_TRY(const Resolved found, co_await impl_->resolve_existing(std::move(path), follow, until));
  std::uint64_t size = found.inode->symlink_target.size();
  if (found.inode->type == FileType::kFile) {
    CO_TRY(size, co_await file_data(impl_->entries.container(), found.inode->object).size(until));
  }
  co_return attributes_of(*found.inode, size);
}

Task<Result<>> FileSystem::set_attributes(std::string path, AttributeChange change, Until until) {
  CO_TRY(Resolved found, co_await impl_->resolve_existing(std::move(path), true, until));
  Inode& inode = *found.inode;
  if (change.mode) {
    if ((*change.mode & ~07777u) != 0)
      co_return failf(Code::kInvalidArgument, "mode {:o} has more than permission bits", *change.mode);
    inode.mode = *change.mode;
  }
  inode.uid = change.uid.value_or(inode.uid);
  inode.gid = change.gid.value_or(inode.gid);
  inode.atime = change.atime.value_or(inode.atime);
  inode.mtime = change.mtime.value_or(inode.mtime);
  inode.ctime = impl_->now();
  co_return co_await impl_->entries.replace(found.place, std::move(inode), until);
}

Task<Result<File>> FileSystem::create(std::string path, CreateOptions options, Until until) {
  CO_TRY(Resolved found, co_await impl_->resolve(std::move(path), !options.exclusive, until));
  co_return co_await impl_->create_file(std::move(found.place), std::move(found.inode), options, until);
}

Task<Result<File>> FileSystem::create_at(Directory directory, std::string name, CreateOptions options, Until until) {
  CO_CHECK_OK(validate_name(name));
  // Optimistic: most names are new, and the insert itself tells when one is not.
  co_return co_await impl_->create_file({directory.object(), std::move(name)}, std::nullopt, options, until);
}

Task<Result<File>> FileSystem::Impl::create_file(EntryPlace place, std::optional<Inode> present, CreateOptions options,
                                                 Until until) {
  if (!present) {
    CO_CHECK_OK(validate_name(place.name));
    CO_TRY(const Inode made, co_await new_inode(FileType::kFile, options, until));
    auto inserted = co_await entries.insert(place, made, until);
    if (inserted) {
      File file = open_state(std::move(place), made.object);
      file.state_->created = made.ctime;
      co_return file;
    }
    if (inserted.error() != Code::kExists || options.exclusive) co_return fail(std::move(inserted).error());
    CO_TRY(present, co_await entries.get(place, until));
  }
  if (options.exclusive) co_return failf(Code::kExists, "'{}' exists already", place.name);
  if (present->type == FileType::kDirectory) co_return failf(Code::kIsADirectory, "'{}' is a directory", place.name);
  if (present->type != FileType::kFile) co_return failf(Code::kExists, "'{}' is a symbolic link", place.name);
  File file = open_state(place, present->object);
  if (!options.truncate) co_return file;
  present->ctime = now();
  present->atime = options.atime.value_or(present->ctime);
  present->mtime = options.mtime.value_or(present->ctime);
  CO_CHECK_OK(co_await entries.replace(std::move(place), *std::move(present), until));
  CO_CHECK_OK(co_await file.truncate(0, until));
  co_return file;
}

Task<Result<Inode>> FileSystem::Impl::new_inode(FileType type, CreateOptions options, Until until) {
  if ((options.mode & ~07777u) != 0) {
    co_return failf(Code::kInvalidArgument, "mode {:o} has more than permission bits", options.mode);
  }
  const KeyFlavour dkeys = type == FileType::kFile ? KeyFlavour::kUint64 : KeyFlavour::kLexical;
  const ObjectClass object_class = with_redundancy(ObjectClass::kSX, redundancy());
  CO_TRY(const ObjectId object,
         co_await entries.container().allocate_object(object_class, dkeys, KeyFlavour::kLexical, until));
  const WallTime time = now();
  co_return Inode{.type = type,
                  .mode = options.mode,
                  .uid = options.uid,
                  .gid = options.gid,
                  .atime = options.atime.value_or(time),
                  .mtime = options.mtime.value_or(time),
                  .ctime = time,
                  .object = object};
}

File FileSystem::Impl::open_state(EntryPlace place, ObjectId object) {
  return File(std::make_shared<File::State>(file_data(entries.container(), object), std::move(place)));
}

Task<Result<File>> FileSystem::open_file(std::string path, Until until) {
  CO_TRY(Resolved found, co_await impl_->resolve_existing(path, true, until));
  if (found.inode->type != FileType::kFile) co_return failf(Code::kIsADirectory, "'{}' is a directory", path);
  co_return impl_->open_state(std::move(found.place), found.inode->object);
}

Task<Result<>> FileSystem::mkdir(std::string path, CreateOptions options, Until until) {
  CO_TRY(Resolved found, co_await impl_->resolve(path, false, until));
  if (found.inode) co_return failf(Code::kExists, "'{}' exists already", path);
  CO_CHECK_OK(validate_name(found.place.name));
  CO_TRY(Inode made, co_await impl_->new_inode(FileType::kDirectory, options, until));
  co_return co_await impl_->entries.insert(std::move(found.place), std::move(made), until);
}

Task<Result<Directory>> FileSystem::mkdir_at(Directory directory, std::string name, CreateOptions options,
                                             Until until) {
  CO_CHECK_OK(validate_name(name));
  CO_TRY(Inode made, co_await impl_->new_inode(FileType::kDirectory, options, until));
  const ObjectId object = made.object;
  CO_CHECK_OK(co_await impl_->entries.insert({directory.object(), std::move(name)}, std::move(made), until));
  co_return Directory(object);
}

Task<Result<Directory>> FileSystem::open_directory(std::string path, Until until) {
  CO_TRY(const Resolved found, co_await impl_->resolve_existing(path, true, until));
  if (found.inode->type != FileType::kDirectory) co_return failf(Code::kNotADirectory, "'{}' is no directory", path);
  co_return Directory(found.inode->object);
}

Task<Result<>> FileSystem::symlink(std::string target, std::string path, CreateOptions options, Until until) {
  if (target.empty() || target.size() >= kMaxPathBytes) {
    co_return failf(Code::kNameTooLong, "a symbolic link's target has 1 to {} bytes, not {}", kMaxPathBytes - 1,
                    target.size());
  }
  CO_TRY(Resolved found, co_await impl_->resolve(path, false, until));
  if (found.inode) co_return failf(Code::kExists, "'{}' exists already", path);
  CO_CHECK_OK(validate_name(found.place.name));
  options.mode = 0777;
  CO_TRY(Inode made, co_await impl_->new_inode(FileType::kSymlink, options, until));
  made.symlink_target = std::move(target);
  co_return co_await impl_->entries.insert(std::move(found.place), std::move(made), until);
}

Task<Result<std::string>> FileSystem::readlink(std::string path, Until until) {
  CO_TRY(Resolved found, co_await impl_->resolve_existing(path, false, until));
  if (found.inode->type != FileType::kSymlink)
    co_return failf(Code::kInvalidArgument, "'{}' is no symbolic link", path);
  co_return std::move(found.inode->symlink_target);
}

Task<Result<>> FileSystem::unlink(std::string path, Until until) {
  CO_CHECK_OK(validate_names_entry(path));
  CO_TRY(Resolved found, co_await impl_->resolve_existing(path, false, until));
  if (found.inode->type == FileType::kDirectory) {
    co_return failf(Code::kIsADirectory, "'{}' is a directory: remove it with everything in it ('cenote fs rm -r')",
                    path);
  }
  co_return co_await impl_->entries.remove(std::move(found.place), *std::move(found.inode), until);
}

Task<Result<>> FileSystem::rmdir(std::string path, Until until) {
  CO_CHECK_OK(validate_names_entry(path));
  CO_TRY(Resolved found, co_await impl_->resolve_existing(path, false, until));
  if (found.inode->type != FileType::kDirectory) co_return failf(Code::kNotADirectory, "'{}' is no directory", path);
  if (found.is_root()) co_return fail(Code::kInvalidArgument, "the root directory cannot be removed");
  CO_TRY(const bool empty, co_await impl_->entries.is_empty(found.inode->object, until));
  if (!empty) co_return failf(Code::kNotEmpty, "directory '{}' is not empty", path);
  co_return co_await impl_->entries.remove(std::move(found.place), *std::move(found.inode), until);
}

Task<Result<std::vector<DirectoryEntry>>> FileSystem::read_directory(std::string path, std::string after, Until until) {
  CO_TRY(const Directory directory, co_await open_directory(std::move(path), until));
  co_return co_await impl_->read_page(directory.object(), std::move(after), until);
}

}  // namespace cenote::posix
