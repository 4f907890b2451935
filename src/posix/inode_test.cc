#include "inode.h"

#include <gtest/gtest.h>

#include "cenote/runtime/random.h"

namespace cenote::posix {
namespace {

Inode random_inode(Random& random) {
  Inode inode;
  inode.type = static_cast<FileType>(1 + random.below(3));
  inode.state = static_cast<EntryState>(random.below(4));
  inode.mode = static_cast<std::uint32_t>(random.below(07777 + 1));
  inode.uid = static_cast<std::uint32_t>(random.next());
  inode.gid = static_cast<std::uint32_t>(random.next());
  inode.links = static_cast<std::uint32_t>(random.next());
  inode.atime = WallTime(Duration(static_cast<std::int64_t>(random.next())));
  inode.mtime = WallTime(Duration(static_cast<std::int64_t>(random.next())));
  inode.ctime = WallTime(Duration(static_cast<std::int64_t>(random.next())));
  inode.object = ObjectId(random.next(), random.next());
  inode.has_xattrs = random.chance(1, 2);
  if (inode.state == EntryState::kMoving || inode.state == EntryState::kArrived) {
    inode.other_directory = ObjectId(random.next() | 1, random.next());
    inode.other_name = std::string(1 + random.below(kMaxNameBytes), 'n');
  }
  if (inode.state == EntryState::kArrived && random.chance(1, 2)) {
    inode.object_to_remove = ObjectId(random.next() | 1, random.next());
    inode.removed_has_xattrs = random.chance(1, 2);
  }
  if (inode.type == FileType::kSymlink) inode.symlink_target = std::string(1 + random.below(kMaxPathBytes), 't');
  return inode;
}

void expect_equal(const Inode& a, const Inode& b) {
  EXPECT_EQ(a.type, b.type);
  EXPECT_EQ(a.state, b.state);
  EXPECT_EQ(a.mode, b.mode);
  EXPECT_EQ(a.uid, b.uid);
  EXPECT_EQ(a.gid, b.gid);
  EXPECT_EQ(a.links, b.links);
  EXPECT_EQ(a.atime, b.atime);
  EXPECT_EQ(a.mtime, b.mtime);
  EXPECT_EQ(a.ctime, b.ctime);
  EXPECT_EQ(a.object, b.object);
  EXPECT_EQ(a.has_xattrs, b.has_xattrs);
  EXPECT_EQ(a.object_to_remove, b.object_to_remove);
  EXPECT_EQ(a.removed_has_xattrs, b.removed_has_xattrs);
  EXPECT_EQ(a.other_directory, b.other_directory);
  EXPECT_EQ(a.other_name, b.other_name);
  EXPECT_EQ(a.symlink_target, b.symlink_target);
}

TEST(InodeCodec, ComesBackAsItWas) {
  for (std::uint64_t seed = 1; seed <= 200; ++seed) {
    SCOPED_TRACE(seed);
    Random random(seed);
    const Inode inode = random_inode(random);
    const auto decoded = decode_inode(encode_inode(inode), "entry");
    ASSERT_TRUE(decoded) << decoded.error().to_string();
    expect_equal(*decoded, inode);
  }
}

TEST(InodeCodec, MatchesTheDocumentedBytes) {
  Inode inode{.type = FileType::kSymlink,
              .state = EntryState::kMoving,
              .mode = 0777,
              .object = ObjectId(0x1122334455667788, 0x99),
              .other_directory = ObjectId(1, 2),
              .other_name = "new",
              .symlink_target = "/t"};
  const Bytes bytes = encode_inode(inode);
  ASSERT_EQ(bytes.size(), 100u + 3 + 2);
  EXPECT_EQ(to_hex(ByteView(bytes).first(8)), "01030200ff010000");
  EXPECT_EQ(to_hex(ByteView(bytes).subspan(48, 16)), "88776655443322119900000000000000");
  EXPECT_EQ(to_hex(ByteView(bytes).subspan(80, 20)), "0100000000000000020000000000000003000200");
  EXPECT_EQ(to_text(ByteView(bytes).subspan(100)), "new/t");
}

// Anything may have happened to stored bytes: they decode to something that encodes to the same bytes, or not at all.
TEST(InodeCodec, SurvivesMutation) {
  int refused = 0;
  for (std::uint64_t seed = 1; seed <= 2000; ++seed) {
    SCOPED_TRACE(seed);
    Random random(seed);
    Bytes bytes = encode_inode(random_inode(random));
    for (std::uint64_t i = 1 + random.below(3); i > 0; --i) {
      switch (random.below(3)) {
        case 0:
          bytes[random.below(std::min<std::size_t>(bytes.size(), 110))] = static_cast<std::byte>(random.next());
          break;
        case 1:
          bytes.resize(random.below(bytes.size()) + 1);
          break;
        default:
          bytes.push_back(std::byte{0});
      }
    }
    const auto decoded = decode_inode(bytes, "entry");
    if (decoded) {
      EXPECT_TRUE(equal(encode_inode(*decoded), bytes));
      continue;
    }
    ++refused;
    EXPECT_TRUE(decoded.error() == Code::kCorrupt || decoded.error() == Code::kNewerFormat);
    EXPECT_TRUE(decoded.error().message().starts_with("entry: "));
  }
  EXPECT_GT(refused, 500);
  EXPECT_FALSE(decode_inode({}, "entry"));
}

TEST(InodeCodec, ANewerVersionIsNamed) {
  Bytes bytes = encode_inode(Inode{.object = ObjectId(1, 1)});
  bytes[0] = std::byte{2};
  EXPECT_EQ(decode_inode(bytes, "entry").error().code(), Code::kNewerFormat);
}

TEST(InodeCodec, RefusesStatesThatContradictThemselves) {
  const Inode moving{.state = EntryState::kMoving, .object = ObjectId(1, 1)};
  EXPECT_FALSE(decode_inode(encode_inode(moving), "entry")) << "moves to nowhere";
  const Inode live{.object = ObjectId(1, 1), .other_directory = ObjectId(1, 2), .other_name = "n"};
  EXPECT_FALSE(decode_inode(encode_inode(live), "entry"));
  const Inode replacing{.object = ObjectId(1, 1), .object_to_remove = ObjectId(1, 2)};
  EXPECT_FALSE(decode_inode(encode_inode(replacing), "entry"));
  const Inode file{.object = ObjectId(1, 1), .symlink_target = "t"};
  EXPECT_FALSE(decode_inode(encode_inode(file), "entry"));
  const Inode link{.type = FileType::kSymlink, .object = ObjectId(1, 1)};
  EXPECT_FALSE(decode_inode(encode_inode(link), "entry"));
}

TEST(FsSuperblockCodec, RoundTripAndDamage) {
  const FsSuperblock superblock{.root = root_object(0), .created = WallTime(Duration(12345))};
  const Bytes bytes = encode_superblock(superblock);
  ASSERT_EQ(bytes.size(), 40u);
  const auto decoded = decode_superblock(bytes, 0);
  ASSERT_TRUE(decoded);
  EXPECT_EQ(decoded->root, root_object(0));
  EXPECT_EQ(decode_superblock(bytes, 1).error(), Code::kCorrupt) << "written without redundancy";
  EXPECT_EQ(decoded->created, superblock.created);
  const auto code_with = [&bytes](std::size_t at, std::byte value) {
    Bytes changed = bytes;
    changed[at] = value;
    const auto result = decode_superblock(changed, 0);
    return result ? Code::kOk : result.error().code();
  };
  EXPECT_EQ(code_with(0, std::byte{0}), Code::kMalformed);
  EXPECT_EQ(code_with(6, std::byte{2}), Code::kNewerFormat);
  EXPECT_EQ(code_with(4, std::byte{2}), Code::kOk) << "a newer writer that older readers can follow";
  EXPECT_EQ(code_with(8, std::byte{1}), Code::kCorrupt);
  EXPECT_EQ(code_with(12, std::byte{1}), Code::kCorrupt);
  EXPECT_EQ(code_with(20, std::byte{1}), Code::kCorrupt);
  for (std::size_t length = 0; length < bytes.size(); ++length) {
    EXPECT_FALSE(decode_superblock(ByteView(bytes).first(length), 0)) << length;
  }
}

TEST(FixedObjects, AreOutsideTheLeasedOnes) {
  for (const std::uint32_t redundancy : {0u, 1u, 5u}) {
    EXPECT_TRUE(superblock_object(redundancy).validate());
    EXPECT_TRUE(root_object(redundancy).validate());
    EXPECT_LT(root_object(redundancy).low(), kFirstLeasedObject);
    EXPECT_TRUE(is_superblock(superblock_object(redundancy)));
    EXPECT_FALSE(is_superblock(root_object(redundancy)));
  }
  const ObjectId file = ObjectId::make(ObjectClass::kSX, KeyFlavour::kUint64, KeyFlavour::kLexical, 0, 5000);
  EXPECT_TRUE(xattr_object(file).validate());
  EXPECT_NE(xattr_object(file), file);
  EXPECT_NE(xattr_object(file),
            xattr_object(ObjectId::make(ObjectClass::kSX, KeyFlavour::kUint64, KeyFlavour::kLexical, 0, 5001)));
}

// What is on disks: a file system in a container without redundancy is found by these for ever.
TEST(FixedObjects, AreThoseOfThePageWithoutRedundancy) {
  EXPECT_EQ(superblock_object(0).to_string(), "0001110000000000.0000000000000000");
  EXPECT_EQ(root_object(0).to_string(), "0002110000000000.0000000000000001");
  EXPECT_EQ(xattr_object(ObjectId(0x0002'2100'0000'0000, 0x1388)).to_string(), "0001110080000000.0000000000001388");
}

TEST(FixedObjects, KeepTheirDataAsTheContainerAsks) {
  EXPECT_EQ(superblock_object(1).to_string(), "0201110000000000.0000000000000000");
  EXPECT_EQ(root_object(2).to_string(), "0302110000000000.0000000000000001");
  EXPECT_EQ(xattr_object(root_object(2)).to_string(), "0301110080000000.0000000000000001");
  EXPECT_EQ(xattr_object(ObjectId(0xffff'0000'0000'0000, 1)).to_string(), "0001110080000000.0000000000000001")
      << "of no class: damaged, and still no other object's";
}

}  // namespace
}  // namespace cenote::posix
