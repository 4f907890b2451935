#include "inode.h"

#include "cenote/base/codec.h"
#include "cenote/base/format.h"
#include "cenote/protocol/object_class.h"

namespace cenote::posix {
namespace {

constexpr std::size_t kFixedInodeBytes = 100;
constexpr std::uint8_t kInodeVersion = 1;
constexpr std::uint8_t kHasXattrs = 2;
constexpr std::uint8_t kRemovedHasXattrs = 4;
constexpr std::uint32_t kPermissionBits = 07777;
constexpr std::uint32_t kSuperblockMagic = 0x53464e43;  // "CNFS"
constexpr std::uint16_t kSuperblockVersion = 1;
constexpr std::uint64_t kSuperblockNumber = 0;
constexpr std::uint64_t kRootNumber = 1;

void put_object(Encoder& encoder, const ObjectId& object) {
  encoder.integer(object.high());
  encoder.integer(object.low());
}

ObjectId take_object(Decoder& decoder) {
  const auto high = decoder.integer<std::uint64_t>();
  const auto low = decoder.integer<std::uint64_t>();
  return {high, low};
}

void put_time(Encoder& encoder, WallTime time) {
  encoder.integer(static_cast<std::uint64_t>(time.time_since_epoch().count()));
}

WallTime take_time(Decoder& decoder) {
  return WallTime(Duration(static_cast<std::int64_t>(decoder.integer<std::uint64_t>())));
}

}  // namespace

Bytes encode_inode(const Inode& inode) {
  Bytes bytes;
  bytes.reserve(kFixedInodeBytes + inode.other_name.size() + inode.symlink_target.size());
  Encoder encoder(bytes);
  encoder.integer(kInodeVersion);
  encoder.integer(static_cast<std::uint8_t>(inode.type));
  encoder.integer(static_cast<std::uint8_t>(inode.state));
  encoder.integer(static_cast<std::uint8_t>((inode.has_xattrs ? kHasXattrs : 0) |
                                            (inode.removed_has_xattrs ? kRemovedHasXattrs : 0)));
  encoder.integer(inode.mode);
  encoder.integer(inode.uid);
  encoder.integer(inode.gid);
  encoder.integer(inode.links);
  encoder.zeros(4);
  put_time(encoder, inode.atime);
  put_time(encoder, inode.mtime);
  put_time(encoder, inode.ctime);
  put_object(encoder, inode.object);
  put_object(encoder, inode.object_to_remove);
  put_object(encoder, inode.other_directory);
  encoder.integer(static_cast<std::uint16_t>(inode.other_name.size()));
  encoder.integer(static_cast<std::uint16_t>(inode.symlink_target.size()));
  encoder.raw(as_bytes(inode.other_name));
  encoder.raw(as_bytes(inode.symlink_target));
  return bytes;
}

Result<Inode> decode_inode(ByteView stored, std::string_view what) {
  if (!stored.empty() && std::to_integer<std::uint8_t>(stored[0]) > kInodeVersion) {
    return failf(Code::kNewerFormat, "{}: inode version {} was written by a newer Cenote", what,
                 std::to_integer<unsigned>(stored[0]));
  }
  Decoder decoder(stored);
  Inode inode;
  decoder.require(decoder.integer<std::uint8_t>() == kInodeVersion);
  const auto type = decoder.integer<std::uint8_t>();
  const auto state = decoder.integer<std::uint8_t>();
  decoder.require(type >= 1 && type <= 3 && state <= 3);
  const auto flags = decoder.integer<std::uint8_t>();
  decoder.require((flags & ~(kHasXattrs | kRemovedHasXattrs)) == 0);
  inode.has_xattrs = (flags & kHasXattrs) != 0;
  inode.removed_has_xattrs = (flags & kRemovedHasXattrs) != 0;
  inode.type = static_cast<FileType>(type);
  inode.state = static_cast<EntryState>(state);
  inode.mode = decoder.integer<std::uint32_t>();
  decoder.require((inode.mode & ~kPermissionBits) == 0);
  inode.uid = decoder.integer<std::uint32_t>();
  inode.gid = decoder.integer<std::uint32_t>();
  inode.links = decoder.integer<std::uint32_t>();
  decoder.zeros(4);
  inode.atime = take_time(decoder);
  inode.mtime = take_time(decoder);
  inode.ctime = take_time(decoder);
  inode.object = take_object(decoder);
  inode.object_to_remove = take_object(decoder);
  inode.other_directory = take_object(decoder);
  const auto name_bytes = decoder.integer<std::uint16_t>();
  const auto target_bytes = decoder.integer<std::uint16_t>();
  decoder.require(name_bytes <= kMaxNameBytes && target_bytes <= kMaxPathBytes);
  inode.other_name = to_text(decoder.raw(name_bytes));
  inode.symlink_target = to_text(decoder.raw(target_bytes));
  const bool has_other_end = inode.state == EntryState::kMoving || inode.state == EntryState::kArrived;
  decoder.require(has_other_end == (name_bytes != 0) && has_other_end == (inode.other_directory != ObjectId()));
  decoder.require((inode.type == FileType::kSymlink) == (target_bytes != 0));
  decoder.require(inode.state == EntryState::kArrived || inode.object_to_remove == ObjectId());
  decoder.require(inode.object_to_remove != ObjectId() || !inode.removed_has_xattrs);
  if (auto complete = decoder.finish(what); !complete) {
    return failf(Code::kCorrupt, "{}: the stored inode is damaged ({} bytes)", what, stored.size());
  }
  return inode;
}

Bytes encode_superblock(const FsSuperblock& superblock) {
  Bytes bytes;
  Encoder encoder(bytes);
  encoder.integer(kSuperblockMagic);
  encoder.integer(kSuperblockVersion);
  encoder.integer(kSuperblockVersion);
  encoder.integer(superblock.chunk_bytes);
  encoder.zeros(4);
  put_object(encoder, superblock.root);
  put_time(encoder, superblock.created);
  return bytes;
}

Result<FsSuperblock> decode_superblock(ByteView stored, std::uint32_t redundancy) {
  Decoder decoder(stored);
  const auto magic = decoder.integer<std::uint32_t>();
  decoder.integer<std::uint16_t>();
  const auto oldest_reader = decoder.integer<std::uint16_t>();
  if (decoder.bad() || magic != kSuperblockMagic) {
    return fail(Code::kMalformed, "the container holds something else than a file system");
  }
  if (oldest_reader > kSuperblockVersion) {
    return failf(Code::kNewerFormat, "the file system needs format {} and this Cenote knows {}: upgrade it",
                 oldest_reader, kSuperblockVersion);
  }
  FsSuperblock superblock;
  superblock.chunk_bytes = decoder.integer<std::uint32_t>();
  decoder.zeros(4);
  superblock.root = take_object(decoder);
  superblock.created = take_time(decoder);
  if (!decoder.finish("superblock") || superblock.chunk_bytes != kChunkBytes ||
      superblock.root != root_object(redundancy)) {
    return fail(Code::kCorrupt, "the file system's superblock is damaged");
  }
  return superblock;
}

ObjectId superblock_object(std::uint32_t redundancy) {
  return ObjectId::make(with_redundancy(ObjectClass::kS1, redundancy), KeyFlavour::kLexical, KeyFlavour::kLexical, 0,
                        kSuperblockNumber);
}

ObjectId root_object(std::uint32_t redundancy) {
  return ObjectId::make(with_redundancy(ObjectClass::kSX, redundancy), KeyFlavour::kLexical, KeyFlavour::kLexical, 0,
                        kRootNumber);
}

bool is_superblock(const ObjectId& object) {
  return object.low() == kSuperblockNumber && static_cast<std::uint32_t>(object.high()) == 0;
}

ObjectId xattr_object(const ObjectId& object) {
  constexpr std::uint32_t kCompanionBit = 1u << 31;
  // What is damaged may name any class; it leads to no object then.
  const auto parts = class_parts(object.object_class());
  const ObjectClass kept = with_redundancy(ObjectClass::kS1, parts ? parts->redundancy_factor() : 0);
  return ObjectId::make(kept, KeyFlavour::kLexical, KeyFlavour::kLexical,
                        static_cast<std::uint32_t>(object.high()) | kCompanionBit, object.low());
}

}  // namespace cenote::posix
