// What has to be known to keep the rest right: descriptors that are closed, times that are set, memory that is mapped,
// and what makes another process of this one.

#include <dirent.h>
#include <fcntl.h>
#include <linux/close_range.h>
#include <sched.h>
#include <sys/mman.h>
#include <sys/sendfile.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <unistd.h>
#include <utime.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>

#include "calls.h"
#include "private_descriptors.h"
#include "real.h"

namespace cenote::intercept {

ssize_t Ending::conclude() const {
  if (error != 0) errno = error;
  return error != 0 ? -1 : value;
}

namespace {

constinit Real<int(int)> real_close("close");
constinit Real<int(unsigned, unsigned, int)> real_close_range("close_range");
constinit Real<int(int, int)> real_dup2("dup2");
constinit Real<int(int, int, int)> real_dup3("dup3");
constinit Real<int(FILE*)> real_fclose("fclose");
constinit Real<int(DIR*)> real_closedir("closedir");
constinit Real<int(int)> real_fsync("fsync");
constinit Real<int(int)> real_fdatasync("fdatasync");
constinit Real<int(int, const char*, const timespec*, int)> real_utimensat("utimensat");
constinit Real<int(int, const timespec*)> real_futimens("futimens");
constinit Real<int(const char*, const timeval*)> real_utimes("utimes");
constinit Real<int(const char*, const timeval*)> real_lutimes("lutimes");
constinit Real<int(int, const timeval*)> real_futimes("futimes");
constinit Real<int(int, const char*, const timeval*)> real_futimesat("futimesat");
constinit Real<int(const char*, const utimbuf*)> real_utime("utime");
constinit Real<void*(void*, std::size_t, int, int, int, off_t)> real_mmap("mmap");
constinit Real<ssize_t(int, int, off_t*, std::size_t)> real_sendfile("sendfile");
constinit Real<ssize_t(int, off_t*, int, off_t*, std::size_t, unsigned)> real_copy_file_range("copy_file_range");
constinit Real<ssize_t(int, off_t*, int, off_t*, std::size_t, unsigned)> real_splice("splice");
constinit Real<int(const char*)> real_chdir("chdir");
constinit Real<int(int)> real_fchdir("fchdir");
constinit Real<int(const char*)> real_chroot("chroot");
constinit Real<int(int)> real_unshare("unshare");
constinit Real<int(int, int)> real_setns("setns");
constinit Real<void(int)> real_exit("_exit");

bool is_file(Hint hint) { return hint == Hint::kFile || hint == Hint::kWrittenFile; }

/// Calls of the library itself, and of a child that has the parent's memory until it becomes another program, are not
/// about the program's descriptors.
bool protects(int descriptor) {
  return !is_inside && private_descriptors.contains(descriptor) && process.is_this_process();
}

/// Before the kernel reads or writes times, it has to know of those that only this process knows.
void tell_all_times() {
  if (is_inside) return;
  const Guard guard;
  Library* library = process.enter_running();
  if (library == nullptr) return;
  const Leaving leaving;
  if (library->has_untold_times() && process.is_this_process()) library->tell_all_times(guard);
}

/// The same of one file; what it leads to, if it is one of a mount.
std::optional<Target> tell_times(int descriptor) {
  if (!process.may_be_ours(descriptor)) return std::nullopt;
  const Guard guard;
  const auto opened = process.look(descriptor);
  if (!opened || !opened->is_file) return std::nullopt;
  if (Library* library = process.enter_running()) {
    const Leaving leaving;
    library->tell_times(guard, opened->target);
  }
  return opened->target;
}

/// Before the kernel takes the size of a file from what it knows.
void refresh_size(int descriptor) {
  if (!process.may_be_ours(descriptor)) return;
  const Guard guard;
  struct stat status{};
  if (process.look(descriptor)) ::fstat(descriptor, &status);
}

/// All numbers from `first` to `last` but those of this library.
int close_range_around(unsigned first, unsigned last, int flags) {
  while (first <= last) {
    const int kept = private_descriptors.next(static_cast<int>(std::min<unsigned>(first, INT_MAX)));
    if (kept < 0 || static_cast<unsigned>(kept) > last) return real_close_range(first, last, flags);
    const auto number = static_cast<unsigned>(kept);
    if (number > first && real_close_range(first, number - 1, flags) != 0) return -1;
    first = number + 1;
  }
  return 0;
}

int close_many(unsigned first, unsigned last, int flags) {
  if ((flags & CLOSE_RANGE_CLOEXEC) != 0 || is_inside || !process.is_this_process())
    return real_close_range(first, last, flags);
  const unsigned end = std::min<unsigned>(last, Process::kHintsMax - 1);
  for (unsigned number = first; number <= end; ++number) before_close(static_cast<int>(number));
  return close_range_around(first, last, flags);
}

/// What gets a number that belongs to this library gets it: the library ends, in this process.
void make_way(int descriptor) {
  if (protects(descriptor)) process.switch_off();
}

}  // namespace

void before_close(int descriptor) {
  const Hint hint = process.hint(descriptor);
  if (hint == Hint::kUnknown || is_inside) return;
  if (is_file(hint) && process.is_this_process()) {
    if (const auto target = tell_times(descriptor)) {
      const Guard guard;
      process.written_by_kernel.erase(*target);
    }
  }
  process.forget(descriptor);
}

namespace {

__attribute__((constructor)) void begin() { process.begin(); }
__attribute__((destructor)) void end() { process.end(); }

}  // namespace
}  // namespace cenote::intercept

namespace intercept = cenote::intercept;

