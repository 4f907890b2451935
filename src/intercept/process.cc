#include "process.h"

#include <fcntl.h>
#include <poll.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <sys/types.h>
#include <unistd.h>

#include <algorithm>
#include <cstdlib>
#include <cstring>

#include "cenote/base/format.h"
#include "private_descriptors.h"

namespace cenote::intercept {
namespace {

constexpr ino_t kRoot = 1;
constexpr std::size_t kMountinfoMax = std::size_t{4} << 20;
constexpr std::size_t kGroupsMax = 1024;

struct Status {
  dev_t device = 0;
  ino_t number = 0;
  mode_t mode = 0;
};

/// What the kernel knows of it by itself, without asking the mount. Not by the function of the C library, which other
/// preloaded libraries may have.
std::optional<Status> status_of(int descriptor) {
  struct statx status{};
  if (::syscall(SYS_statx, descriptor, "", AT_EMPTY_PATH | AT_STATX_DONT_SYNC, STATX_TYPE | STATX_INO, &status) != 0)
    return std::nullopt;
  return Status{.device = ::makedev(status.stx_dev_major, status.stx_dev_minor),
                .number = status.stx_ino,
                .mode = status.stx_mode};
}

std::string read_all(int descriptor) {
  std::string text;
  std::array<char, 8192> part{};
  ssize_t got = ::pread(descriptor, part.data(), part.size(), 0);
  while (got > 0 && text.size() < kMountinfoMax) {
    text.append(part.data(), static_cast<std::size_t>(got));
    got = ::pread(descriptor, part.data(), part.size(), static_cast<off_t>(text.size()));
  }
  return text;
}

/// Whether this process may go through every directory: root in the machine's own name space.
bool has_all_rights() {
  if (::geteuid() != 0) return false;
  const int file = ::open("/proc/self/uid_map", O_RDONLY | O_CLOEXEC);
  if (file < 0) return false;
  const std::string map = read_all(file);
  ::close(file);
  unsigned inside = 1, outside = 1, count = 0;
  return std::sscanf(map.c_str(), "%u %u %u", &inside, &outside, &count) == 3 && inside == 0 && outside == 0 &&
         count == 0xffffffff;
}

}  // namespace

constinit Process process;

bool Process::is_this_process() const {
  // The kernel's answer: the C library's memory of it is the parent's after vfork.
  return ::syscall(SYS_getpid) == pid_.load(std::memory_order_relaxed);
}

const std::vector<MountPoint>& Process::mounts() {
  mounts_lock_.lock();
  int file = mountinfo_.load();
  bool is_new = false;
  if (file < 0) {
    file = private_descriptors.adopt(::open("/proc/self/mountinfo", O_RDONLY | O_CLOEXEC));
    mountinfo_.store(file);
    is_new = true;
  }
  pollfd changes{.fd = file, .events = POLLPRI, .revents = 0};
  if (file >= 0 && ::poll(&changes, 1, 0) > 0) is_new = true;
  if (is_new || mounts_.load() == nullptr) {
    // The old ones stay: others may read them now. They change seldom.
    mounts_.store(new std::vector<MountPoint>(parse_mounts(file < 0 ? std::string() : read_all(file))));
  }
  const std::vector<MountPoint>& result = *mounts_.load();
  mounts_lock_.unlock();
  return result;
}

bool Process::is_mount(dev_t device) {
  // Of such a number are file systems without a device.
  if (major(device) != 0) return false;
  for (const std::atomic<dev_t>& silent : silent_mounts_) {
    if (silent.load(std::memory_order_relaxed) == device) return false;
  }
  const auto has = [device](const MountPoint& mount) { return mount.device == device; };
  const std::vector<MountPoint>* known = mounts_.load();
  if (known != nullptr && std::ranges::any_of(*known, has)) return true;
  return std::ranges::any_of(mounts(), has);
}

std::optional<Opened> Process::look(int descriptor) {
  const auto status = status_of(descriptor);
  if (!status) return std::nullopt;
  const bool is_file = S_ISREG(status->mode), is_directory = S_ISDIR(status->mode);
  if ((!is_file && !is_directory) || !is_mount(status->device)) {
    set_hint(descriptor, Hint::kForeign);
    return std::nullopt;
  }
  if (!is_this_process()) return std::nullopt;
  if (hint(descriptor) == Hint::kUnknown) set_hint(descriptor, is_file ? Hint::kFile : Hint::kDirectory);
  const int flags = static_cast<int>(::syscall(SYS_fcntl, descriptor, F_GETFL));
  if (flags < 0 || (flags & O_PATH) != 0) return std::nullopt;
  return Opened{.target = {.device = status->device, .number = status->number}, .is_file = is_file, .flags = flags};
}

bool Process::is_announced(const char* path) const {
  if (announced_ == nullptr) return true;
  // One to a line.
  for (const char* at = announced_; *at != '\0';) {
    const std::size_t bytes = std::strcspn(at, "\n");
    if (std::strncmp(path, at, bytes) == 0) return true;
    at += bytes + (at[bytes] == '\n' ? 1 : 0);
  }
  return false;
}

bool Process::may_search_all() {
  // Who it is stays: another user's calls go to the kernel.
  Rights rights = rights_.load();
  if (rights == Rights::kUnknown) {
    rights = has_all_rights() ? Rights::kAll : Rights::kByMode;
    rights_.store(rights);
  }
  return rights == Rights::kAll;
}

Walker Process::walker() {
  Library* library = library_.load();
  if (library == nullptr || !library->checks_modes() || may_search_all()) return {};
  Walker walker{.may_all = false, .user = ::geteuid(), .groups = std::vector<gid_t>(kGroupsMax)};
  const int count = ::getgroups(kGroupsMax, walker.groups.data());
  walker.groups.resize(static_cast<std::size_t>(std::max(count, 0)));
  walker.groups.push_back(::getegid());
  return walker;
}

std::optional<Process::Path> Process::resolve_absolute(const char* path) {
  const std::vector<MountPoint>& all = mounts();
  auto found = match_path(all, path);
  if (!found) return std::nullopt;
  const MountPoint& mount = all[found->mount];
  if (!is_mount(mount.device)) return std::nullopt;
  return Path{.route = {.from = {.device = mount.device, .number = kRoot}, .names = std::move(found->names)},
              .opener_directory = AT_FDCWD,
              .opener = mount.place};
}

std::optional<Process::Path> Process::resolve_relative(int directory, const char* path) {
  auto names = plain_names(path);
  if (!names) return std::nullopt;
  const auto status = status_of(directory);
  if (!status) return std::nullopt;
  if (!S_ISDIR(status->mode) || !is_mount(status->device)) {
    if (directory == AT_FDCWD) {
      directory_.store(Hint::kForeign);
    } else {
      set_hint(directory, Hint::kForeign);
    }
    return std::nullopt;
  }
  const auto covered = [&](const MountPoint& mount) { return mount.device == status->device && mount.is_covered; };
  if (std::ranges::any_of(mounts(), covered)) return std::nullopt;
  return Path{.route = {.from = {.device = status->device, .number = status->number}, .names = *std::move(names)},
              .opener_directory = directory,
              .opener = "."};
}

bool Process::may_be_ours(int directory, const char* path) const {
  if (is_inside || is_off_.load(std::memory_order_relaxed) || path == nullptr || *path == '\0') return false;
  if (*path == '/') return is_announced(path);
  if (directory == AT_FDCWD) return directory_.load(std::memory_order_relaxed) != Hint::kForeign;
  return hint(directory) != Hint::kForeign;
}

std::optional<Process::Path> Process::resolve(int directory, const char* path) {
  auto resolved = *path == '/' ? resolve_absolute(path) : resolve_relative(directory, path);
  // Rights were those of who began: the mount was reached with them.
  if (!resolved || !is_this_process() || ::geteuid() != user_) return std::nullopt;
  resolved->route.walker = walker();
  return resolved;
}

Library* Process::enter_running() {
  users_.fetch_add(1);
  Library* library = is_off_.load() ? nullptr : library_.load();
  if (library == nullptr) leave();
  return library;
}

Library* Process::enter() {
  if (Library* running = enter_running()) return running;
  if (is_off_.load() || is_refused_.load() || calls_.fetch_add(1) < calls_before_) return nullptr;
  library_lock_.lock();
  if (library_.load() == nullptr && !is_refused_.load()) {
    library_.store(Library::start().release());
    if (library_.load() == nullptr) is_refused_.store(true);
  }
  library_lock_.unlock();
  return enter_running();
}

bool Process::provide(Library& library, const Guard& guard, Answer::Kind needed, Target target, int descriptor) {
  const bool is_mount = needed == Answer::Kind::kNeedsMount;
  Bytes frame(is_mount ? posix::kMountIdentityRoom : posix::kNodeIdentityRoom);
  const unsigned question = is_mount ? posix::kMountIdentityQuestion : posix::kNodeIdentityQuestion;
  if (::ioctl(descriptor, question, frame.data()) != 0) {
    if (errno != ENOTTY) return false;
    for (std::atomic<dev_t>& silent : silent_mounts_) {
      dev_t none = 0;
      if (silent.compare_exchange_strong(none, target.device)) break;
    }
    return false;
  }
  auto answer = posix::unframed_answer(frame);
  if (!answer) return false;
  if (!is_mount) return library.introduce(guard, target, *std::move(answer)).kind == Answer::Kind::kDone;
  auto identity = posix::decode_mount_identity(*answer);
  return identity && library.attach(guard, target.device, *std::move(identity)).kind == Answer::Kind::kDone;
}

void Process::switch_off() {
  if (!is_this_process() || is_inside) return;
  const Guard guard;
  is_off_.store(true);
  while (users_.load() > 0) ::sched_yield();
  library_lock_.lock();
  delete library_.exchange(nullptr);
  library_lock_.unlock();
  private_descriptors.close_all();
  mountinfo_.store(-1);
}

void Process::before_fork() {
  sigset_t all;
  ::sigfillset(&all);
  sigset_t before;
  ::pthread_sigmask(SIG_BLOCK, &all, &before);
  library_lock_.lock();
  mounts_lock_.lock();
  mapped.lock().lock();
  written_by_kernel.lock().lock();
  mask_before_fork_ = before;
  if (Library* library = library_.load()) library->park();
}

void Process::after_fork_in_parent() {
  if (Library* library = library_.load()) library->resume();
  const sigset_t before = mask_before_fork_;
  written_by_kernel.lock().unlock();
  mapped.lock().unlock();
  mounts_lock_.unlock();
  library_lock_.unlock();
  ::pthread_sigmask(SIG_SETMASK, &before, nullptr);
}

void Process::after_fork_in_child() {
  // Its thread, its ring and its connections are the parent's: it is left as it is.
  library_.store(nullptr);
  private_descriptors.close_all();
  mountinfo_.store(-1);
  pid_.store(::getpid());
  users_.store(0);
  calls_.store(0);
  has_reported_.store(false);
  is_inside = false;
  counts.clear();
  after_fork_in_parent();
}

void Process::begin() {
  announced_ = ::getenv("CENOTE_RUN_MOUNTS");
  report_ = ::getenv("CENOTE_RUN_REPORT");
  if (const char* calls = ::getenv("CENOTE_RUN_AFTER"))
    calls_before_ = static_cast<std::uint32_t>(std::strtoul(calls, nullptr, 10));
  user_ = ::geteuid();
  ::pthread_atfork([] { process.before_fork(); }, [] { process.after_fork_in_parent(); },
                   [] { process.after_fork_in_child(); });
  pid_.store(::getpid());
}

void Process::end() {
  if (!is_this_process() || is_inside) return;
  const Guard guard;
  if (Library* library = enter_running()) {
    library->say_goodbye(guard);
    leave();
  }
  if (report_ == nullptr || counts.is_nothing() || has_reported_.exchange(true)) return;
  const int file = ::open(report_, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0600);
  if (file < 0) return;
  const std::string line = counts.text(pid_.load());
  static_cast<void>(::write(file, line.data(), line.size()));
  ::close(file);
}

bool Counts::is_nothing() const { return reads + writes + stats + kernel_reads + kernel_writes + kernel_stats == 0; }

void Counts::clear() {
  for (std::atomic<std::uint64_t>* count : {&reads, &writes, &stats, &kernel_reads, &kernel_writes, &kernel_stats})
    count->store(0);
}

std::string Counts::text(pid_t pid) const {
  return fmt::format(
      "{{\"program\":\"{}\",\"pid\":{},\"reads\":{},\"writes\":{},\"stats\":{},\"kernel_reads\":{},"
      "\"kernel_writes\":{},\"kernel_stats\":{}}}\n",
      program_invocation_short_name, pid, reads.load(), writes.load(), stats.load(), kernel_reads.load(),
      kernel_writes.load(), kernel_stats.load());
}

}  // namespace cenote::intercept
