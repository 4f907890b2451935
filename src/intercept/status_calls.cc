// Attributes, by descriptor and by path.

#include <fcntl.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "calls.h"
#include "real.h"

namespace cenote::intercept {
namespace {

constinit Real<int(int, struct stat*)> real_fstat("fstat");
constinit Real<int(const char*, struct stat*)> real_stat("stat");
constinit Real<int(const char*, struct stat*)> real_lstat("lstat");
constinit Real<int(int, const char*, struct stat*, int)> real_fstatat("fstatat");
constinit Real<int(int, const char*, int, unsigned, struct statx*)> real_statx("statx");

/// What a program gets to know: attributes, or an error number.
struct Known {
  struct stat status{};
  int error = 0;
};

std::optional<Known> known_of(Answer& answer, Target target) {
  if (answer.kind == Answer::Kind::kFailed) return Known{.error = answer.error};
  if (answer.kind != Answer::Kind::kDone) return std::nullopt;
  const Target found{.device = target.device, .number = answer.status.st_ino};
  // The mount knows of times of these that servers do not know yet.
  if (process.mapped.contains(found) || process.written_by_kernel.contains(found)) return std::nullopt;
  answer.status.st_dev = target.device;
  return Known{.status = answer.status};
}

void count(bool past_kernel) {
  auto& counter = past_kernel ? process.counts.stats : process.counts.kernel_stats;
  counter.fetch_add(1, std::memory_order_relaxed);
}

/// nullopt: the kernel's.
std::optional<Known> look_at(int descriptor) {
  if (!process.may_be_ours(descriptor)) return std::nullopt;
  const Guard guard;
  const auto opened = process.look(descriptor);
  if (!opened) return std::nullopt;
  Library* library = process.enter();
  std::optional<Known> known;
  if (library != nullptr) {
    const Leaving leaving;
    Answer answer =
        ask(*library, guard, opened->target, descriptor, [&] { return library->status(guard, opened->target); });
    known = known_of(answer, opened->target);
  }
  count(known.has_value());
  return known;
}

/// A descriptor to ask the mount on, opened when it is needed.
class Opener {
 public:
  explicit Opener(const Process::Path& path) : path_(path) {}
  Opener(const Opener&) = delete;
  Opener& operator=(const Opener&) = delete;
  ~Opener() {
    if (descriptor_ >= 0) ::close(descriptor_);
  }
  int descriptor() {
    if (descriptor_ < 0)
      descriptor_ = ::openat(path_.opener_directory, path_.opener.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    return descriptor_;
  }

 private:
  const Process::Path& path_;
  int descriptor_ = -1;
};

std::optional<Known> look_at(int directory, const char* name, bool follow) {
  if (!process.may_be_ours(directory, name)) return std::nullopt;
  const Guard guard;
  auto path = process.resolve(directory, name);
  if (!path) return std::nullopt;
  Library* library = process.enter();
  std::optional<Known> known;
  if (library != nullptr) {
    const Leaving leaving;
    path->route.follow = follow;
    const Target from = path->route.from;
    Opener opener(*path);
    Answer answer;
    for (int i = 0; i < kAttempts; ++i) {
      answer = library->look_up(guard, path->route);
      if (answer.kind != Answer::Kind::kNeedsMount && answer.kind != Answer::Kind::kNeedsNode) break;
      if (!process.provide(*library, guard, answer.kind, from, opener.descriptor())) break;
    }
    known = known_of(answer, from);
  }
  count(known.has_value());
  return known;
}

int conclude(const Known& known, struct stat* into) {
  if (known.error != 0) {
    errno = known.error;
    return -1;
  }
  *into = known.status;
  return 0;
}

statx_timestamp time_of(const timespec& time) {
  statx_timestamp result{};
  result.tv_sec = time.tv_sec;
  result.tv_nsec = static_cast<std::uint32_t>(time.tv_nsec);
  return result;
}

int conclude(const Known& known, struct statx* into) {
  if (known.error != 0) {
    errno = known.error;
    return -1;
  }
  const struct stat& status = known.status;
  *into = {};
  into->stx_mask = STATX_BASIC_STATS;
  into->stx_blksize = static_cast<std::uint32_t>(status.st_blksize);
  into->stx_nlink = static_cast<std::uint32_t>(status.st_nlink);
  into->stx_uid = status.st_uid;
  into->stx_gid = status.st_gid;
  into->stx_mode = static_cast<std::uint16_t>(status.st_mode);
  into->stx_ino = status.st_ino;
  into->stx_size = static_cast<std::uint64_t>(status.st_size);
  into->stx_blocks = static_cast<std::uint64_t>(status.st_blocks);
  into->stx_atime = time_of(status.st_atim);
  into->stx_mtime = time_of(status.st_mtim);
  into->stx_ctime = time_of(status.st_ctim);
  into->stx_rdev_major = major(status.st_rdev);
  into->stx_rdev_minor = minor(status.st_rdev);
  into->stx_dev_major = major(status.st_dev);
  into->stx_dev_minor = minor(status.st_dev);
  return 0;
}

/// Of fstatat and statx.
std::optional<Known> look_at(int directory, const char* name, int flags) {
  if ((flags & ~(AT_SYMLINK_NOFOLLOW | AT_NO_AUTOMOUNT | AT_EMPTY_PATH)) != 0) return std::nullopt;
  if ((flags & AT_EMPTY_PATH) != 0 && name != nullptr && *name == '\0') {
    return directory < 0 ? std::nullopt : look_at(directory);
  }
  return look_at(directory, name, (flags & AT_SYMLINK_NOFOLLOW) == 0);
}

/// Of what a program asks by statx, nothing else is known here.
bool asks_for_plain(unsigned mask) { return (mask & ~(STATX_BASIC_STATS | STATX_BTIME)) == 0; }

bool asks_for_fresh(int flags) { return (flags & (AT_STATX_FORCE_SYNC | AT_STATX_DONT_SYNC)) == 0; }

int fstatat_by(int directory, const char* path, struct stat* into, int flags) {
  const auto known = look_at(directory, path, flags);
  return known ? conclude(*known, into) : real_fstatat(directory, path, into, flags);
}

int fstat_by(int descriptor, struct stat* into) {
  const auto known = look_at(descriptor);
  return known ? conclude(*known, into) : real_fstat(descriptor, into);
}

// Version of the structure in calls of programs that were linked with a glibc before 2.33: the one that there is.
#if defined(__x86_64__)
constexpr int kStatVersion = 1;
#else
constexpr int kStatVersion = 0;
#endif

bool is_version(int version) {
  if (version == kStatVersion || version == 0) return true;
  errno = EINVAL;
  return false;
}

}  // namespace
}  // namespace cenote::intercept

namespace intercept = cenote::intercept;

extern "C" {

int fstat(int descriptor, struct stat* into) noexcept { return intercept::fstat_by(descriptor, into); }

int stat(const char* path, struct stat* into) noexcept {
  const auto known = intercept::look_at(AT_FDCWD, path, true);
  return known ? intercept::conclude(*known, into) : intercept::real_stat(path, into);
}

int lstat(const char* path, struct stat* into) noexcept {
  const auto known = intercept::look_at(AT_FDCWD, path, false);
  return known ? intercept::conclude(*known, into) : intercept::real_lstat(path, into);
}

int fstatat(int directory, const char* path, struct stat* into, int flags) noexcept {
  return intercept::fstatat_by(directory, path, into, flags);
}

int statx(int directory, const char* path, int flags, unsigned mask, struct statx* into) noexcept {
  if (intercept::asks_for_plain(mask) && intercept::asks_for_fresh(flags)) {
    const auto known = intercept::look_at(directory, path, flags);
    if (known) return intercept::conclude(*known, into);
  }
  return intercept::real_statx(directory, path, flags, mask, into);
}

// The same structure by another name, where files have 64 bits anyway.
static_assert(sizeof(struct stat64) == sizeof(struct stat));
int fstat64(int descriptor, struct stat64* into) noexcept {
  return intercept::fstat_by(descriptor, reinterpret_cast<struct stat*>(into));
}
int stat64(const char* path, struct stat64* into) noexcept { return stat(path, reinterpret_cast<struct stat*>(into)); }
int lstat64(const char* path, struct stat64* into) noexcept {
  return lstat(path, reinterpret_cast<struct stat*>(into));
}
int fstatat64(int directory, const char* path, struct stat64* into, int flags) noexcept {
  return intercept::fstatat_by(directory, path, reinterpret_cast<struct stat*>(into), flags);
}

int __fxstat(int version, int descriptor, struct stat* into) noexcept {
  return intercept::is_version(version) ? intercept::fstat_by(descriptor, into) : -1;
}
int __xstat(int version, const char* path, struct stat* into) noexcept {
  return intercept::is_version(version) ? stat(path, into) : -1;
}
int __lxstat(int version, const char* path, struct stat* into) noexcept {
  return intercept::is_version(version) ? lstat(path, into) : -1;
}
int __fxstatat(int version, int directory, const char* path, struct stat* into, int flags) noexcept {
  return intercept::is_version(version) ? intercept::fstatat_by(directory, path, into, flags) : -1;
}
int __fxstat64(int version, int descriptor, struct stat64* into) noexcept {
  return __fxstat(version, descriptor, reinterpret_cast<struct stat*>(into));
}
int __xstat64(int version, const char* path, struct stat64* into) noexcept {
  return __xstat(version, path, reinterpret_cast<struct stat*>(into));
}
int __lxstat64(int version, const char* path, struct stat64* into) noexcept {
  return __lxstat(version, path, reinterpret_cast<struct stat*>(into));
}
int __fxstatat64(int version, int directory, const char* path, struct stat64* into, int flags) noexcept {
  return __fxstatat(version, directory, path, reinterpret_cast<struct stat*>(into), flags);
}

}  // extern "C"