extern "C" {

int close(int descriptor) {
  if (intercept::is_inside) {
    if (intercept::process.is_this_process()) intercept::private_descriptors.forget(descriptor);
  } else if (intercept::protects(descriptor)) {
    errno = EBADF;
    return -1;
  } else {
    intercept::before_close(descriptor);
  }
  return intercept::real_close(descriptor);
}

int close_range(unsigned first, unsigned last, int flags) noexcept { return intercept::close_many(first, last, flags); }

void closefrom(int first) noexcept { intercept::close_many(static_cast<unsigned>(std::max(first, 0)), ~0u, 0); }

int dup2(int from, int to) noexcept {
  if (from != to) {
    intercept::make_way(to);
    intercept::before_close(to);
  }
  return intercept::real_dup2(from, to);
}

int dup3(int from, int to, int flags) noexcept {
  if (from != to) {
    intercept::make_way(to);
    intercept::before_close(to);
  }
  return intercept::real_dup3(from, to, flags);
}

int fclose(FILE* stream) {
  const int descriptor = ::fileno(stream);
  int failed = 0;
  if (descriptor >= 0) {
    // What it has collected is written before the times are told.
    if (intercept::is_file(intercept::process.hint(descriptor)) && ::fflush(stream) != 0) failed = errno;
    intercept::before_close(descriptor);
  }
  const int closed = intercept::real_fclose(stream);
  if (failed == 0) return closed;
  errno = failed;
  return EOF;
}

int closedir(DIR* directory) {
  if (const int descriptor = ::dirfd(directory); descriptor >= 0) intercept::before_close(descriptor);
  return intercept::real_closedir(directory);
}

int fsync(int descriptor) {
  intercept::tell_times(descriptor);
  return intercept::real_fsync(descriptor);
}

int fdatasync(int descriptor) {
  intercept::tell_times(descriptor);
  return intercept::real_fdatasync(descriptor);
}

int utimensat(int directory, const char* path, const timespec* times, int flags) noexcept {
  intercept::tell_all_times();
  return intercept::real_utimensat(directory, path, times, flags);
}

int futimens(int descriptor, const timespec* times) noexcept {
  intercept::tell_all_times();
  return intercept::real_futimens(descriptor, times);
}

int utimes(const char* path, const timeval* times) noexcept {
  intercept::tell_all_times();
  return intercept::real_utimes(path, times);
}

int lutimes(const char* path, const timeval* times) noexcept {
  intercept::tell_all_times();
  return intercept::real_lutimes(path, times);
}

int futimes(int descriptor, const timeval* times) noexcept {
  intercept::tell_all_times();
  return intercept::real_futimes(descriptor, times);
}

int futimesat(int directory, const char* path, const timeval* times) noexcept {
  intercept::tell_all_times();
  return intercept::real_futimesat(directory, path, times);
}

int utime(const char* path, const utimbuf* times) noexcept {
  intercept::tell_all_times();
  return intercept::real_utime(path, times);
}

void* mmap(void* address, std::size_t bytes, int protection, int flags, int descriptor, off_t offset) noexcept {
  if ((flags & MAP_ANONYMOUS) == 0 && descriptor >= 0) {
    // From here on all of this file is the kernel's, so what is written and what is mapped is the same.
    if (const auto target = intercept::tell_times(descriptor)) {
      const intercept::Guard guard;
      intercept::process.mapped.insert(*target);
    }
    intercept::refresh_size(descriptor);
  }
  return intercept::real_mmap(address, bytes, protection, flags, descriptor, offset);
}

void* mmap64(void* address, std::size_t bytes, int protection, int flags, int descriptor, off_t offset) noexcept {
  return mmap(address, bytes, protection, flags, descriptor, offset);
}

ssize_t sendfile(int to, int from, off_t* offset, std::size_t bytes) noexcept {
  intercept::refresh_size(from);
  return intercept::real_sendfile(to, from, offset, bytes);
}

ssize_t sendfile64(int to, int from, off_t* offset, std::size_t bytes) noexcept {
  return sendfile(to, from, offset, bytes);
}

ssize_t copy_file_range(int from, off_t* from_offset, int to, off_t* to_offset, std::size_t bytes, unsigned flags) {
  intercept::refresh_size(from);
  intercept::refresh_size(to);
  return intercept::real_copy_file_range(from, from_offset, to, to_offset, bytes, flags);
}

ssize_t splice(int from, off_t* from_offset, int to, off_t* to_offset, std::size_t bytes, unsigned flags) {
  intercept::refresh_size(from);
  return intercept::real_splice(from, from_offset, to, to_offset, bytes, flags);
}

int chdir(const char* path) noexcept {
  const int result = intercept::real_chdir(path);
  intercept::process.moved();
  return result;
}

int fchdir(int descriptor) noexcept {
  const int result = intercept::real_fchdir(descriptor);
  intercept::process.moved();
  return result;
}

// Afterwards paths lead elsewhere. These work in a process with one thread only, or should.
int chroot(const char* path) noexcept {
  intercept::process.switch_off();
  return intercept::real_chroot(path);
}

int unshare(int flags) noexcept {
  intercept::process.switch_off();
  return intercept::real_unshare(flags);
}

int setns(int descriptor, int type) noexcept {
  intercept::process.switch_off();
  return intercept::real_setns(descriptor, type);
}

void _exit(int code) {
  intercept::process.end();
  intercept::real_exit(code);
  __builtin_unreachable();
}

void _Exit(int code) noexcept { _exit(code); }

}  // extern "C"
