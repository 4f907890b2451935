// What a file system is beyond a tree of paths: nodes that outlive names, several clients, what is kept for whom.

#include <fmt/format.h>
#include <gtest/gtest.h>

#include <array>
#include <set>

#include "cenote/base/codec.h"
#include "cenote/posix/file_system.h"
#include "cenote/runtime/scope.h"
#include "client_node.h"

namespace cenote::sim {
namespace {

using namespace std::chrono_literals;
using posix::File;
using posix::FileSystem;
using posix::FileType;
using posix::Found;
using posix::RenameMode;

const Bytes kContents(1000, std::byte{7});

template <typename T>
Code code_of(const Result<T>& result) {
  return result ? Code::kOk : result.error().code();
}

/// Two that know nothing of each other, with the same tree.
struct Two {
  FileSystem& one;
  FileSystem& other;
  SimReactor& node;
  async::Container container;
};
using Scenario = Task<Result<>> (*)(Two two);

Task<Result<>> with_files(ClientNode& client, Scenario scenario) {
  CO_CHECK_OK(co_await client.connect(Until::forever()));
  CO_TRY(const async::Container container, co_await open_test_container(client, "posix", Until::forever()));
  CO_TRY(const auto one, co_await FileSystem::open(container));
  CO_TRY(const auto other, co_await FileSystem::open(container));
  auto ended = co_await scenario({*one, *other, client.node(), container});
  co_await one->close();
  co_await other->close();
  co_return ended;
}

Task<> body(Run& run, Scenario scenario) {
  if (!co_await start_engine(run)) co_return;
  ClientNode client(run, "client");
  const auto ended = co_await on_node(run, client.node(), [&] { return with_files(client, scenario); });
  if (!ended) run.fail(ended.error().to_string());
  co_await on_node(run, client.node(), [&] { return client.close(); });
  co_await stop_engine(run);
}

void play(Scenario scenario, std::uint64_t first_seed = 1) {
  for (std::uint64_t seed = first_seed; seed <= 3; ++seed) {
    SCOPED_TRACE(seed);
    engine::SimEngineOptions shape = shape_engine(seed);
    shape.targets = static_cast<std::uint32_t>(seed);
    Run run(seed, {}, std::move(shape));
    EXPECT_EQ(run.drive(body(run, scenario), std::chrono::hours(1)).failure, "");
  }
}

Task<Result<Bytes>> contents(File file) {
  Bytes bytes(2 * posix::kChunkBytes);
  CO_TRY(const std::uint64_t got, co_await file.read(0, bytes));
  bytes.resize(got);
  co_return bytes;
}

Task<Result<>> make(FileSystem& files, std::string path) {
  CO_TRY(File file, co_await files.create(std::move(path), {}));
  CO_CHECK_OK(co_await file.write(0, kContents));
  co_return co_await file.close();
}

Task<Result<>> several_names(Two two) {
  auto& [files, others, node, container] = two;
  CO_CHECK_OK(co_await make(files, "/a"));
  CO_TRY(const Found file, co_await files.find("/a"));
  CO_TRY(const Found theirs, co_await others.find("/a"));
  CO_TRY(const auto linked, co_await files.link(file.node, files.root(), "b"));
  EXPECT_EQ(linked.links, 2u);
  EXPECT_EQ(code_of(co_await files.link(file.node, files.root(), "b")), Code::kExists);
  CO_TRY(const auto seen, co_await others.attributes(theirs.node));
  EXPECT_EQ(seen.links, 2u) << "found before it had two";
  CO_CHECK_OK(co_await others.set_attributes(theirs.node, {.mode = 0600}));
  CO_CHECK_OK(co_await others.unlink("/a"));
  CO_TRY(const auto left, co_await files.stat("/b"));
  EXPECT_EQ(left.links, 1u);
  EXPECT_EQ(left.mode, 0600u);
  EXPECT_EQ(left.object, file.node.object());
  CO_CHECK_OK(co_await files.rename("/b", "/c"));
  CO_CHECK_OK(co_await files.unlink("/c"));
  EXPECT_EQ(code_of(co_await others.attributes(theirs.node)), Code::kGone);
  co_return Result<>();
}
TEST(PosixFiles, SeveralNames) { play(several_names); }

Task<Result<>> no_second_name(Two two) {
  auto& [files, others, node, container] = two;
  CO_CHECK_OK(co_await files.mkdir("/dir", {}));
  CO_TRY(const Found directory, co_await files.find("/dir"));
  EXPECT_EQ(code_of(co_await files.link(directory.node, files.root(), "e")), Code::kIsADirectory);
  CO_CHECK_OK(co_await make(files, "/a"));
  CO_TRY(const Found file, co_await files.find("/a"));
  EXPECT_EQ(code_of(co_await files.link(file.node, files.root(), "dir")), Code::kExists);
  CO_CHECK_OK(co_await others.unlink("/a"));
  EXPECT_EQ(code_of(co_await files.link(file.node, files.root(), "d")), Code::kGone);
  co_return Result<>();
}
TEST(PosixFiles, NoSecondName) { play(no_second_name); }

Task<Result<>> open_and_removed(Two two) {
  auto& [files, others, node, container] = two;
  CO_CHECK_OK(co_await files.mkdir("/dir", {}));
  CO_CHECK_OK(co_await make(files, "/dir/a"));
  CO_TRY(File file, co_await files.open_file("/dir/a"));
  CO_CHECK_OK(co_await files.unlink("/dir/a"));
  CO_TRY(const Bytes first, co_await contents(file));
  EXPECT_EQ(first, kContents);
  CO_TRY(auto attributes, co_await files.attributes(file.node()));
  EXPECT_EQ(attributes.links, 0u);
  EXPECT_EQ(attributes.size, kContents.size());
  // The directory where it waits goes, by another client.
  CO_CHECK_OK(co_await others.rmdir("/dir"));
  CO_CHECK_OK(co_await file.write(kContents.size(), kContents));
  CO_TRY(attributes, co_await files.set_attributes(file.node(), {.mode = 0400}));
  EXPECT_EQ(attributes.links, 0u);
  EXPECT_EQ(attributes.mode, 0400u);
  CO_TRY(const Bytes second, co_await contents(file));
  EXPECT_EQ(second.size(), 2 * kContents.size());
  const posix::Node node_of = file.node();
  CO_CHECK_OK(co_await file.close());
  EXPECT_EQ(code_of(co_await files.attributes(node_of)), Code::kGone);
  co_return Result<>();
}
TEST(PosixFiles, OpenAndRemoved) { play(open_and_removed); }

/// The numbers of all objects that are stored, but for those that a file system has in any case.
Task<Result<std::set<std::uint64_t>>> stored_numbers(Two two) {
  ListRequest request;
  request.level = ListLevel::kObjects;
  CO_TRY(const ListReply listed, co_await two.container.list(std::move(request)));
  std::set<std::uint64_t> numbers;
  for (const ListedKey& key : listed.keys) numbers.insert(load_be<std::uint64_t>(key.key.data() + 8));
  for (const std::uint64_t number :
       {std::uint64_t{0}, std::uint64_t{1}, std::uint64_t{3}, two.one.session_number(), two.other.session_number()})
    numbers.erase(number);
  co_return numbers;
}

Task<> remove_one(FileSystem* files, std::string path) {
  EXPECT_EQ(code_of(co_await files->unlink(std::move(path))), Code::kOk);
}

Task<> remove_until_it_works(FileSystem* files, Result<>* outcome) {
  do {
    *outcome = co_await files->rmdir("/dir");
  } while (!*outcome && outcome->error() == Code::kNotEmpty);
}

// One frees what it has removed while the other one takes the directory away where that waits.
Task<Result<>> held_and_removed(Two two) {
  auto& [files, others, node, container] = two;
  CO_CHECK_OK(co_await files.mkdir("/dir", {}));
  CO_CHECK_OK(co_await make(files, "/dir/a"));
  CO_CHECK_OK(co_await make(files, "/dir/b"));
  CO_TRY(const Found file, co_await files.find("/dir/a"));
  files.hold(file.node);
  CO_CHECK_OK(co_await files.rename("/dir/b", "/dir/a"));
  // It is opened after it was replaced.
  CO_TRY(File opened, files.open_file(file.node));
  CO_TRY(const Bytes first, co_await contents(opened));
  EXPECT_EQ(first, kContents);
  CO_CHECK_OK(co_await files.release(file.node));
  CO_TRY(const Bytes second, co_await contents(opened));
  EXPECT_EQ(second, kContents) << "it is still open";
  CO_CHECK_OK(co_await opened.close());
  EXPECT_EQ(code_of(co_await files.attributes(file.node)), Code::kGone);
  // Whoever only holds a file does not keep its directory, nor the file in it.
  CO_TRY(const Found last, co_await files.find("/dir/a"));
  files.hold(last.node);
  files.hold(last.node);
  CO_CHECK_OK(co_await files.unlink("/dir/a"));
  CO_CHECK_OK(co_await files.release(last.node));
  CO_TRY(const auto kept, co_await files.attributes(last.node));
  EXPECT_EQ(kept.links, 0u);
  CO_CHECK_OK(co_await files.rmdir("/dir"));
  EXPECT_EQ(code_of(co_await files.attributes(last.node)), Code::kGone);
  co_return co_await files.release(last.node);
}
TEST(PosixFiles, HeldAndRemoved) { play(held_and_removed); }

Task<Result<>> removed_by_two(Two two) {
  auto& [files, others, node, container] = two;
  constexpr int kFiles = 40;
  for (int round = 0; round < 6; ++round) {
    CO_CHECK_OK(co_await files.mkdir("/dir", {}));
    for (int i = 0; i < kFiles; ++i) {
      CO_TRY(File file, co_await files.create(fmt::format("/dir/{}", i), {}));
      CO_CHECK_OK(co_await file.truncate(2 * posix::kChunkBytes));
      CO_CHECK_OK(co_await file.close());
    }
    // All of them wait at the same time, and the other one meets them at any stage.
    Result<> emptied = fail(Code::kNotEmpty);
    Scope scope(node);
    for (int i = 0; i < kFiles; ++i) scope.spawn(remove_one(&files, fmt::format("/dir/{}", i)));
    scope.spawn(remove_until_it_works(&others, &emptied));
    co_await scope.drain();
    CO_CHECK_OK(std::move(emptied));
  }
  co_await node.sleep_for(5s);
  CO_TRY(const auto left, co_await stored_numbers(two));
  EXPECT_EQ(left, std::set<std::uint64_t>{});
  co_return Result<>();
}
// Of several targets, where freeing takes long enough to be met half-way.
TEST(PosixFiles, RemovedByTwo) { play(removed_by_two, 3); }

Task<Result<>> replaced_while_open(Two two) {
  auto& [files, others, node, container] = two;
  CO_CHECK_OK(co_await make(files, "/a"));
  CO_TRY(File file, co_await files.open_file("/a"));
  CO_TRY(File fresh, co_await files.create("/b", {}));
  CO_CHECK_OK(co_await fresh.close());
  CO_CHECK_OK(co_await files.rename("/b", "/a"));
  CO_TRY(const Bytes kept, co_await contents(file));
  EXPECT_EQ(kept, kContents);
  CO_TRY(const auto replaced, co_await others.stat("/a"));
  EXPECT_EQ(replaced.size, 0u);
  co_return co_await file.close();
}
TEST(PosixFiles, ReplacedWhileOpen) { play(replaced_while_open); }

Task<Result<>> nodes_outlive_names(Two two) {
  auto& [files, others, node, container] = two;
  CO_CHECK_OK(co_await files.mkdir("/x", {}));
  CO_CHECK_OK(co_await files.mkdir("/y", {}));
  CO_CHECK_OK(co_await make(files, "/x/a"));
  CO_TRY(const Found theirs, co_await others.find("/x/a"));
  CO_TRY(File open, others.open_file(theirs.node));
  for (const auto& [from, to] : {std::pair("/x/a", "/y/b"), std::pair("/y/b", "/c"), std::pair("/c", "/x/a")}) {
    CO_CHECK_OK(co_await files.rename(from, to));
    CO_TRY(const auto seen, co_await others.attributes(theirs.node));
    EXPECT_EQ(seen.object, theirs.node.object());
    CO_CHECK_OK(co_await open.write(0, kContents));
    CO_CHECK_OK(co_await open.sync());
  }
  CO_CHECK_OK(co_await open.close());
  CO_CHECK_OK(co_await files.rename("/x", "/y/x"));
  CO_TRY(const Found inner, co_await others.find("/y/x"));
  CO_TRY(const Found above, co_await others.lookup(inner.node, ".."));
  CO_TRY(const Found expected, co_await files.find("/y"));
  EXPECT_EQ(above.node.object(), expected.node.object());
  EXPECT_EQ(code_of(co_await files.rename("/y", "/y/x/z")), Code::kInvalidArgument);
  co_return Result<>();
}
TEST(PosixFiles, NodesOutliveNames) { play(nodes_outlive_names); }

Task<Result<>> exchange(Two two) {
  auto& [files, others, node, container] = two;
  CO_CHECK_OK(co_await make(files, "/a"));
  CO_CHECK_OK(co_await files.mkdir("/dir", {}));
  CO_CHECK_OK(co_await make(files, "/dir/inside"));
  CO_TRY(const Found file, co_await files.find("/a"));
  CO_CHECK_OK(co_await files.rename(files.root(), "a", files.root(), "dir", RenameMode::kExchange));
  CO_TRY(const auto first, co_await others.stat("/dir"));
  EXPECT_EQ(first.object, file.node.object());
  CO_CHECK_OK(co_await others.stat("/a/inside"));
  EXPECT_EQ(code_of(co_await files.rename(files.root(), "a", files.root(), "none", RenameMode::kExchange)),
            Code::kNotFound);
  EXPECT_EQ(code_of(co_await files.rename(files.root(), "a", files.root(), "dir", RenameMode::kNoReplace)),
            Code::kExists);
  EXPECT_EQ(code_of(co_await files.rename("/dir", "/a")), Code::kIsADirectory);
  EXPECT_EQ(code_of(co_await files.rename("/a", "/dir")), Code::kNotADirectory);
  CO_TRY(const Found directory, co_await files.find("/a"));
  EXPECT_EQ(code_of(co_await files.rename(files.root(), "dir", directory.node, "dir", RenameMode::kExchange)),
            Code::kNotFound);
  co_return Result<>();
}
TEST(PosixFiles, Exchange) { play(exchange); }

Task<Result<>> appends(Two two) {
  auto& [files, others, node, container] = two;
  CO_TRY(File mine, co_await files.create("/log", {}));
  CO_TRY(File theirs, co_await others.open_file("/log"));
  for (int round = 0; round < 10; ++round) {
    CO_TRY(const std::uint64_t at, co_await mine.append(kContents));
    CO_TRY(const std::uint64_t after, co_await theirs.append(kContents));
    EXPECT_EQ(after, at + kContents.size());
  }
  CO_TRY(const std::uint64_t size, co_await mine.size());
  EXPECT_EQ(size, 20 * kContents.size());
  // Over the border of the first chunk.
  CO_CHECK_OK(co_await mine.truncate(posix::kChunkBytes - 10));
  CO_TRY(const std::uint64_t at, co_await theirs.append(kContents));
  EXPECT_EQ(at, posix::kChunkBytes - 10);
  CO_TRY(const std::uint64_t again, co_await mine.append(kContents));
  EXPECT_EQ(again, posix::kChunkBytes - 10 + kContents.size());
  CO_CHECK_OK(co_await mine.close());
  co_return co_await theirs.close();
}
TEST(PosixFiles, Appends) { play(appends); }

Task<Result<>> holes(Two two) {
  auto& [files, others, node, container] = two;
  constexpr std::uint64_t kFar = 5 * posix::kChunkBytes + 100;
  CO_TRY(File file, co_await files.create("/sparse", {}));
  CO_CHECK_OK(co_await file.write(100, kContents));
  CO_CHECK_OK(co_await file.write(kFar, kContents));
  const auto seek = [&](std::uint64_t from, posix::SeekTarget target) { return file.seek(from, target); };
  using enum posix::SeekTarget;
  CO_TRY(std::uint64_t at, co_await seek(0, kData));
  EXPECT_EQ(at, 100u);
  CO_TRY(at, co_await seek(0, kHole));
  EXPECT_EQ(at, 0u);
  CO_TRY(at, co_await seek(500, kHole));
  EXPECT_EQ(at, 1100u);
  CO_TRY(at, co_await seek(2000, kData));
  EXPECT_EQ(at, kFar);
  CO_TRY(at, co_await seek(kFar + 1, kHole));
  EXPECT_EQ(at, kFar + kContents.size());
  EXPECT_EQ(code_of(co_await seek(kFar + kContents.size(), kData)), Code::kOutOfRange);
  // What was made longer ends in a hole.
  constexpr std::uint64_t kLonger = 9 * posix::kChunkBytes;
  CO_CHECK_OK(co_await file.extend(kLonger));
  EXPECT_EQ(code_of(co_await seek(kFar + kContents.size(), kData)), Code::kOutOfRange);
  EXPECT_EQ(code_of(co_await seek(kLonger - 1, kData)), Code::kOutOfRange);
  CO_TRY(at, co_await seek(kLonger - 1, kHole));
  EXPECT_EQ(at, kLonger - 1);
  co_return co_await file.close();
}
TEST(PosixFiles, Holes) { play(holes); }

Task<Result<>> sizes(Two two) {
  auto& [files, others, node, container] = two;
  constexpr std::uint64_t kFar = 5 * posix::kChunkBytes + 100;
  CO_TRY(File file, co_await files.create("/sparse", {}));
  CO_CHECK_OK(co_await file.write(100, kContents));
  CO_CHECK_OK(co_await file.write(kFar, kContents));
  std::uint64_t at = 0;
  // A hole at the end leaves the size.
  CO_CHECK_OK(co_await file.punch(kFar - 50, 10000));
  CO_TRY(at, co_await file.size());
  EXPECT_EQ(at, kFar + kContents.size());
  CO_CHECK_OK(co_await file.truncate(200));
  CO_TRY(const Bytes left, co_await contents(file));
  EXPECT_EQ(left.size(), 200u);
  CO_CHECK_OK(co_await file.extend(300));
  CO_TRY(at, co_await file.size());
  EXPECT_EQ(at, 300u);
  EXPECT_EQ(code_of(co_await file.write(posix::kMaxFileBytes, kContents)), Code::kOutOfRange);
  co_return co_await file.close();
}
TEST(PosixFiles, Sizes) { play(sizes); }

Task<Result<>> special(Two two) {
  auto& [files, others, node, container] = two;
  CO_CHECK_OK(co_await files.make_special(files.root(), "pipe", FileType::kFifo, 0, {.mode = 0600}));
  CO_CHECK_OK(co_await files.make_special(files.root(), "null", FileType::kCharacterDevice, 0x103, {.mode = 0666}));
  CO_TRY(const auto pipe, co_await others.stat("/pipe"));
  EXPECT_EQ(pipe.type, FileType::kFifo);
  CO_TRY(const auto null, co_await others.stat("/null"));
  EXPECT_EQ(null.device, 0x103u);
  EXPECT_EQ(code_of(co_await files.open_file("/pipe")), Code::kInvalidArgument);
  CO_CHECK_OK(co_await files.mkdir("/group", {.mode = 02755, .gid = 77}));
  CO_CHECK_OK(co_await files.mkdir("/group/inner", {.gid = 1}));
  CO_TRY(const auto inner, co_await others.stat("/group/inner"));
  EXPECT_EQ(inner.gid, 77u);
  EXPECT_EQ(inner.mode & 02000u, 02000u);
  co_return Result<>();
}
TEST(PosixFiles, SpecialOnes) { play(special); }

Task<Result<>> times(Two two) {
  auto& [files, others, node, container] = two;
  CO_CHECK_OK(co_await files.mkdir("/dir", {}));
  CO_TRY(const auto before, co_await others.stat("/dir"));
  co_await node.sleep_for(10s);
  CO_CHECK_OK(co_await make(files, "/dir/a"));
  CO_TRY(const auto after, co_await others.stat("/dir"));
  EXPECT_GE(after.mtime - before.mtime, 10s);
  const WallTime set(1h);
  CO_CHECK_OK(co_await files.set_attributes("/dir", {.mtime = set}));
  CO_TRY(const auto changed, co_await others.stat("/dir"));
  EXPECT_EQ(changed.mtime, set);
  co_await node.sleep_for(10s);
  CO_CHECK_OK(co_await others.unlink("/dir/a"));
  CO_TRY(const auto later, co_await files.stat("/dir"));
  EXPECT_GT(later.mtime, after.mtime);
  co_return Result<>();
}
TEST(PosixFiles, TimesOfDirectories) { play(times); }

Task<Result<>> times_of_files(Two two) {
  auto& [files, others, node, container] = two;
  const WallTime set(1h);
  CO_CHECK_OK(co_await make(files, "/b"));
  CO_CHECK_OK(co_await files.set_attributes("/b", {.mtime = set}));
  co_await node.sleep_for(10s);
  CO_TRY(File file, co_await files.open_file("/b"));
  CO_CHECK_OK(co_await file.write(0, kContents));
  CO_TRY(const auto own, co_await files.stat("/b"));
  EXPECT_GT(own.mtime, set) << "seen at once by whoever wrote";
  CO_CHECK_OK(co_await file.close());
  CO_TRY(const auto theirs, co_await others.stat("/b"));
  EXPECT_EQ(theirs.mtime, own.mtime);
  co_return Result<>();
}
TEST(PosixFiles, TimesOfFiles) { play(times_of_files); }

/// An access control list as Linux has it: of the owner, of user 1234, of the group, the mask, of others.
Bytes acl_of(std::array<std::uint16_t, 5> permissions) {
  constexpr std::array<std::uint16_t, 5> kTags{0x01, 0x02, 0x04, 0x10, 0x20};
  Bytes value;
  Encoder encoder(value);
  encoder.integer(std::uint32_t{2});
  for (std::size_t i = 0; i < kTags.size(); ++i) {
    encoder.integer(kTags[i]);
    encoder.integer(permissions[i]);
    encoder.integer(i == 1 ? std::uint32_t{1234} : std::uint32_t{0xffffffff});
  }
  return value;
}

Task<Result<>> access_lists(Two two) {
  auto& [files, others, node, container] = two;
  const std::string access = "system.posix_acl_access", by_default = "system.posix_acl_default";
  CO_CHECK_OK(co_await make(files, "/a"));
  CO_TRY(const Found file, co_await files.find("/a"));
  CO_TRY(const Found theirs, co_await others.find("/a"));
  CO_CHECK_OK(co_await files.set_xattr(file.node, access, acl_of({7, 6, 4, 5, 1})));
  CO_TRY(auto attributes, co_await others.attributes(theirs.node));
  EXPECT_EQ(attributes.mode, 0751u) << "the mask is what shows";
  // The other client changes the mode, wherever the file is by then.
  CO_CHECK_OK(co_await files.rename("/a", "/b"));
  CO_CHECK_OK(co_await others.set_attributes(theirs.node, {.mode = 0620}));
  CO_TRY(Bytes list, co_await files.get_xattr(file.node, access));
  EXPECT_EQ(list, acl_of({6, 6, 4, 2, 0}));
  CO_CHECK_OK(co_await files.remove_xattr(file.node, access));
  EXPECT_EQ(code_of(co_await files.get_xattr(file.node, access)), Code::kNotFound);
  CO_TRY(attributes, co_await files.attributes(file.node));
  EXPECT_EQ(attributes.mode, 0620u);
  EXPECT_EQ(code_of(co_await files.set_xattr(file.node, access, Bytes(9))), Code::kInvalidArgument);
  EXPECT_EQ(code_of(co_await files.set_xattr(file.node, by_default, acl_of({7, 7, 7, 7, 7}))), Code::kPermissionDenied);

  CO_CHECK_OK(co_await files.mkdir("/dir", {.mode = 0755}));
  CO_TRY(const Found directory, co_await files.find("/dir"));
  CO_CHECK_OK(co_await files.set_xattr(directory.node, by_default, acl_of({7, 6, 5, 7, 1})));
  CO_CHECK_OK(co_await others.mkdir("/dir/below", {.mode = 0770, .umask = 077}));
  CO_TRY(File made, co_await others.create("/dir/below/file", {.mode = 0640, .umask = 077}));
  CO_CHECK_OK(co_await made.close());
  CO_TRY(const Found below, co_await files.find("/dir/below"));
  EXPECT_EQ(below.attributes.mode, 0770u);
  CO_TRY(list, co_await files.get_xattr(below.node, by_default));
  EXPECT_EQ(list, acl_of({7, 6, 5, 7, 1}));
  CO_TRY(list, co_await files.get_xattr(below.node, access));
  EXPECT_EQ(list, acl_of({7, 6, 5, 7, 0}));
  CO_TRY(const Found inner, co_await files.find("/dir/below/file"));
  EXPECT_EQ(inner.attributes.mode, 0640u);
  CO_TRY(list, co_await files.get_xattr(inner.node, access));
  EXPECT_EQ(list, acl_of({6, 6, 5, 4, 0}));
  // Without a list the umask counts.
  CO_CHECK_OK(co_await files.remove_xattr(directory.node, by_default));
  CO_CHECK_OK(co_await others.mkdir("/dir/plain", {.mode = 0777, .umask = 027}));
  CO_TRY(attributes, co_await files.stat("/dir/plain"));
  EXPECT_EQ(attributes.mode, 0750u);
  EXPECT_FALSE(attributes.has_xattrs);
  co_return Result<>();
}
TEST(PosixFiles, AccessLists) { play(access_lists); }

Task<Result<>> xattrs(Two two) {
  auto& [files, others, node, container] = two;
  CO_CHECK_OK(co_await make(files, "/a"));
  CO_TRY(const Found file, co_await files.find("/a"));
  const Bytes value(100, std::byte{1});
  CO_CHECK_OK(co_await files.set_xattr(file.node, "user.one", value));
  EXPECT_EQ(code_of(co_await files.set_xattr(file.node, "user.one", value, posix::XattrMode::kCreate)), Code::kExists);
  EXPECT_EQ(code_of(co_await files.set_xattr(file.node, "user.two", value, posix::XattrMode::kReplace)),
            Code::kNotFound);
  CO_CHECK_OK(co_await files.link(file.node, files.root(), "b"));
  CO_TRY(const Found theirs, co_await others.find("/b"));
  CO_TRY(const auto names, co_await others.list_xattrs(theirs.node));
  EXPECT_EQ(names, std::vector<std::string>{"user.one"});
  CO_CHECK_OK(co_await others.remove_xattr(theirs.node, "user.one"));
  EXPECT_EQ(code_of(co_await files.remove_xattr(file.node, "user.one")), Code::kNotFound);
  EXPECT_EQ(code_of(co_await files.get_xattr(file.node, "user.one")), Code::kNotFound);
  co_return Result<>();
}
TEST(PosixFiles, Xattrs) { play(xattrs); }

Task<Result<>> many_names(Two two) {
  auto& [files, others, node, container] = two;
  constexpr std::size_t kNames = 600;
  for (std::size_t i = 0; i < kNames; ++i)
    CO_CHECK_OK(co_await files.create_file(files.root(), fmt::format("{}name{:04}", i % 2 == 0 ? "!" : "z", i), {}));
  std::size_t seen = 0;
  std::string after;
  for (;;) {
    CO_TRY(const auto page, co_await others.read_directory_plus(others.root(), after));
    if (page.empty()) break;
    for (const posix::NamedNode& named : page) {
      EXPECT_GT(named.name, after);
      after = named.name;
      ++seen;
    }
  }
  EXPECT_EQ(seen, kNames);
  co_return Result<>();
}
TEST(PosixFiles, ManyNames) { play(many_names); }

Task<Result<>> snapshots_as_directories(Two two) {
  auto& [files, others, node, container] = two;
  CO_CHECK_OK(co_await files.mkdir("/dir", {}));
  CO_CHECK_OK(co_await make(files, "/dir/a"));
  CO_CHECK_OK(co_await files.symlink("a", "/dir/link", {}));
  CO_TRY(const Found live, co_await files.find("/dir/a"));
  CO_CHECK_OK(co_await files.set_xattr(live.node, "user.one", kContents));
  CO_CHECK_OK(co_await container.create_snapshot("evening"));
  CO_CHECK_OK(co_await files.unlink("/dir/a"));
  CO_TRY(const auto root, co_await files.read_directory("/", ""));
  EXPECT_EQ(root.size(), 1u) << "which does not list them";
  CO_TRY(const auto named, co_await files.read_directory_plus((co_await files.find("/.snapshots"))->node, ""));
  EXPECT_EQ(named.size(), 1u);
  EXPECT_EQ(named.front().name, "evening");
  const std::string old = "/.snapshots/evening/dir/a";
  CO_TRY(const Found kept, co_await files.find(old));
  EXPECT_EQ(kept.node.object(), live.node.object());
  EXPECT_NE(kept.node.number(), live.node.number());
  EXPECT_EQ(posix::inode_number(kept.attributes.object, kept.attributes.snapshot), kept.node.number());
  CO_TRY(File file, co_await files.open_file("/.snapshots/evening/dir/link"));
  CO_TRY(const Bytes bytes, co_await contents(file));
  EXPECT_EQ(bytes, kContents);
  EXPECT_EQ(code_of(co_await file.write(0, kContents)), Code::kReadOnly);
  CO_CHECK_OK(co_await file.close());
  CO_TRY(const Bytes value, co_await files.get_xattr(kept.node, "user.one"));
  EXPECT_EQ(value, kContents);
  CO_TRY(const auto listed, co_await files.read_directory("/.snapshots/evening/dir", ""));
  EXPECT_EQ(listed.size(), 2u);
  EXPECT_EQ(code_of(co_await files.stat("/.snapshots/evening/.snapshots")), Code::kNotFound);
  // After it was destroyed.
  CO_CHECK_OK(co_await container.destroy_snapshot("evening"));
  co_await node.sleep_for(2s);
  EXPECT_EQ(code_of(co_await files.attributes(kept.node)), Code::kGone);
  EXPECT_EQ(code_of(co_await files.stat(old)), Code::kNotFound);
  co_return Result<>();
}
TEST(PosixFiles, SnapshotsAsDirectories) { play(snapshots_as_directories); }

Task<Result<>> snapshots_never_change(Two two) {
  auto& [files, others, node, container] = two;
  CO_CHECK_OK(co_await make(files, "/a"));
  CO_CHECK_OK(co_await container.create_snapshot("s"));
  const std::string at = "/.snapshots/s";
  CO_TRY(const Found a, co_await files.find(at + "/a"));
  EXPECT_EQ(code_of(co_await files.mkdir(at + "/d", {})), Code::kReadOnly);
  EXPECT_EQ(code_of(co_await files.mkdir("/.snapshots/t", {})), Code::kReadOnly);
  EXPECT_EQ(code_of(co_await files.create(at + "/b", {})), Code::kReadOnly);
  EXPECT_EQ(code_of(co_await files.unlink(at + "/a")), Code::kReadOnly);
  EXPECT_EQ(code_of(co_await files.rmdir(at)), Code::kReadOnly);
  EXPECT_EQ(code_of(co_await files.rename(at + "/a", "/b")), Code::kReadOnly);
  EXPECT_EQ(code_of(co_await files.rename("/a", at + "/b")), Code::kReadOnly);
  EXPECT_EQ(code_of(co_await files.link(a.node, files.root(), "b")), Code::kReadOnly);
  EXPECT_EQ(code_of(co_await files.set_attributes(at + "/a", {.mode = 0600})), Code::kReadOnly);
  EXPECT_EQ(code_of(co_await files.set_attributes(at + "/a", {.size = 0})), Code::kReadOnly);
  EXPECT_EQ(code_of(co_await files.set_xattr(a.node, "user.one", kContents)), Code::kReadOnly);
  // The directory of them.
  EXPECT_EQ(code_of(co_await files.mkdir("/.snapshots", {})), Code::kExists);
  EXPECT_EQ(code_of(co_await files.make_directory(files.root(), ".snapshots", {})), Code::kExists);
  EXPECT_EQ(code_of(co_await files.create_file(files.root(), ".snapshots", {})), Code::kIsADirectory);
  EXPECT_EQ(code_of(co_await files.rmdir("/.snapshots")), Code::kReadOnly);
  EXPECT_EQ(code_of(co_await files.rename("/a", "/.snapshots")), Code::kReadOnly);
  EXPECT_EQ(code_of(co_await files.rename("/.snapshots", "/b")), Code::kReadOnly);
  co_return Result<>();
}
TEST(PosixFiles, SnapshotsNeverChange) { play(snapshots_never_change); }

}  // namespace
}  // namespace cenote::sim
