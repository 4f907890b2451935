#include "inode.h"

#include <gtest/gtest.h>

#include "cenote/protocol/object_class.h"
#include "cenote/runtime/random.h"
#include "layout.h"

namespace cenote::posix {
namespace {

WallTime random_time(Random& random) { return WallTime(Duration(static_cast<std::int64_t>(random.next()))); }

Inode random_inode(Random& random) {
  Inode inode;
  inode.type = static_cast<FileType>(1 + random.below(7));
  inode.object = ObjectId(random.next(), random.next());
  inode.mode = static_cast<std::uint32_t>(random.below(07777 + 1));
  inode.uid = static_cast<std::uint32_t>(random.next());
  inode.gid = static_cast<std::uint32_t>(random.next());
  inode.links = static_cast<std::uint32_t>(random.below(kMaxLinks + 1));
  if (inode.type == FileType::kCharacterDevice || inode.type == FileType::kBlockDevice)
    inode.device = static_cast<std::uint32_t>(random.next());
  inode.atime = random_time(random);
  inode.mtime = random_time(random);
  inode.ctime = random_time(random);
  inode.created = random_time(random);
  inode.has_companion = random.chance(1, 2);
  inode.has_xattrs = inode.has_companion && random.chance(1, 2);
  inode.is_wide = inode.type == FileType::kFile && random.chance(1, 2);
  if (inode.is_directory()) {
    inode.times_set = random_time(random);
    inode.parent = ObjectId(random.next() | 1, random.next());
  }
  if (inode.type == FileType::kSymlink) inode.target = std::string(1 + random.below(kMaxPathBytes), 't');
  return inode;
}

void expect_equal(const Inode& a, const Inode& b) {
  EXPECT_EQ(a.type, b.type);
  EXPECT_EQ(a.object, b.object);
  EXPECT_EQ(a.mode, b.mode);
  EXPECT_EQ(a.uid, b.uid);
  EXPECT_EQ(a.gid, b.gid);
  EXPECT_EQ(a.links, b.links);
  EXPECT_EQ(a.device, b.device);
  EXPECT_EQ(a.atime, b.atime);
  EXPECT_EQ(a.mtime, b.mtime);
  EXPECT_EQ(a.ctime, b.ctime);
  EXPECT_EQ(a.created, b.created);
  EXPECT_EQ(a.has_companion, b.has_companion);
  EXPECT_EQ(a.has_xattrs, b.has_xattrs);
  EXPECT_EQ(a.is_wide, b.is_wide);
  EXPECT_EQ(a.times_set, b.times_set);
  EXPECT_EQ(a.parent, b.parent);
  EXPECT_EQ(a.target, b.target);
}

TEST(EntryCodec, ComesBackAsItWas) {
  for (std::uint64_t seed = 1; seed <= 200; ++seed) {
    SCOPED_TRACE(seed);
    Random random(seed);
    const Inode inode = random_inode(random);
    const auto decoded = decode_entry(encode_entry(Entry::of(inode)), "entry");
    ASSERT_TRUE(decoded) << decoded.error().to_string();
    ASSERT_TRUE(decoded->inode);
    expect_equal(*decoded->inode, inode);
    const auto reference = decode_entry(encode_entry(Entry::reference(inode)), "entry");
    ASSERT_TRUE(reference) << reference.error().to_string();
    EXPECT_FALSE(reference->inode);
    EXPECT_EQ(reference->type, inode.type);
    EXPECT_EQ(reference->object, inode.object);
  }
}

// What is on disks, byte by byte.
TEST(EntryCodec, IsThatOfThePage) {
  Inode inode{.object = ObjectId(0x0001'2100'0000'0000, 0x400), .mode = 0644, .uid = 1000, .gid = 100};
  inode.is_wide = true;
  inode.atime = inode.mtime = inode.ctime = inode.created = WallTime(Duration(0x1122));
  const Bytes bytes = encode_entry(Entry::of(inode));
  ASSERT_EQ(bytes.size(), 104u);
  const auto at = [&bytes](std::size_t index) { return std::to_integer<unsigned>(bytes[index]); };
  EXPECT_EQ(at(0), 2u);      // version
  EXPECT_EQ(at(1), 1u);      // file
  EXPECT_EQ(at(2), 0u);      // the inode is here
  EXPECT_EQ(at(4), 4u);      // wide
  EXPECT_EQ(at(13), 0x21u);  // object
  EXPECT_EQ(at(17), 0x04u);
  EXPECT_EQ(at(24), 0xa4u);  // mode
  EXPECT_EQ(at(28), 0xe8u);  // uid
  EXPECT_EQ(at(32), 100u);   // gid
  EXPECT_EQ(at(36), 1u);     // links
  EXPECT_EQ(at(48), 0x22u);  // atime
}

TEST(EntryCodec, RefusesEveryOtherLength) {
  for (std::uint64_t seed = 1; seed <= 20; ++seed) {
    Random random(seed);
    const Inode inode = random_inode(random);
    for (const Entry& entry : {Entry::of(inode), Entry::reference(inode)}) {
      Bytes bytes = encode_entry(entry);
      for (std::size_t length = 0; length < bytes.size(); length += 1 + length / 40)
        EXPECT_FALSE(decode_entry(ByteView(bytes).first(length), "entry")) << seed << " " << length;
      bytes.push_back(std::byte{0});
      EXPECT_FALSE(decode_entry(bytes, "entry")) << seed;
    }
  }
}

TEST(EntryCodec, NamesWhatIsDamagedAndWhatIsNewer) {
  Bytes bytes = encode_entry(Entry::of({.object = ObjectId(1, 2)}));
  bytes[0] = std::byte{3};
  const auto newer = decode_entry(bytes, "entry 'a'");
  ASSERT_FALSE(newer);
  EXPECT_EQ(newer.error(), Code::kNewerFormat);
  EXPECT_NE(newer.error().message().find("entry 'a'"), std::string::npos);
  bytes[0] = std::byte{2};
  bytes[3] = std::byte{1};
  const auto damaged = decode_entry(bytes, "entry 'a'");
  ASSERT_FALSE(damaged);
  EXPECT_EQ(damaged.error(), Code::kCorrupt);
}

TEST(EntryCodec, RefusesWhatCannotBe) {
  const auto refused = [](const Inode& inode) { return !decode_entry(encode_entry(Entry::of(inode)), "entry"); };
  const ObjectId object(1, 1);
  EXPECT_FALSE(refused({.object = object}));
  EXPECT_TRUE(refused({.object = object, .mode = 010000}));
  EXPECT_TRUE(refused({.object = object, .links = kMaxLinks + 1}));
  EXPECT_TRUE(refused({.object = object, .device = 1})) << "a file of a device";
  EXPECT_TRUE(refused({.object = object, .has_xattrs = true})) << "attributes, but no companion";
  EXPECT_TRUE(refused({.object = object, .parent = object})) << "a file above something";
  EXPECT_TRUE(refused({.object = object, .target = "t"}));
  EXPECT_TRUE(refused({.type = FileType::kSymlink, .object = object})) << "a link to nothing";
  EXPECT_TRUE(refused({.type = FileType::kDirectory, .object = object})) << "a directory below nothing";
  EXPECT_TRUE(refused({.type = FileType::kDirectory, .object = object, .is_wide = true, .parent = object}));
}

TEST(WhereCodec, RoundTripAndDamage) {
  const WhereAt where{ObjectId(1, 2), "a name"};
  const auto decoded = decode_where(encode_where(where), "place");
  ASSERT_TRUE(decoded);
  EXPECT_EQ(*decoded, where);
  EXPECT_FALSE(decode_where(Bytes(16), "place")) << "no name";
  EXPECT_FALSE(decode_where(Bytes(16 + kMaxNameBytes + 1), "place"));
  const WallTime time(Duration(77));
  ASSERT_TRUE(decode_time(encode_time(time), "time"));
  EXPECT_EQ(*decode_time(encode_time(time), "time"), time);
  EXPECT_FALSE(decode_time(Bytes(7), "time"));
  EXPECT_FALSE(decode_time(Bytes(9), "time"));
}

TEST(FsSuperblockCodec, RoundTripAndDamage) {
  const FsSuperblock superblock{.touch_marks = 8, .root = root_object(0), .created = WallTime(Duration(12345))};
  const Bytes bytes = encode_superblock(superblock);
  ASSERT_EQ(bytes.size(), 40u);
  const auto decoded = decode_superblock(bytes, 0);
  ASSERT_TRUE(decoded);
  EXPECT_EQ(decoded->root, root_object(0));
  EXPECT_EQ(decoded->touch_marks, 8u);
  EXPECT_EQ(decode_superblock(bytes, 1).error(), Code::kCorrupt) << "written without redundancy";
  EXPECT_EQ(decoded->created, superblock.created);
  const auto code_with = [&bytes](std::size_t at, std::byte value) {
    Bytes changed = bytes;
    changed[at] = value;
    const auto result = decode_superblock(changed, 0);
    return result ? Code::kOk : result.error().code();
  };
  EXPECT_EQ(code_with(0, std::byte{0}), Code::kMalformed);
  EXPECT_EQ(code_with(6, std::byte{3}), Code::kNewerFormat);
  EXPECT_EQ(code_with(4, std::byte{3}), Code::kOk) << "a newer writer that older readers can follow";
  EXPECT_EQ(code_with(4, std::byte{1}), Code::kUnsupported);
  EXPECT_EQ(code_with(8, std::byte{1}), Code::kCorrupt);
  EXPECT_EQ(code_with(12, std::byte{0}), Code::kCorrupt);
  EXPECT_EQ(code_with(12, std::byte{17}), Code::kCorrupt);
  EXPECT_EQ(code_with(20, std::byte{1}), Code::kCorrupt);
  for (std::size_t length = 0; length < bytes.size(); ++length) {
    EXPECT_FALSE(decode_superblock(ByteView(bytes).first(length), 0)) << length;
  }
}

TEST(FixedObjects, AreOutsideTheLeasedOnes) {
  for (const std::uint32_t redundancy : {0u, 1u, 5u}) {
    for (const ObjectId& object :
         {superblock_object(redundancy), root_object(redundancy), sessions_object(redundancy)}) {
      EXPECT_TRUE(object.validate());
      EXPECT_LT(object.low(), kFirstLeasedObject);
    }
  }
  EXPECT_EQ(inode_number(root_object(0)), 1u);
}

// What is on disks: a file system in a container without redundancy is found by these for ever.
TEST(FixedObjects, AreThoseOfThePageWithoutRedundancy) {
  EXPECT_EQ(superblock_object(0).to_string(), "0001110000000000.0000000000000000");
  EXPECT_EQ(root_object(0).to_string(), "0001110000000000.0000000000000001");
  EXPECT_EQ(sessions_object(0).to_string(), "0001110000000000.0000000000000003");
  const ObjectId file(0x0001'2100'0000'0000, 0x1388);
  EXPECT_EQ(companion_object(file).to_string(), "0001110080000000.0000000000001388");
  EXPECT_EQ(tail_object(file).to_string(), "0002210040000000.0000000000001388");
}

TEST(FixedObjects, KeepTheirDataAsTheContainerAsks) {
  for (const std::uint32_t redundancy : {0u, 1u, 5u}) {
    const ObjectId file = ObjectId::make(with_redundancy(ObjectClass::kS1, redundancy), KeyFlavour::kUint64,
                                         KeyFlavour::kLexical, 0, 5000);
    for (const ObjectId& object : {superblock_object(redundancy), root_object(redundancy), companion_object(file),
                                   tail_object(file), sessions_object(redundancy)}) {
      EXPECT_TRUE(object.validate());
      EXPECT_EQ(class_parts(object.object_class())->redundancy_factor(), redundancy) << object.to_string();
    }
    EXPECT_TRUE(class_parts(tail_object(file).object_class())->spreads_over_all());
    EXPECT_FALSE(class_parts(companion_object(file).object_class())->spreads_over_all());
  }
}

TEST(RemovedKeys, ComeBackAndAreNoNames) {
  const ObjectId directory(1, 2), object(0x0001'2100'0000'0000, 0x1388);
  const Place place = Place::removed(directory, 0xabc, object);
  EXPECT_EQ(place.object, directory);
  EXPECT_TRUE(place.dkey.starts_with(removed_prefix(0xabc)));
  EXPECT_FALSE(is_name(place.dkey));
  EXPECT_FALSE(is_name("."));
  EXPECT_TRUE(is_name("a"));
  EXPECT_TRUE(is_name(".a"));
  const auto key = parse_removed(place.dkey);
  ASSERT_TRUE(key) << key.error().to_string();
  EXPECT_EQ(key->session, 0xabcu);
  EXPECT_EQ(key->object, object);
  for (const char* bad : {"", "/", "//", "/0000000000000abc/", "a", "/0000000000000abc/12", "/xyz/1"})
    EXPECT_FALSE(parse_removed(bad)) << bad;
}

}  // namespace
}  // namespace cenote::posix
