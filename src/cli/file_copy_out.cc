#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <array>
#include <deque>
#include <filesystem>
#include <ranges>

#include "cenote/base/format.h"
#include "cenote/runtime/scope.h"
#include "file_copy.h"
#include "local_file.h"

namespace cenote::cli {
namespace {

namespace stdfs = std::filesystem;

/// Gives a file to its owner, which only the superuser may, and he not always (in a container some users do not exist).
/// Comes before the mode: a new owner takes set-id bits away.
void give(const std::string& path, const posix::Attributes& attributes) {
  if (::geteuid() == 0) static_cast<void>(!::lchown(path.c_str(), attributes.uid, attributes.gid));
}

/// What futimens takes: the time of access is left alone.
struct FileTimes : std::array<timespec, 2> {
  explicit FileTimes(WallTime mtime) {
    const auto since = mtime.time_since_epoch();
    const auto seconds = std::chrono::floor<std::chrono::seconds>(since);
    (*this)[0] = {0, UTIME_OMIT};
    (*this)[1] = {seconds.count(), (since - seconds).count()};
  }
};

/// What a file gets its name in place of: nothing, a file or a link. Not a device or a pipe, which would be gone.
Result<> check_target(const std::string& target) {
  struct stat status{};
  if (::lstat(target.c_str(), &status) != 0 || S_ISREG(status.st_mode) || S_ISLNK(status.st_mode)) return {};
  if (S_ISDIR(status.st_mode)) return failf(Code::kIsADirectory, "'{}' is a directory", target);
  return failf(Code::kInvalidArgument, "'{}' is no regular file: to print contents use 'cenote fs cat'", target);
}

/// Where a target that somebody named leads: a link is followed, as by any program that writes to it.
Result<std::string> follow(std::string target) {
  struct stat status{};
  if (::lstat(target.c_str(), &status) != 0 || !S_ISLNK(status.st_mode)) return target;
  if (::stat(target.c_str(), &status) == 0 && !S_ISREG(status.st_mode)) {
    return failf(Code::kInvalidArgument, "'{}' leads to no regular file: to print contents use 'cenote fs cat'",
                 target);
  }
  std::error_code error;
  const stdfs::path place = stdfs::canonical(target, error);
  if (!error) return place.string();
  return failf(Code::kNotFound, "the link '{}' leads nowhere: remove it first", target);
}

/// A local file that gets its name only when it is whole.
class PendingFile {
 public:
  /// `number` tells apart the files that this process writes at the same time.
  PendingFile(std::string target, std::uint64_t number)
      : target_(std::move(target)),
        // Beside the target, so that the rename stays in one file system; a name of its own, since the target's may be
        // as long as names can be.
        temporary_(
            (stdfs::path(target_).parent_path() / fmt::format(".cenote-partial-{}-{}", ::getpid(), number)).string()),
        file_(::open(temporary_.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600)) {}
  PendingFile(const PendingFile&) = delete;
  PendingFile& operator=(const PendingFile&) = delete;
  ~PendingFile() {
    if (!committed_) ::unlink(temporary_.c_str());
  }

  Result<> opened() const { return file_.get() >= 0 ? Result<>() : fail(system_error("create", target_)); }
  Result<> write(std::uint64_t offset, ByteView bytes) {
    while (!bytes.empty()) {
      const ssize_t count = ::pwrite(file_.get(), bytes.data(), bytes.size(), static_cast<off_t>(offset));
      if (count < 0) return fail(system_error("write", target_));
      bytes = bytes.subspan(static_cast<std::size_t>(count));
      offset += static_cast<std::uint64_t>(count);
    }
    return {};
  }
  Result<> commit(const posix::Attributes& attributes) {
    give(temporary_, attributes);
    if (::fchmod(file_.get(), attributes.mode) != 0 ||
        ::futimens(file_.get(), FileTimes(attributes.mtime).data()) != 0) {
      return fail(system_error("set attributes of", target_));
    }
    if (::rename(temporary_.c_str(), target_.c_str()) != 0) return fail(system_error("replace", target_));
    committed_ = true;
    return {};
  }

 private:
  std::string target_, temporary_;
  FileDescriptor file_;
  bool committed_ = false;
};

/// One walk over a tree, shared by the coroutines that copy its files.
struct CopyOut {
  posix::FileSystem& files;
  Progress& progress;
  Semaphore slots;
  Scope scope;
  CopyStatistics statistics{};
  std::uint64_t begun = 0;
  std::optional<Error> failure;
  /// Directories get mode and times last: what is copied into them changes the times, and may need the mode.
  std::vector<std::pair<std::string, posix::Attributes>> finished;

