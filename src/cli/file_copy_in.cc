#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <deque>
#include <filesystem>

#include "cenote/base/format.h"
#include "cenote/runtime/scope.h"
#include "file_copy.h"
#include "local_file.h"

namespace cenote::cli {
namespace {

namespace stdfs = std::filesystem;

constexpr Duration kCleanUpTime = std::chrono::seconds(5);

/// One walk over a tree, shared by the coroutines that copy its files.
struct CopyIn {
  Reactor& reactor;
  posix::FileSystem& files;
  CopyOptions options;
  Progress& progress;
  Semaphore slots;
  Scope scope;
  CopyStatistics statistics{};
  std::optional<Error> failure;
  std::optional<FileDescriptor> acknowledged;
  /// Directories that were made, and what becomes of their times when all that is in them is there.
  std::vector<std::pair<posix::Node, posix::AttributeChange>> made;

  CopyIn(Reactor& r, posix::FileSystem& f, CopyOptions o, Progress& p)
      : reactor(r), files(f), options(std::move(o)), progress(p), slots(r, options.parallel), scope(r) {}

  void fail_with(Error error) {
    if (!failure) failure = std::move(error);
  }
};

/// Where a file goes: `name` inside the open directory, if there is one; `path` from the root in any case.
struct Place {
  std::optional<posix::Node> directory;
  std::string name, path;
};

/// Years that nanoseconds cannot count (before 1678, after 2262) become the nearest one they can.
WallTime wall_time(const timespec& time) {
  constexpr std::int64_t kMost = INT64_MAX / 1'000'000'000 - 1;
  const std::chrono::seconds seconds(std::clamp<std::int64_t>(time.tv_sec, -kMost, kMost));
  return WallTime(seconds + std::chrono::nanoseconds(time.tv_nsec));
}

posix::AttributeChange times_of(const struct stat& status) {
  return {.atime = wall_time(status.st_atim), .mtime = wall_time(status.st_mtim)};
}

/// A copy has mode, owner and times of its source.
posix::CreateOptions like(const struct stat& status) {
  return {.mode = status.st_mode & 07777u,
          .uid = status.st_uid,
          .gid = status.st_gid,
          .atime = wall_time(status.st_atim),
          .mtime = wall_time(status.st_mtim)};
}

Task<Result<posix::File>> create_file(CopyIn& copy, Place place, const struct stat& status) {
  posix::CreateOptions options = like(status);
  options.truncate = true;
  if (place.directory) co_return co_await copy.files.create_at(*place.directory, std::move(place.name), options);
  co_return co_await copy.files.create(std::move(place.path), options);
}

Task<Result<>> copy_contents(CopyIn& copy, const FileDescriptor& in, std::string source, posix::File file,
                             std::size_t buffer_bytes) {
  Bytes buffer(buffer_bytes);
  std::uint64_t offset = 0;
  for (;;) {
    const ssize_t got = ::pread(in.get(), buffer.data(), buffer.size(), static_cast<off_t>(offset));
    if (got < 0) co_return fail(system_error("read", source));
    if (got == 0) co_return Result<>();
    CO_CHECK_OK(co_await file.write(offset, ByteView(buffer).first(static_cast<std::size_t>(got))));
    offset += static_cast<std::uint64_t>(got);
    copy.statistics.bytes += static_cast<std::uint64_t>(got);
    copy.progress.update(copy.statistics.bytes, copy.statistics.files);
  }
}

/// Half a file under its final name passes for a whole one. What was there before this copy stays, though cut.
Task<Error> without_partial(CopyIn& copy, posix::File file, std::string path, Error failure) {
  const auto abandoned = co_await file.abandon(Until::at(copy.reactor.now() + kCleanUpTime));
  if (abandoned) co_return failure;
  co_return Error(failure.code(), fmt::format("{}; '{}' holds a part of it: remove it", failure.message(), path));
}

Task<Result<>> copy_file_in(CopyIn& copy, std::string source, struct stat status, Place place) {
  const FileDescriptor in(::open(source.c_str(), O_RDONLY | O_CLOEXEC));
  if (in.get() < 0) co_return fail(system_error("read", source));
  auto opened = co_await create_file(copy, place, status);
  if (!opened) co_return fail(opened.error().with_context(source));
  posix::File file = *std::move(opened);
  const std::size_t buffer_bytes =
      std::min<std::size_t>(kCopyBytes, static_cast<std::size_t>(std::max<off_t>(status.st_size, 4096)));
  auto copied = co_await copy_contents(copy, in, source, file, buffer_bytes);
  if (!copied) {
    co_return fail(co_await without_partial(copy, std::move(file), std::move(place.path), std::move(copied).error()));
  }
  CO_CHECK_OK(co_await file.close());
  ++copy.statistics.files;
  if (copy.acknowledged) {
    const std::string line = source + "\n";
    if (::write(copy.acknowledged->get(), line.data(), line.size()) < 0)
      co_return fail(system_error("write", copy.options.acknowledged_file));
  }
  co_return Result<>();
}

Task<> copy_file_task(CopyIn* copy, std::string source, struct stat status, Place place) {
  auto copied = co_await copy_file_in(*copy, std::move(source), status, std::move(place));
  if (!copied) copy->fail_with(std::move(copied).error());
  copy->slots.release();
}

Result<posix::Node> directory_of(Result<posix::Found> found, const std::string& path) {
  if (!found) return fail(std::move(found).error());
  if (found->node.type() != posix::FileType::kDirectory)
    return failf(Code::kNotADirectory, "'{}' is no directory", path);
  return std::move(found->node);
}

Task<Result<posix::Node>> enter_directory(CopyIn& copy, posix::Node parent, std::string name, std::string path,
                                          const struct stat& status) {
  auto made = co_await copy.files.make_directory(parent, std::move(name), like(status));
  if (made) {
    ++copy.statistics.directories;
    copy.made.emplace_back(made->node, times_of(status));
  }
  if (made || made.error() != Code::kExists) co_return directory_of(std::move(made), path);
  co_return directory_of(co_await copy.files.find(path), path);
}

struct PendingDirectory {
  stdfs::path source;
  posix::Node target;
  std::string target_path;
};

Task<Result<>> copy_entry(CopyIn& copy, const PendingDirectory& parent, const stdfs::directory_entry& entry,
                          std::deque<PendingDirectory>& pending) {
  const std::string source = entry.path().string();
  const std::string name = entry.path().filename().string();
  const std::string target_path = join(parent.target_path, name);
  struct stat status{};
  if (::lstat(source.c_str(), &status) != 0) co_return fail(system_error("read", source));
  if (S_ISDIR(status.st_mode)) {
    CO_TRY(const posix::Node made, co_await enter_directory(copy, parent.target, name, target_path, status));
    pending.push_back({entry.path(), made, target_path});
  } else if (S_ISLNK(status.st_mode)) {
    std::error_code error;
    const std::string target = stdfs::read_symlink(entry.path(), error).string();
    if (error) co_return failf(Code::kIoError, "cannot read the link '{}': {}", source, error.message());
    auto linked = co_await copy.files.symlink(target, target_path, like(status));
    if (!linked && linked.error() != Code::kExists) co_return linked;
    ++copy.statistics.links;
  } else if (S_ISREG(status.st_mode)) {
    CO_CHECK_OK(co_await copy.slots.acquire(1, Until::forever()));
    const bool started = copy.scope.spawn(copy_file_task(&copy, source, status, {parent.target, name, target_path}));
    ASSERT(started);
  } else {
    ++copy.statistics.skipped;
  }
  co_return Result<>();
}

Task<Result<>> copy_tree_in(CopyIn& copy, std::string source, struct stat status, std::string target) {
  auto made = co_await copy.files.mkdir(target, like(status));
  if (!made && made.error() != Code::kExists) co_return made;
  CO_TRY(const posix::Node root, directory_of(co_await copy.files.find(target), target));
  if (made) copy.made.emplace_back(root, times_of(status));
  std::deque<PendingDirectory> pending;
  pending.push_back({source, root, target});
  while (!pending.empty() && !copy.failure) {
    const PendingDirectory directory = std::move(pending.front());
    pending.pop_front();
    std::error_code error;
    std::vector<stdfs::directory_entry> entries;
    for (stdfs::directory_iterator next(directory.source, error), end; !error && next != end; next.increment(error)) {
      entries.push_back(*next);
    }
    if (error) co_return failf(Code::kIoError, "cannot list '{}': {}", directory.source.string(), error.message());
    for (const stdfs::directory_entry& entry : entries) {
      if (copy.failure) break;
      CO_CHECK_OK(co_await copy_entry(copy, directory, entry, pending));
    }
  }
  co_return Result<>();
}

}  // namespace

Task<Result<CopyStatistics>> copy_in(Reactor& reactor, posix::FileSystem& files, std::string source, std::string target,
                                     CopyOptions options, Progress& progress) {
  struct stat status{};
  if (::stat(source.c_str(), &status) != 0) co_return fail(system_error("read", source));
  CopyIn copy(reactor, files, std::move(options), progress);
  if (!copy.options.acknowledged_file.empty()) {
    copy.acknowledged.emplace(
        ::open(copy.options.acknowledged_file.c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0644));
    if (copy.acknowledged->get() < 0) co_return fail(system_error("write", copy.options.acknowledged_file));
  }
  Result<> done;
  if (S_ISDIR(status.st_mode)) {
    if (!copy.options.recursive) co_return failf(Code::kIsADirectory, "'{}' is a directory: copy it with -r", source);
    done = co_await copy_tree_in(copy, source, status, std::move(target));
  } else if (!S_ISREG(status.st_mode)) {
    co_return failf(Code::kInvalidArgument, "'{}' is no regular file and no directory", source);
  } else {
    done = co_await copy_file_in(copy, source, status, {std::nullopt, {}, std::move(target)});
  }
  co_await copy.scope.drain();
  CO_CHECK_OK(std::move(done));
  if (copy.failure) co_return fail(*std::move(copy.failure));
  for (auto& [directory, times] : copy.made)
    CO_CHECK_OK(co_await copy.files.set_attributes(std::move(directory), times));
  co_return copy.statistics;
}

}  // namespace cenote::cli
