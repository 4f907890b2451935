// A check of a tree finds each kind of damage, names it, and what it repairs it does not find again; beside clients
// that work it finds nothing.

#include <fmt/format.h>
#include <gtest/gtest.h>

#include <algorithm>

#include "cenote/posix/check.h"
#include "cenote/posix/file_system.h"
#include "cenote/protocol/object_class.h"
#include "cenote/runtime/scope.h"
#include "client_node.h"
#include "records.h"
#include "session.h"

namespace cenote::sim {
namespace {

using namespace std::chrono_literals;
using posix::Entry;
using posix::FindingKind;
using posix::Place;
using enum posix::FindingKind;

const Bytes kContents(1000, std::byte{7});
const Bytes kNonsense(50, std::byte{1});
constexpr std::uint64_t kDeadSession = 0xdead;

/// A tree with something of everything, whose records are at hand.
struct Tree {
  posix::FileSystem& files;
  posix::Records records;
  ObjectId root;

  Task<Result<ObjectId>> object(std::string path) {
    CO_TRY(const posix::Attributes found, co_await files.stat(std::move(path), false));
    co_return found.object;
  }
  Task<Result<>> put_raw(Place place, Bytes value) {
    CO_CHECK_OK(co_await records.container().update(
        posix::value_update(place.object, place.dkey, posix::kInodeAkey, value.size(), Precondition::kNone),
        {ByteView(value)}));
    co_return Result<>();
  }
  Task<Result<Entry>> entry(Place place) {
    CO_TRY(auto found, co_await records.entry(std::move(place), {}));
    if (!found) co_return fail(Code::kNotFound, "no entry");
    co_return *std::move(found);
  }
  Task<Result<>> put(Place place, Entry entry) {
    co_return co_await records.put_entry(std::move(place), std::move(entry), Precondition::kNone, {});
  }
};

Task<Result<>> write_file(posix::FileSystem& files, std::string path, std::uint64_t offset) {
  CO_TRY(posix::File file, co_await files.create(std::move(path), {}));
  CO_CHECK_OK(co_await file.write(offset, kContents));
  co_return co_await file.close();
}

Task<Result<>> make_tree(posix::FileSystem& files) {
  for (const char* path : {"/dir", "/dir/sub", "/dir/sub/deep", "/empty"}) CO_CHECK_OK(co_await files.mkdir(path, {}));
  for (const char* path : {"/dir/a", "/dir/sub/b", "/h1", "/before", "/x"})
    CO_CHECK_OK(co_await write_file(files, path, 0));
  CO_CHECK_OK(co_await write_file(files, "/big", 2 * posix::kChunkBytes));
  CO_CHECK_OK(co_await files.symlink("/dir/a", "/dir/link", {}));
  CO_TRY(const posix::Found linked, co_await files.find("/h1"));
  CO_CHECK_OK(co_await files.link(linked.node, files.root(), "h2"));
  CO_CHECK_OK(co_await files.rename("/before", "/dir/after"));
  CO_TRY(const posix::Found named, co_await files.find("/x"));
  co_return co_await files.set_xattr(named.node, "user.one", kContents);
}

struct Damage {
  const char* name;
  Task<Result<>> (*inflict)(Tree* tree);
  std::vector<FindingKind> found;
  bool is_repaired = true;
};

Task<Result<>> damaged_entry(Tree* tree) {
  CO_TRY(const ObjectId dir, co_await tree->object("/dir"));
  co_return co_await tree->put_raw(Place::of_name(dir, "a"), kNonsense);
}

Task<Result<>> damaged_directory(Tree* tree) {
  CO_TRY(const ObjectId sub, co_await tree->object("/dir/sub"));
  co_return co_await tree->put_raw(Place::of_directory(sub), kNonsense);
}

Task<Result<>> missing_directory(Tree* tree) {
  CO_TRY(const ObjectId empty, co_await tree->object("/empty"));
  co_return co_await tree->records.punch_object(empty, {});
}

Task<Result<>> missing_inode(Tree* tree) {
  CO_TRY(const ObjectId linked, co_await tree->object("/h1"));
  co_return co_await tree->records.remove(Place::in_companion(linked), {});
}

Task<Result<>> missing_symlink(Tree* tree) {
  CO_TRY(const ObjectId dir, co_await tree->object("/dir"));
  const Place place = Place::of_name(dir, "link");
  CO_TRY(const Entry entry, co_await tree->entry(place));
  co_return co_await tree->put(place, Entry::reference(*entry.inode));
}

Task<Result<>> second_name(Tree* tree) {
  CO_TRY(const Entry entry, co_await tree->entry(Place::of_name(tree->root, "dir")));
  CO_TRY(const ObjectId deep, co_await tree->object("/dir/sub/deep"));
  CO_CHECK_OK(co_await tree->put(Place::of_name(tree->root, "other"), entry));
  // In itself, too.
  co_return co_await tree->put(Place::of_name(deep, "cycle"), entry);
}

Task<Result<>> wrong_parent(Tree* tree) {
  CO_TRY(const ObjectId sub, co_await tree->object("/dir/sub"));
  CO_TRY(Entry own, co_await tree->entry(Place::of_directory(sub)));
  own.inode->parent = tree->root;
  co_return co_await tree->put(Place::of_directory(sub), std::move(own));
}

Task<Result<>> wrong_link_count(Tree* tree) {
  CO_TRY(const ObjectId linked, co_await tree->object("/h1"));
  CO_TRY(Entry kept, co_await tree->entry(Place::in_companion(linked)));
  kept.inode->links = 7;
  co_return co_await tree->put(Place::in_companion(linked), std::move(kept));
}

Task<Result<>> wrong_link_count_of_one(Tree* tree) {
  const Place place = Place::of_name(tree->root, "big");
  CO_TRY(Entry entry, co_await tree->entry(place));
  entry.inode->links = 3;
  co_return co_await tree->put(place, std::move(entry));
}

Task<Result<>> several_inodes(Tree* tree) {
  CO_TRY(const ObjectId dir, co_await tree->object("/dir"));
  CO_TRY(Entry entry, co_await tree->entry(Place::of_name(dir, "a")));
  co_return co_await tree->put(Place::of_name(tree->root, "copy"), std::move(entry));
}

Task<Result<>> wrong_place_hint(Tree* tree) {
  CO_TRY(const ObjectId moved, co_await tree->object("/dir/after"));
  co_return co_await tree->records.put_where(moved, {tree->root, "elsewhere"}, {});
}

Task<Result<>> tail_not_flagged(Tree* tree) {
  const Place place = Place::of_name(tree->root, "big");
  CO_TRY(Entry entry, co_await tree->entry(place));
  entry.inode->is_wide = false;
  co_return co_await tree->put(place, std::move(entry));
}

Task<Result<>> companion_not_flagged(Tree* tree) {
  const Place place = Place::of_name(tree->root, "x");
  CO_TRY(Entry entry, co_await tree->entry(place));
  entry.inode->has_companion = entry.inode->has_xattrs = false;
  co_return co_await tree->put(place, std::move(entry));
}

/// As a session that is no more has removed it.
Task<Result<>> let_wait(Tree* tree, bool keep_name) {
  const Place place = Place::of_name(tree->root, "big");
  CO_TRY(Entry entry, co_await tree->entry(place));
  entry.inode->links = 0;
  const Place waits = Place::removed(tree->root, kDeadSession, entry.object);
  CO_CHECK_OK(co_await tree->put(waits, std::move(entry)));
  if (keep_name) co_return Result<>();
  co_return co_await tree->records.remove(place, {});
}
Task<Result<>> stale_removed(Tree* tree) { return let_wait(tree, false); }
Task<Result<>> removed_and_named(Tree* tree) { return let_wait(tree, true); }

Task<Result<>> damaged_removed(Tree* tree) {
  CO_TRY(const Entry entry, co_await tree->entry(Place::of_name(tree->root, "big")));
  CO_CHECK_OK(co_await tree->put_raw(Place::removed(tree->root, kDeadSession, entry.object), kNonsense));
  co_return co_await tree->records.remove(Place::of_name(tree->root, "big"), {});
}

Task<Result<>> stale_session(Tree* tree) {
  CO_TRY(const ObjectId journal, co_await tree->records.container().allocate_object(
                                     ObjectClass::kS1, KeyFlavour::kLexical, KeyFlavour::kLexical));
  co_return co_await posix::Session::put_directory(tree->records, journal.low(), tree->root, {});
}

Task<Result<>> orphan_directory(Tree* tree) {
  co_return co_await tree->records.remove(Place::of_name(tree->root, "dir"), {});
}

Task<Result<>> orphan_file(Tree* tree) {
  CO_TRY(const ObjectId dir, co_await tree->object("/dir"));
  CO_CHECK_OK(co_await tree->records.remove(Place::of_name(dir, "a"), {}));
  CO_CHECK_OK(co_await tree->records.remove(Place::of_name(tree->root, "x"), {}));
  CO_CHECK_OK(co_await tree->records.remove(Place::of_name(tree->root, "h1"), {}));
  co_return co_await tree->records.remove(Place::of_name(tree->root, "h2"), {});
}

Task<Result<>> orphan_companion(Tree* tree) {
  async::Container& container = tree->records.container();
  CO_TRY(const ObjectId object,
         co_await container.allocate_object(ObjectClass::kS1, KeyFlavour::kLexical, KeyFlavour::kLexical));
  co_return co_await tree->records.put_where(object, {tree->root, "gone"}, {});
}

Task<Result<>> foreign_object(Tree* tree) {
  async::Container& container = tree->records.container();
  CO_TRY(const ObjectId object,
         co_await container.allocate_object(ObjectClass::kSX, KeyFlavour::kLexical, KeyFlavour::kLexical));
  co_return co_await tree->put_raw({object, "key"}, kNonsense);
}

const std::vector<Damage> kDamages{
    {"damaged entry", damaged_entry, {kDamagedEntry, kOrphanFile}},
    {"damaged directory", damaged_directory, {kDamagedDirectory}},
    {"missing directory", missing_directory, {kMissingDirectory}},
    {"missing inode", missing_inode, {kMissingInode}},
    {"missing symlink", missing_symlink, {kMissingInode}},
    {"second name", second_name, {kSecondName, kSecondName}},
    {"wrong parent", wrong_parent, {kWrongParent}},
    {"wrong link count", wrong_link_count, {kWrongLinkCount}},
    {"wrong link count of one name", wrong_link_count_of_one, {kWrongLinkCount}},
    {"several inodes", several_inodes, {kSeveralInodes}},
    {"wrong place hint", wrong_place_hint, {kWrongPlaceHint}},
    {"tail not flagged", tail_not_flagged, {kTailNotFlagged}},
    {"companion not flagged", companion_not_flagged, {kCompanionNotFlagged}},
    {"stale removed", stale_removed, {kStaleRemoved}},
    {"removed and named", removed_and_named, {kRemovedAndNamed}},
    {"damaged removed", damaged_removed, {kDamagedRemoved}},
    {"stale session", stale_session, {kStaleSession}},
    {"orphan directory", orphan_directory, {kOrphanDirectory}},
    {"orphan file", orphan_file, {kOrphanFile, kOrphanFile, kOrphanFile}},
    {"orphan companion", orphan_companion, {kOrphanCompanion}},
    {"foreign object", foreign_object, {kForeignObject}, false},
};

std::string text_of(const std::vector<posix::Finding>& findings) {
  std::string text;
  for (const posix::Finding& finding : findings)
    text += fmt::format("{} at '{}': {} ({}) {}\n", posix::finding_name(finding.kind), finding.path, finding.detail,
                        static_cast<int>(finding.repair), finding.failure);
  return text;
}

Task<Result<>> find_and_repair(async::Container container, const Damage* damage) {
  CO_TRY(auto report, co_await posix::check_files(container, {}));
  std::vector<FindingKind> kinds, expected = damage->found;
  for (const posix::Finding& finding : report.findings) kinds.push_back(finding.kind);
  std::ranges::sort(kinds);
  std::ranges::sort(expected);
  EXPECT_EQ(kinds, expected) << text_of(report.findings);
  EXPECT_FALSE(report.incomplete);
  CO_TRY(report, co_await posix::check_files(container, {.repair = true}));
  EXPECT_EQ(report.left() == 0, damage->is_repaired) << text_of(report.findings);
  CO_TRY(report, co_await posix::check_files(container, {}));
  EXPECT_EQ(report.findings.empty(), damage->is_repaired) << "repaired: " << text_of(report.findings);
  co_return Result<>();
}

Task<Result<>> reads_as_before(posix::FileSystem& files, std::string path) {
  CO_TRY(posix::File file, co_await files.open_file(std::move(path)));
  Bytes bytes(2 * kContents.size());
  CO_TRY(const std::uint64_t got, co_await file.read(0, bytes));
  bytes.resize(got);
  EXPECT_EQ(bytes, kContents);
  co_return co_await file.close();
}

Task<Result<>> check_damage(Tree* tree, const Damage* damage) {
  async::Container& container = tree->records.container();
  CO_CHECK_OK(co_await make_tree(tree->files));
  CO_TRY(const auto before, co_await posix::check_files(container, {}));
  EXPECT_EQ(text_of(before.findings), "");
  EXPECT_EQ(before.counts.directories, 5u);
  EXPECT_EQ(before.counts.names, 12u);
  CO_CHECK_OK(co_await damage->inflict(tree));
  CO_CHECK_OK(co_await find_and_repair(container, damage));
  if (damage->inflict == missing_inode) CO_CHECK_OK(co_await reads_as_before(tree->files, "/h2"));
  if (damage->inflict == several_inodes) CO_CHECK_OK(co_await reads_as_before(tree->files, "/copy"));
  if (damage->inflict == damaged_directory) CO_CHECK_OK(co_await reads_as_before(tree->files, "/dir/sub/b"));
  co_return Result<>();
}

/// In a container of its own: what one leaves in lost+found would be in the way of the next.
Task<Result<>> check_damage_alone(ClientNode* client, const Damage* damage, std::string label) {
  SCOPED_TRACE(damage->name);
  CO_CHECK_OK(co_await client->client().create_container({.pool = "pool", .label = label, .type = "posix"}));
  CO_TRY(const async::Container container, co_await client->client().open_container("pool", label));
  CO_TRY(const auto files, co_await posix::FileSystem::open(container));
  Tree tree{*files, posix::Records(container), files->root().object()};
  auto ended = co_await check_damage(&tree, damage);
  co_await files->close();
  if (!ended) co_return fail(ended.error().with_context(damage->name));
  co_return ended;
}

Task<Result<>> check_all(ClientNode* client) {
  CO_CHECK_OK(co_await client->connect(Until::forever()));
  CO_CHECK_OK(co_await open_test_container(*client, "posix", Until::forever()));
  for (std::size_t i = 0; i < kDamages.size(); ++i)
    CO_CHECK_OK(co_await check_damage_alone(client, &kDamages[i], fmt::format("c{}", i)));
  co_return Result<>();
}

using Scenario = Task<Result<>> (*)(ClientNode* client);

Task<> body(Run& run, Scenario scenario) {
  if (!co_await start_engine(run)) co_return;
  ClientNode client(run, "client");
  const auto ended = co_await on_node(run, client.node(), [&] { return scenario(&client); });
  if (!ended) run.fail(ended.error().to_string());
  co_await on_node(run, client.node(), [&] { return client.close(); });
  co_await stop_engine(run);
}

void play(Scenario scenario, std::uint64_t seed) {
  SCOPED_TRACE(seed);
  engine::SimEngineOptions shape = shape_engine(seed);
  shape.targets = static_cast<std::uint32_t>(seed);
  Run run(seed, {}, std::move(shape));
  EXPECT_EQ(run.drive(body(run, scenario), std::chrono::hours(1)).failure, "");
}

TEST(PosixCheck, FindsAndRepairs) { play(check_all, 2); }

/// Names come and go in a way that no moment of is damage.
Task<> keep_changing(posix::FileSystem* files, SimReactor* node, bool* stop) {
  for (int round = 0; !*stop; ++round) {
    const std::string directory = fmt::format("/d{}", round % 3), name = fmt::format("/n{}", round % 5);
    static_cast<void>(co_await files->mkdir(directory, {}));
    auto file = co_await files->create(directory + name, {});
    if (file) {
      static_cast<void>(co_await file->write(posix::kChunkBytes - 100, kContents));
      static_cast<void>(co_await files->rename(directory + name, name));
      static_cast<void>(co_await files->link(file->node(), files->root(), "other"));
      static_cast<void>(co_await files->unlink(name));
      static_cast<void>(co_await files->unlink("/other"));
      static_cast<void>(co_await file->close());
    }
    static_cast<void>(co_await files->rmdir(directory));
    co_await node->sleep_for(1ms);
  }
}

Task<Result<>> check_beside_clients(ClientNode* client) {
  CO_CHECK_OK(co_await client->connect(Until::forever()));
  CO_TRY(async::Container container, co_await open_test_container(*client, "posix", Until::forever()));
  CO_TRY(const auto one, co_await posix::FileSystem::open(container));
  CO_TRY(const auto other, co_await posix::FileSystem::open(container));
  CO_CHECK_OK(co_await make_tree(*one));
  bool stop = false;
  Result<> outcome;
  Scope scope(client->node());
  scope.spawn(keep_changing(one.get(), &client->node(), &stop));
  scope.spawn(keep_changing(other.get(), &client->node(), &stop));
  for (int i = 0; i < 20 && outcome; ++i) {
    const auto report = co_await posix::check_files(container, {.repair = true});
    if (!report) outcome = fail(report.error());
    if (report) EXPECT_EQ(text_of(report->findings), "");
    co_await client->node().sleep_for(7ms);
  }
  stop = true;
  co_await scope.drain();
  CO_TRY(const auto snapshots, co_await container.snapshots());
  EXPECT_TRUE(snapshots.empty());
  co_await one->close();
  co_await other->close();
  co_return outcome;
}
TEST(PosixCheck, FindsNothingBesideClients) {
  for (std::uint64_t seed = 1; seed <= 3; ++seed) play(check_beside_clients, seed);
}

}  // namespace
}  // namespace cenote::sim
