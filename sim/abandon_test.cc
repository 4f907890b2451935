// What File::abandon takes away, and what it leaves to others.

#include <gtest/gtest.h>

#include "cenote/posix/file_system.h"
#include "client_node.h"

namespace cenote::sim {
namespace {

using posix::CreateOptions;
using posix::FileSystem;

constexpr std::string_view kPath = "/file";
const Bytes kHalf(1000, std::byte{1}), kWhole(1000, std::byte{2});

/// What happens to a file between its making and the moment when its maker abandons it.
using Meanwhile = Task<Result<>> (*)(FileSystem& files);

Task<Result<>> nothing(FileSystem&) { co_return Result<>(); }

Task<Result<>> overwrite(FileSystem& files) {
  CreateOptions options;
  options.truncate = true;
  options.mtime = WallTime(std::chrono::seconds(1234));
  CO_TRY(posix::File file, co_await files.create(std::string(kPath), options));
  co_return co_await file.write(0, kWhole);
}

Task<Result<>> write_and_close(FileSystem& files) {
  CO_TRY(posix::File file, co_await files.open_file(std::string(kPath)));
  CO_CHECK_OK(co_await file.write(0, kWhole));
  co_return co_await file.close();
}

Task<Result<>> replace(FileSystem& files) {
  CO_CHECK_OK(co_await files.unlink(std::string(kPath)));
  co_return co_await overwrite(files);
}

Task<Result<>> remove(FileSystem& files) { co_return co_await files.unlink(std::string(kPath)); }

Task<Result<std::optional<Bytes>>> scenario_in(FileSystem& files, bool exists_before, Meanwhile meanwhile) {
  if (exists_before) CO_CHECK_OK(co_await overwrite(files));
  CreateOptions options;
  options.truncate = true;
  CO_TRY(posix::File made, co_await files.create(std::string(kPath), options));
  CO_CHECK_OK(co_await made.write(0, kHalf));
  CO_CHECK_OK(co_await meanwhile(files));
  CO_CHECK_OK(co_await made.abandon());
  auto left = co_await files.open_file(std::string(kPath));
  if (!left && left.error() == Code::kNotFound) co_return std::optional<Bytes>();
  CO_CHECK_OK(left);
  Bytes contents(2000);
  CO_TRY(const std::uint64_t bytes, co_await left->read(0, contents));
  contents.resize(bytes);
  co_return std::optional(contents);
}

/// The contents that are left, or nothing.
Task<Result<std::optional<Bytes>>> scenario(ClientNode& client, bool exists_before, Meanwhile meanwhile) {
  CO_CHECK_OK(co_await client.connect(Until::forever()));
  CO_TRY(const async::Container container, co_await open_test_container(client, "posix", Until::forever()));
  CO_TRY(const auto files, co_await FileSystem::open(container));
  auto left = co_await scenario_in(*files, exists_before, meanwhile);
  co_await files->close();
  co_return left;
}

Task<> body(Run& run, bool exists_before, Meanwhile meanwhile, std::optional<Bytes>& left) {
  if (!co_await start_engine(run)) co_return;
  ClientNode client(run, "client");
  auto ended = co_await on_node(run, client.node(), [&] { return scenario(client, exists_before, meanwhile); });
  if (ended) {
    left = *std::move(ended);
  } else {
    run.fail(ended.error().to_string());
  }
  co_await on_node(run, client.node(), [&] { return client.close(); });
  co_await stop_engine(run);
}

std::optional<Bytes> left_after(Meanwhile meanwhile, bool exists_before = false) {
  Run run(1, {}, shape_engine(1));
  std::optional<Bytes> left;
  EXPECT_EQ(run.drive(body(run, exists_before, meanwhile, left), std::chrono::hours(1)).failure, "");
  return left;
}

TEST(Abandon, TakesBackWhatThisHandleMade) { EXPECT_EQ(left_after(nothing), std::nullopt); }
TEST(Abandon, LeavesWhatWasThereBefore) { EXPECT_EQ(left_after(nothing, true), kHalf); }
TEST(Abandon, LeavesAFileThatAnotherOverwrote) { EXPECT_EQ(left_after(overwrite), kWhole); }
TEST(Abandon, LeavesAFileThatAnotherWroteAndClosed) { EXPECT_EQ(left_after(write_and_close), kWhole); }
TEST(Abandon, LeavesAnotherFileOfTheName) { EXPECT_EQ(left_after(replace), kWhole); }
TEST(Abandon, NeedsNoFile) { EXPECT_EQ(left_after(remove), std::nullopt); }

}  // namespace
}  // namespace cenote::sim
