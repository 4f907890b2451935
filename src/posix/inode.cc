#include "inode.h"

#include "cenote/base/codec.h"
#include "cenote/base/format.h"
#include "layout.h"

namespace cenote::posix {
namespace {

constexpr std::uint8_t kEntryVersion = 2;
constexpr std::size_t kFixedEntryBytes = 104;
constexpr std::uint8_t kIsReference = 1;
constexpr std::uint32_t kHasCompanion = 1;
constexpr std::uint32_t kHasXattrs = 2;
constexpr std::uint32_t kIsWide = 4;
constexpr std::uint32_t kPermissionBits = 07777;
constexpr std::uint32_t kSuperblockMagic = 0x53464e43;  // "CNFS"
constexpr std::uint16_t kSuperblockVersion = 2;

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

std::uint32_t flags_of(const Inode& inode) {
  return (inode.has_companion ? kHasCompanion : 0) | (inode.has_xattrs ? kHasXattrs : 0) |
         (inode.is_wide ? kIsWide : 0);
}

void put_inode(Encoder& encoder, const Inode& inode) {
  encoder.integer(inode.mode);
  encoder.integer(inode.uid);
  encoder.integer(inode.gid);
  encoder.integer(inode.links);
  encoder.integer(inode.device);
  encoder.integer(static_cast<std::uint16_t>(inode.target.size()));
  encoder.zeros(2);
  put_time(encoder, inode.atime);
  put_time(encoder, inode.mtime);
  put_time(encoder, inode.ctime);
  put_time(encoder, inode.created);
  put_time(encoder, inode.times_set);
  put_object(encoder, inode.parent);
  encoder.raw(as_bytes(inode.target));
}

Inode take_inode(Decoder& decoder, FileType type, const ObjectId& object, std::uint32_t flags) {
  Inode inode{.type = type, .object = object};
  inode.has_companion = (flags & kHasCompanion) != 0;
  inode.has_xattrs = (flags & kHasXattrs) != 0;
  inode.is_wide = (flags & kIsWide) != 0;
  inode.mode = decoder.integer<std::uint32_t>();
  decoder.require((inode.mode & ~kPermissionBits) == 0);
  inode.uid = decoder.integer<std::uint32_t>();
  inode.gid = decoder.integer<std::uint32_t>();
  inode.links = decoder.integer<std::uint32_t>();
  inode.device = decoder.integer<std::uint32_t>();
  const auto target_bytes = decoder.integer<std::uint16_t>();
  decoder.zeros(2);
  inode.atime = take_time(decoder);
  inode.mtime = take_time(decoder);
  inode.ctime = take_time(decoder);
  inode.created = take_time(decoder);
  inode.times_set = take_time(decoder);
  inode.parent = take_object(decoder);
  decoder.require(target_bytes <= kMaxPathBytes);
  inode.target = to_text(decoder.raw(target_bytes));
  decoder.require(inode.links <= kMaxLinks);
  decoder.require((type == FileType::kSymlink) == (target_bytes != 0));
  decoder.require(inode.is_directory() == (inode.parent != ObjectId()));
  decoder.require(inode.is_directory() || inode.times_set == WallTime{});
  decoder.require(type == FileType::kFile || !inode.is_wide);
  decoder.require(inode.has_companion || !inode.has_xattrs);
  decoder.require(type == FileType::kCharacterDevice || type == FileType::kBlockDevice || inode.device == 0);
  return inode;
}

}  // namespace

Bytes encode_entry(const Entry& entry) {
  Bytes bytes;
  bytes.reserve(entry.inode ? kFixedEntryBytes + entry.inode->target.size() : kFixedEntryBytes);
  Encoder encoder(bytes);
  encoder.integer(kEntryVersion);
  encoder.integer(static_cast<std::uint8_t>(entry.type));
  encoder.integer(entry.inode ? std::uint8_t{0} : kIsReference);
  encoder.zeros(1);
  encoder.integer(entry.inode ? flags_of(*entry.inode) : 0);
  put_object(encoder, entry.object);
  if (entry.inode) put_inode(encoder, *entry.inode);
  return bytes;
}

Result<Entry> decode_entry(ByteView stored, std::string_view what) {
  if (!stored.empty() && std::to_integer<std::uint8_t>(stored[0]) > kEntryVersion) {
    return failf(Code::kNewerFormat, "{}: entry version {} was written by a newer Cenote", what,
                 std::to_integer<unsigned>(stored[0]));
  }
  Decoder decoder(stored);
  Entry entry;
  decoder.require(decoder.integer<std::uint8_t>() == kEntryVersion);
  const auto type = decoder.integer<std::uint8_t>();
  const auto kind = decoder.integer<std::uint8_t>();
  decoder.zeros(1);
  decoder.require(type >= 1 && type <= 7 && kind <= kIsReference);
  entry.type = static_cast<FileType>(type);
  const auto flags = decoder.integer<std::uint32_t>();
  decoder.require((flags & ~(kHasCompanion | kHasXattrs | kIsWide)) == 0);
  entry.object = take_object(decoder);
  if (kind == kIsReference) {
    decoder.require(flags == 0);
  } else {
    entry.inode = take_inode(decoder, entry.type, entry.object, flags);
  }
  if (auto complete = decoder.finish(what); !complete) {
    return failf(Code::kCorrupt, "{}: the stored entry is damaged ({} bytes)", what, stored.size());
  }
  return entry;
}

Bytes encode_where(const WhereAt& where) {
  Bytes bytes;
  Encoder encoder(bytes);
  put_object(encoder, where.directory);
  encoder.raw(as_bytes(where.name));
  return bytes;
}

Result<WhereAt> decode_where(ByteView stored, std::string_view what) {
  constexpr std::size_t kObjectBytes = 16;
  if (stored.size() <= kObjectBytes || stored.size() > kObjectBytes + kMaxNameBytes) {
    return failf(Code::kCorrupt, "{}: the stored place is damaged ({} bytes)", what, stored.size());
  }
  Decoder decoder(stored);
  WhereAt where;
  where.directory = take_object(decoder);
  where.name = to_text(stored.subspan(kObjectBytes));
  return where;
}

Bytes encode_time(WallTime time) {
  Bytes bytes;
  Encoder encoder(bytes);
  put_time(encoder, time);
  return bytes;
}

Result<WallTime> decode_time(ByteView stored, std::string_view what) {
  Decoder decoder(stored);
  const WallTime time = take_time(decoder);
  if (decoder.bad() || stored.size() != sizeof(std::uint64_t)) {
    return failf(Code::kCorrupt, "{}: the stored time is damaged ({} bytes)", what, stored.size());
  }
  return time;
}

Bytes encode_superblock(const FsSuperblock& superblock) {
  Bytes bytes;
  Encoder encoder(bytes);
  encoder.integer(kSuperblockMagic);
  encoder.integer(kSuperblockVersion);
  encoder.integer(kSuperblockVersion);
  encoder.integer(superblock.chunk_bytes);
  encoder.integer(superblock.touch_marks);
  put_object(encoder, superblock.root);
  put_time(encoder, superblock.created);
  return bytes;
}

Result<FsSuperblock> decode_superblock(ByteView stored, std::uint32_t redundancy) {
  Decoder decoder(stored);
  const auto magic = decoder.integer<std::uint32_t>();
  const auto version = decoder.integer<std::uint16_t>();
  const auto oldest_reader = decoder.integer<std::uint16_t>();
  if (decoder.bad() || magic != kSuperblockMagic) {
    return fail(Code::kMalformed, "the container holds something else than a file system");
  }
  if (oldest_reader > kSuperblockVersion) {
    return failf(Code::kNewerFormat, "the file system needs format {} and this Cenote knows {}: upgrade it",
                 oldest_reader, kSuperblockVersion);
  }
  if (version < kSuperblockVersion) {
    return failf(
        Code::kUnsupported,
        "the file system has format {}, which only builds before the first release knew: copy it out with such a "
        "one, and into a new container with this",
        version);
  }
  FsSuperblock superblock;
  superblock.chunk_bytes = decoder.integer<std::uint32_t>();
  superblock.touch_marks = decoder.integer<std::uint32_t>();
  superblock.root = take_object(decoder);
  superblock.created = take_time(decoder);
  if (!decoder.finish("superblock") || superblock.chunk_bytes != kChunkBytes || superblock.touch_marks == 0 ||
      superblock.touch_marks > kMaxTouchMarks || superblock.root != root_object(redundancy)) {
    return fail(Code::kCorrupt, "the file system's superblock is damaged");
  }
  return superblock;
}

}  // namespace cenote::posix