  CopyOut(Reactor& reactor, posix::FileSystem& f, const CopyOptions& options, Progress& p)
      : files(f), progress(p), slots(reactor, options.parallel), scope(reactor) {}
};

Task<Result<>> copy_file_out(CopyOut& copy, std::string source, std::string target, posix::Attributes attributes) {
  CO_CHECK_OK(check_target(target));
  // One more than there should be: a single read then shows the end of a small file.
  Bytes buffer(std::min<std::uint64_t>(kCopyBytes, attributes.size + 1));
  CO_TRY(posix::File file, co_await copy.files.open_file(source));
  PendingFile out(std::move(target), copy.begun++);
  CO_CHECK_OK(out.opened());
  for (std::uint64_t offset = 0;;) {
    CO_TRY(const std::uint64_t got, co_await file.read(offset, buffer));
    CO_CHECK_OK(out.write(offset, ByteView(buffer).first(got)));
    offset += got;
    copy.statistics.bytes += got;
    copy.progress.update(copy.statistics.bytes, copy.statistics.files);
    if (got < buffer.size()) break;
  }
  CO_CHECK_OK(out.commit(attributes));
  ++copy.statistics.files;
  co_return Result<>();
}

Task<Result<>> copy_link_out(CopyOut& copy, std::string source, std::string target) {
  CO_TRY(const std::string link, co_await copy.files.readlink(source));
  std::error_code error;
  stdfs::remove(target, error);
  stdfs::create_symlink(link, target, error);
  if (error) co_return failf(Code::kIoError, "cannot create the link '{}': {}", target, error.message());
  CO_TRY(const posix::Attributes attributes, co_await copy.files.stat(std::move(source), false));
  give(target, attributes);
  if (::utimensat(AT_FDCWD, target.c_str(), FileTimes(attributes.mtime).data(), AT_SYMLINK_NOFOLLOW) != 0) {
    co_return fail(system_error("set the time of", target));
  }
  ++copy.statistics.links;
  co_return Result<>();
}

/// A file or a link.
Task<> copy_entry_out(CopyOut* copy, posix::FileType type, std::string source, std::string target) {
  Result<> copied;
  if (type == posix::FileType::kSymlink) {
    copied = co_await copy_link_out(*copy, std::move(source), std::move(target));
  } else if (auto attributes = co_await copy->files.stat(source); attributes) {
    copied = co_await copy_file_out(*copy, std::move(source), std::move(target), *attributes);
  } else {
    copied = fail(std::move(attributes).error());
  }
  if (!copied && !copy->failure) copy->failure = std::move(copied).error();
  copy->slots.release();
}

/// Where a directory is and where it goes.
struct Branch {
  std::string from, to;
};

Task<Result<>> copy_directory_out(CopyOut& copy, Branch branch, std::deque<Branch>& pending) {
  CO_TRY(const posix::Attributes attributes, co_await copy.files.stat(branch.from));
  std::error_code error;
  // What is there already keeps its own, as the other way round.
  const bool made = stdfs::create_directories(branch.to, error);
  if (made) copy.finished.emplace_back(branch.to, attributes);
  if (error) co_return failf(Code::kIoError, "cannot create '{}': {}", branch.to, error.message());
  ++copy.statistics.directories;
  std::string after;
  for (;;) {
    CO_TRY(const auto page, co_await copy.files.read_directory(branch.from, after));
    if (page.empty()) co_return Result<>();
    after = page.back().name;
    for (const posix::DirectoryEntry& entry : page) {
      if (copy.failure) co_return Result<>();
      Branch inner{join(branch.from, entry.name), join(branch.to, entry.name)};
      if (entry.type == posix::FileType::kDirectory) {
        pending.push_back(std::move(inner));
        continue;
      }
      CO_CHECK_OK(co_await copy.slots.acquire(1, Until::forever()));
      const bool started =
          copy.scope.spawn(copy_entry_out(&copy, entry.type, std::move(inner.from), std::move(inner.to)));
      ASSERT(started);
    }
  }
}

Task<Result<>> copy_tree_out(CopyOut& copy, std::string source, std::string target) {
  std::deque<Branch> pending{{std::move(source), std::move(target)}};
  while (!pending.empty() && !copy.failure) {
    Branch branch = std::move(pending.front());
    pending.pop_front();
    CO_CHECK_OK(co_await copy_directory_out(copy, std::move(branch), pending));
  }
  co_return Result<>();
}

Result<> finish_directories(const CopyOut& copy) {
  for (const auto& [path, attributes] : copy.finished | std::views::reverse) {
    give(path, attributes);
    if (::chmod(path.c_str(), attributes.mode) != 0 ||
        ::utimensat(AT_FDCWD, path.c_str(), FileTimes(attributes.mtime).data(), 0) != 0) {
      return fail(system_error("set attributes of", path));
    }
  }
  return {};
}

}  // namespace

Task<Result<CopyStatistics>> copy_out(Reactor& reactor, posix::FileSystem& files, std::string source,
                                      std::string target, CopyOptions options, Progress& progress) {
  CO_TRY(const posix::Attributes attributes, co_await files.stat(source));
  const bool tree = attributes.type == posix::FileType::kDirectory;
  if (tree && !options.recursive) co_return failf(Code::kIsADirectory, "'{}' is a directory: copy it with -r", source);
  CopyOut copy(reactor, files, options, progress);
  Result<> done;
  if (tree) {
    done = co_await copy_tree_out(copy, std::move(source), std::move(target));
  } else {
    std::error_code ignored;
    if (stdfs::is_directory(target, ignored)) target = join(target, stdfs::path(source).filename().string());
    CO_TRY(target, follow(std::move(target)));
    done = co_await copy_file_out(copy, std::move(source), std::move(target), attributes);
  }
  co_await copy.scope.drain();
  CO_CHECK_OK(std::move(done));
  if (copy.failure) co_return fail(*std::move(copy.failure));
  CO_CHECK_OK(finish_directories(copy));
  co_return copy.statistics;
}

}  // namespace cenote::cli
