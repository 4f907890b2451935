// Two clients on machines of their own: what one of them keeps of files without asking, and what it knows at once when
// the other one changes something.

#include <gtest/gtest.h>

#include "cenote/posix/file_system.h"
#include "client_node.h"

namespace cenote::sim {
namespace {

using namespace std::chrono_literals;
using posix::Attributes;
using posix::File;
using posix::FileSystem;

class Files {
 public:
  Files(Run& run, std::string name) : run_(run), client_(run, std::move(name)) {}

  Task<Result<>> open() {
    return on_node(run_, client_.node(), [this] { return open_here(); });
  }
  Task<> close() {
    return on_node(run_, client_.node(), [this] { return close_here(); });
  }
  /// Runs a step, a coroutine that uses the files, on the client's node.
  template <typename Step>
  auto run(Step step) {
    return on_node(run_, client_.node(), [this, step] { return step(*files_); });
  }
  std::uint64_t calls() const { return client_.client().counters().calls; }

 private:
  Task<Result<>> open_here() {
    CO_CHECK_OK(co_await client_.connect(Until::forever()));
    CO_TRY(const async::Container container, co_await open_test_container(client_, "posix", Until::forever()));
    CO_TRY(files_, co_await FileSystem::open(container));
    co_return Result<>();
  }
  Task<> close_here() {
    if (files_) co_await files_->close();
    files_.reset();
    co_await client_.close();
  }

  Run& run_;
  mutable ClientNode client_;
  std::unique_ptr<FileSystem> files_;
};

Task<Result<>> write(FileSystem& files, std::string path, std::size_t bytes) {
  CO_TRY(File file, co_await files.create(path, {}));
  const Bytes contents(bytes, std::byte{1});
  CO_CHECK_OK(co_await file.write(0, contents));
  co_return co_await file.close();
}

Code code_of(const Result<Attributes>& found) { return found ? Code::kOk : found.error().code(); }

Task<Result<>> play(Files& one, Files& other) {
  const auto stat = [](std::string path) { return [path](FileSystem& files) { return files.stat(path); }; };
  CO_CHECK_OK(co_await one.run([](FileSystem& files) { return files.mkdir("/d", {}); }));
  CO_CHECK_OK(co_await one.run([](FileSystem& files) { return write(files, "/d/a", 100); }));
  CO_TRY(const Attributes directory, co_await other.run(stat("/d")));
  CO_TRY(const Attributes file, co_await other.run(stat("/d/a")));
  EXPECT_EQ(file.size, 100u);
  EXPECT_EQ(code_of(co_await other.run(stat("/d/b"))), Code::kNotFound);
  // Again, and nobody is asked: neither for what is there nor for what is not.
  const std::uint64_t asked = other.calls();
  for (int i = 0; i < 10; ++i) {
    CO_CHECK_OK(co_await other.run(stat("/d")));
    CO_CHECK_OK(co_await other.run(stat("/d/a")));
    EXPECT_EQ(code_of(co_await other.run(stat("/d/b"))), Code::kNotFound);
  }
  EXPECT_EQ(other.calls(), asked);

  CO_CHECK_OK(co_await one.run([](FileSystem& files) { return files.set_attributes("/d/a", {.mode = 0600}); }));
  CO_TRY(const Attributes changed, co_await other.run(stat("/d/a")));
  EXPECT_EQ(changed.mode, 0600u);
  CO_CHECK_OK(co_await one.run([](FileSystem& files) { return write(files, "/d/a", 5000); }));
  CO_TRY(const Attributes longer, co_await other.run(stat("/d/a")));
  EXPECT_EQ(longer.size, 5000u);
  CO_CHECK_OK(co_await one.run([](FileSystem& files) { return write(files, "/d/b", 3'000'000); }));
  CO_TRY(const Attributes wide, co_await other.run(stat("/d/b")));
  EXPECT_EQ(wide.size, 3'000'000u);
  CO_TRY(const Attributes touched, co_await other.run(stat("/d")));
  EXPECT_GT(touched.mtime, directory.mtime);
  CO_CHECK_OK(co_await one.run([](FileSystem& files) { return files.rename("/d/b", "/d/c"); }));
  EXPECT_EQ(code_of(co_await other.run(stat("/d/b"))), Code::kNotFound);
  CO_CHECK_OK(co_await other.run(stat("/d/c")));
  // What it changes itself it knows, too.
  CO_CHECK_OK(co_await other.run([](FileSystem& files) { return files.set_attributes("/d/c", {.size = 7}); }));
  CO_TRY(const Attributes cut, co_await other.run(stat("/d/c")));
  EXPECT_EQ(cut.size, 7u);
  CO_TRY(const Attributes seen, co_await one.run(stat("/d/c")));
  EXPECT_EQ(seen.size, 7u);
  CO_CHECK_OK(co_await one.run([](FileSystem& files) { return files.unlink("/d/c"); }));
  EXPECT_EQ(code_of(co_await other.run(stat("/d/c"))), Code::kNotFound);
  co_return Result<>();
}

Task<> body(Run& run) {
  if (!co_await start_engine(run)) co_return;
  Files one(run, "one"), other(run, "other");
  Result<> done = co_await one.open();
  if (done) done = co_await other.open();
  if (done) done = co_await play(one, other);
  if (!done) run.fail(done.error().to_string());
  // Who closes gives everything back: nobody waits for it.
  co_await other.close();
  const Instant closed = run.director().now();
  done = co_await one.run([](FileSystem& files) { return files.set_attributes("/d", {.mode = 0700}); });
  if (!done) run.fail(done.error().to_string());
  EXPECT_LT(run.director().now() - closed, 500ms);
  co_await one.close();
  co_await stop_engine(run);
}

std::string failure_with(std::uint32_t targets) {
  engine::SimEngineOptions shape = shape_engine(targets);
  shape.targets = targets;
  Run run(targets, {}, std::move(shape));
  return run.drive(body(run), std::chrono::hours(1)).failure;
}

TEST(LeasedFiles, WhatOthersChangeIsKnownAtOnceAndAllElseIsNotAskedFor) {
  for (std::uint32_t targets = 1; targets <= 3; ++targets)
    EXPECT_EQ(failure_with(targets), "") << targets << " targets";
}

}  // namespace
}  // namespace cenote::sim
