// A file system on a snapshot that caught renames and removals half-way.

#include <fmt/format.h>
#include <gtest/gtest.h>

#include "cenote/posix/file_system.h"
#include "cenote/runtime/scope.h"
#include "client_node.h"

namespace cenote::sim {
namespace {

using posix::FileSystem;

constexpr int kSnapshots = 60;
const Bytes kContents(1000, std::byte{7});

/// A file that is always there under one of two names, and one that comes and goes.
Task<> change(FileSystem& files, const bool& done, Result<>& outcome) {
  for (int round = 0; !done && outcome; ++round) {
    const bool back = round % 2 == 1;
    outcome = co_await files.rename(back ? "/b" : "/a", back ? "/a" : "/b");
    if (!outcome) break;
    auto made = co_await files.create("/c", {});
    if (made) outcome = co_await files.unlink("/c");
    if (made && outcome) outcome = co_await made->close();
    if (!made) outcome = fail(made.error());
  }
}

/// How many of the names lead to the file in a view; each must lead to all of it.
Task<Result<int>> names_of_the_file(FileSystem& files) {
  int names = 0;
  for (const char* path : {"/a", "/b"}) {
    auto file = co_await files.open_file(path);
    if (!file && file.error() == Code::kNotFound) continue;
    CO_CHECK_OK(file);
    Bytes contents(2000);
    CO_TRY(const std::uint64_t bytes, co_await file->read(0, contents));
    contents.resize(bytes);
    if (contents != kContents) co_return fail(Code::kCorrupt, "the file has lost its contents");
    ++names;
  }
  co_return names;
}

Task<Result<>> check_files(FileSystem& files, std::string name) {
  CO_TRY(const int names, co_await names_of_the_file(files));
  CO_TRY(const auto listed, co_await files.read_directory("/", ""));
  int shown = 0;
  for (const posix::DirectoryEntry& entry : listed) shown += entry.name != "c" ? 1 : 0;
  if (names != 1 || shown != 1) {
    co_return fail(Code::kCorrupt, fmt::format("snapshot {} shows {} names and lists {}", name, names, shown));
  }
  const auto renamed = co_await files.rename("/a", "/d");
  if (renamed || (renamed.error() != Code::kReadOnly && renamed.error() != Code::kNotFound)) {
    co_return fail(Code::kCorrupt, "a view of a snapshot can be written");
  }
  co_return Result<>();
}

Task<Result<>> check_view(async::Container container, std::string name) {
  CO_TRY(auto view, co_await container.at_snapshot(name));
  CO_TRY(const auto files, co_await FileSystem::open(view));
  auto checked = co_await check_files(*files, std::move(name));
  co_await files->close();
  co_return checked;
}

Task<Result<>> scenario_in(FileSystem& files, async::Container container, ClientNode& client) {
  CO_TRY(posix::File made, co_await files.create("/a", {}));
  CO_CHECK_OK(co_await made.write(0, kContents));
  CO_CHECK_OK(co_await made.close());
  bool done = false;
  Result<> changed;
  Scope scope(client.node());
  scope.spawn(change(files, done, changed));
  Result<> outcome;
  for (int i = 0; i < kSnapshots && outcome; ++i) {
    const auto taken = co_await container.create_snapshot(fmt::format("s{}", i));
    if (!taken) outcome = fail(taken.error());
  }
  done = true;
  co_await scope.drain();
  CO_CHECK_OK(std::move(outcome));
  CO_CHECK_OK(std::move(changed));
  for (int i = 0; i < kSnapshots; ++i) CO_CHECK_OK(co_await check_view(container, fmt::format("s{}", i)));
  co_return Result<>();
}

Task<Result<>> scenario(ClientNode& client) {
  CO_CHECK_OK(co_await client.connect(Until::forever()));
  CO_TRY(async::Container container, co_await open_test_container(client, "posix", Until::forever()));
  CO_TRY(const auto files, co_await FileSystem::open(container));
  auto ended = co_await scenario_in(*files, container, client);
  co_await files->close();
  co_return ended;
}

Task<> body(Run& run) {
  if (!co_await start_engine(run)) co_return;
  ClientNode client(run, "client");
  const auto ended = co_await on_node(run, client.node(), [&] { return scenario(client); });
  if (!ended) run.fail(ended.error().to_string());
  co_await on_node(run, client.node(), [&] { return client.close(); });
  co_await stop_engine(run);
}

class SnapshotView : public testing::TestWithParam<std::uint64_t> {};
INSTANTIATE_TEST_SUITE_P(Seeds, SnapshotView, testing::Range<std::uint64_t>(1, 9));

// The steps of a rename are changes of several targets.
TEST_P(SnapshotView, ShowsTheFileUnderOneName) {
  engine::SimEngineOptions shape = shape_engine(GetParam());
  shape.targets = GetParam() % 4 + 1;
  sim::Run run(GetParam(), {}, std::move(shape));
  EXPECT_EQ(run.drive(body(run), std::chrono::hours(1)).failure, "");
}

}  // namespace
}  // namespace cenote::sim
