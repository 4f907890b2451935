// Reading and writing.

#include <fcntl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

#include <algorithm>
#include <climits>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <span>

#include "calls.h"
#include "real.h"

namespace cenote::intercept {
namespace {

constinit Real<ssize_t(int, void*, std::size_t)> real_read("read");
constinit Real<ssize_t(int, const void*, std::size_t)> real_write("write");
constinit Real<ssize_t(int, void*, std::size_t, off_t)> real_pread("pread");
constinit Real<ssize_t(int, const void*, std::size_t, off_t)> real_pwrite("pwrite");
constinit Real<ssize_t(int, const iovec*, int)> real_readv("readv");
constinit Real<ssize_t(int, const iovec*, int)> real_writev("writev");
constinit Real<ssize_t(int, const iovec*, int, off_t)> real_preadv("preadv");
constinit Real<ssize_t(int, const iovec*, int, off_t)> real_pwritev("pwritev");

// More at once is done in parts; what is scattered and larger than this is the kernel's.
constexpr std::size_t kPartBytes = std::size_t{4} << 20;
// What the kernel takes at most in one call.
constexpr std::size_t kCallBytesMax = 0x7ffff000;
// No program has anything there. For it the kernel says EFAULT.
constexpr std::uintptr_t kFirstAddress = 65536;

/// A call's memory as one piece: the caller's, or a copy where that is scattered.
class Memory {
 public:
  explicit Memory(std::span<const iovec> parts) : parts_(parts) {
    for (const iovec& part : parts_) {
      if (part.iov_len > kCallBytesMax - bytes_) return;
      if (part.iov_len > 0 && reinterpret_cast<std::uintptr_t>(part.iov_base) < kFirstAddress) return;
      bytes_ += part.iov_len;
    }
    is_usable_ = bytes_ > 0;
    if (!is_usable_) return;
    if (parts_.size() == 1) {
      data_ = static_cast<std::byte*>(parts_.front().iov_base);
      return;
    }
    if (bytes_ <= kPartBytes) copy_.reset(static_cast<std::byte*>(std::malloc(bytes_)));
    data_ = copy_.get();
    is_usable_ = data_ != nullptr;
  }

  bool is_usable() const { return is_usable_; }
  MutableBytes all() const { return {data_, bytes_}; }
  void gather() const {
    if (copy_)
      each_part(bytes_, [](std::byte* ours, std::byte* theirs, std::size_t n) { std::memcpy(ours, theirs, n); });
  }
  void scatter(std::size_t bytes) const {
    if (copy_)
      each_part(bytes, [](std::byte* ours, std::byte* theirs, std::size_t n) { std::memcpy(theirs, ours, n); });
  }

 private:
  struct Free {
    void operator()(std::byte* memory) const { std::free(memory); }
  };
  template <typename Copy>
  void each_part(std::size_t bytes, Copy copy) const {
    std::size_t at = 0;
    for (const iovec& part : parts_) {
      const std::size_t now = std::min(part.iov_len, bytes - at);
      if (now > 0) copy(data_ + at, static_cast<std::byte*>(part.iov_base), now);
      at += now;
    }
  }

  std::span<const iovec> parts_;
  std::size_t bytes_ = 0;
  bool is_usable_ = false;
  std::byte* data_ = nullptr;
  std::unique_ptr<std::byte, Free> copy_;
};

/// The offset of a descriptor is the kernel's, which all have who share it: a read or write takes its part of it before
/// it begins, so two never get the same one, and gives back what it did not use.
class Offset {
 public:
  Offset(int descriptor, std::optional<off_t> given, std::size_t bytes) : descriptor_(descriptor), bytes_(bytes) {
    if (given) {
      begin_ = *given;
      return;
    }
    const off_t end = ::syscall(SYS_lseek, descriptor, static_cast<off_t>(bytes), SEEK_CUR);
    is_taken_ = end >= 0;
    begin_ = end < 0 ? -1 : end - static_cast<off_t>(bytes);
  }
  bool is_usable() const { return begin_ >= 0; }
  std::uint64_t begin() const { return static_cast<std::uint64_t>(begin_); }
  void used(std::size_t bytes) const {
    if (is_taken_ && bytes != bytes_)
      ::syscall(SYS_lseek, descriptor_, static_cast<off_t>(bytes) - static_cast<off_t>(bytes_), SEEK_CUR);
  }

 private:
  int descriptor_;
  std::size_t bytes_;
  off_t begin_ = -1;
  bool is_taken_ = false;
};

bool has_size_limit() {
  rlimit limit{};
  return ::getrlimit(RLIMIT_FSIZE, &limit) != 0 || limit.rlim_cur != RLIM_INFINITY;
}

/// What the kernel has read of the file before is not what it is now.
void drop_pages(int descriptor, std::uint64_t offset, std::size_t bytes) {
  constexpr std::uint64_t kPage = 4096, kMask = ~(kPage - 1);
  const std::uint64_t begin = offset & kMask, end = (offset + bytes + kPage - 1) & kMask;
  ::syscall(SYS_fadvise64, descriptor, static_cast<off_t>(begin), static_cast<off_t>(end - begin), POSIX_FADV_DONTNEED);
}

/// Moves all of `memory` part by part, until one is not whole.
template <typename Move>
Answer in_parts(std::uint64_t offset, MutableBytes memory, Move move) {
  std::uint64_t done = 0;
  while (done < memory.size()) {
    const MutableBytes part = memory.subspan(done, std::min<std::size_t>(kPartBytes, memory.size() - done));
    const Answer answer = move(offset + done, part);
    if (answer.kind != Answer::Kind::kDone) return done > 0 ? Answer::done(done) : answer;
    done += answer.bytes;
    if (answer.bytes < part.size()) break;
  }
  return Answer::done(done);
}

std::optional<Ending> ending_of(const Answer& answer) {
  if (answer.kind == Answer::Kind::kDone) return Ending{.value = static_cast<ssize_t>(answer.bytes)};
  if (answer.kind == Answer::Kind::kFailed) return Ending{.value = -1, .error = answer.error};
  return std::nullopt;
}

bool is_for(int flags, int other_way) { return (flags & O_ACCMODE) != other_way; }

/// nullopt: the kernel's.
std::optional<Ending> read_past_kernel(int descriptor, std::span<const iovec> parts, std::optional<off_t> at) {
  const Guard guard;
  const auto opened = process.look(descriptor);
  if (!opened || !opened->is_file) return std::nullopt;
  process.counts.kernel_reads.fetch_add(1, std::memory_order_relaxed);
  const Target target = opened->target;
  if (!is_for(opened->flags, O_WRONLY) || process.mapped.contains(target)) return std::nullopt;
  const Memory memory(parts);
  if (!memory.is_usable() || (at && *at < 0)) return std::nullopt;
  Library* library = process.enter();
  if (library == nullptr) return std::nullopt;
  const Leaving leaving;
  const Offset offset(descriptor, at, memory.all().size());
  if (!offset.is_usable()) return std::nullopt;
  const Answer answer = in_parts(offset.begin(), memory.all(), [&](std::uint64_t from, MutableBytes into) {
    return ask(*library, guard, target, descriptor, [&] { return library->read(guard, target, from, into); });
  });
  offset.used(answer.bytes);
  memory.scatter(answer.bytes);
  const auto ending = ending_of(answer);
  if (ending) {
    process.counts.kernel_reads.fetch_sub(1, std::memory_order_relaxed);
    process.counts.reads.fetch_add(1, std::memory_order_relaxed);
  }
  return ending;
}

/// What came of an attempt to write; `target`: the kernel is to write, to this file.
struct WriteAttempt {
  std::optional<Ending> ending;
  std::optional<Target> target;
};

/// The first write by each descriptor is the kernel's, which then does what belongs to it: it takes set-id bits away,
/// and lets the mount know that the file is written, which tells the time if this process should not come to it.
WriteAttempt write_past_kernel(int descriptor, std::span<const iovec> parts, std::optional<off_t> at) {
  const Guard guard;
  const auto opened = process.look(descriptor);
  if (!opened || !opened->is_file) return {};
  const Target target = opened->target;
  const WriteAttempt by_kernel{.ending = {}, .target = target};
  // Appends of all programs on a machine go one after the other by the kernel.
  if (!is_for(opened->flags, O_RDONLY) || (opened->flags & O_APPEND) != 0) return by_kernel;
  if (process.hint(descriptor) != Hint::kWrittenFile || process.mapped.contains(target)) return by_kernel;
  const Memory memory(parts);
  if (!memory.is_usable() || (at && *at < 0) || has_size_limit()) return by_kernel;
  Library* library = process.enter();
  if (library == nullptr) return by_kernel;
  const Leaving leaving;
  const Offset offset(descriptor, at, memory.all().size());
  if (!offset.is_usable()) return by_kernel;
  memory.gather();
  const Answer answer = in_parts(offset.begin(), memory.all(), [&](std::uint64_t to, MutableBytes from) {
    return ask(*library, guard, target, descriptor, [&] { return library->write(guard, target, to, from); });
  });
  drop_pages(descriptor, offset.begin(), memory.all().size());
  offset.used(answer.bytes);
  auto ending = ending_of(answer);
  if (!ending) return by_kernel;
  process.counts.writes.fetch_add(1, std::memory_order_relaxed);
  // What the library knows of its times is newer.
  if (ending->error == 0) process.written_by_kernel.erase(target);
  return {.ending = ending, .target = {}};
}

void note_kernel_write(int descriptor, Target target, ssize_t written) {
  const Guard guard;
  process.counts.kernel_writes.fetch_add(1, std::memory_order_relaxed);
  if (written < 0 || !process.is_this_process()) return;
  process.written_by_kernel.insert(target);
  process.set_hint(descriptor, Hint::kWrittenFile);
}

template <typename ByKernel>
ssize_t read_by(int descriptor, std::span<const iovec> parts, std::optional<off_t> at, ByKernel by_kernel) {
  if (!process.may_be_ours(descriptor)) return by_kernel();
  ::pthread_testcancel();
  const auto ending = read_past_kernel(descriptor, parts, at);
  return ending ? ending->conclude() : by_kernel();
}

template <typename ByKernel>
ssize_t write_by(int descriptor, std::span<const iovec> parts, std::optional<off_t> at, ByKernel by_kernel) {
  if (!process.may_be_ours(descriptor)) return by_kernel();
  ::pthread_testcancel();
  const WriteAttempt attempt = write_past_kernel(descriptor, parts, at);
  if (attempt.ending) return attempt.ending->conclude();
  const ssize_t written = by_kernel();
  if (attempt.target) note_kernel_write(descriptor, *attempt.target, written);
  return written;
}

std::span<const iovec> parts_of(const iovec* parts, int count) {
  if (count < 0 || count > IOV_MAX || parts == nullptr) return {};
  return {parts, static_cast<std::size_t>(count)};
}

iovec part_of(const void* memory, std::size_t bytes) {
  return {.iov_base = const_cast<void*>(memory), .iov_len = bytes};
}

}  // namespace
}  // namespace cenote::intercept

namespace intercept = cenote::intercept;

extern "C" {

ssize_t read(int descriptor, void* into, std::size_t bytes) {
  const iovec part = intercept::part_of(into, bytes);
  return intercept::read_by(descriptor, {&part, 1}, {}, [&] { return intercept::real_read(descriptor, into, bytes); });
}

ssize_t pread(int descriptor, void* into, std::size_t bytes, off_t offset) {
  const iovec part = intercept::part_of(into, bytes);
  return intercept::read_by(descriptor, {&part, 1}, offset,
                            [&] { return intercept::real_pread(descriptor, into, bytes, offset); });
}

ssize_t readv(int descriptor, const iovec* parts, int count) {
  return intercept::read_by(descriptor, intercept::parts_of(parts, count), {},
                            [&] { return intercept::real_readv(descriptor, parts, count); });
}

ssize_t preadv(int descriptor, const iovec* parts, int count, off_t offset) {
  return intercept::read_by(descriptor, intercept::parts_of(parts, count), offset,
                            [&] { return intercept::real_preadv(descriptor, parts, count, offset); });
}

ssize_t write(int descriptor, const void* from, std::size_t bytes) {
  const iovec part = intercept::part_of(from, bytes);
  return intercept::write_by(descriptor, {&part, 1}, {},
                             [&] { return intercept::real_write(descriptor, from, bytes); });
}

ssize_t pwrite(int descriptor, const void* from, std::size_t bytes, off_t offset) {
  const iovec part = intercept::part_of(from, bytes);
  return intercept::write_by(descriptor, {&part, 1}, offset,
                             [&] { return intercept::real_pwrite(descriptor, from, bytes, offset); });
}

ssize_t writev(int descriptor, const iovec* parts, int count) {
  return intercept::write_by(descriptor, intercept::parts_of(parts, count), {},
                             [&] { return intercept::real_writev(descriptor, parts, count); });
}

ssize_t pwritev(int descriptor, const iovec* parts, int count, off_t offset) {
  return intercept::write_by(descriptor, intercept::parts_of(parts, count), offset,
                             [&] { return intercept::real_pwritev(descriptor, parts, count, offset); });
}

// The same by other names: offsets have 64 bits on all machines that Cenote runs on.
ssize_t pread64(int descriptor, void* into, std::size_t bytes, off_t offset) {
  return pread(descriptor, into, bytes, offset);
}
ssize_t pwrite64(int descriptor, const void* from, std::size_t bytes, off_t offset) {
  return pwrite(descriptor, from, bytes, offset);
}
ssize_t preadv64(int descriptor, const iovec* parts, int count, off_t offset) {
  return preadv(descriptor, parts, count, offset);
}
ssize_t pwritev64(int descriptor, const iovec* parts, int count, off_t offset) {
  return pwritev(descriptor, parts, count, offset);
}

// Those of programs that were compiled with _FORTIFY_SOURCE.
[[noreturn]] void __chk_fail();
ssize_t __read_chk(int descriptor, void* into, std::size_t bytes, std::size_t room) {
  if (bytes > room) __chk_fail();
  return read(descriptor, into, bytes);
}
ssize_t __pread_chk(int descriptor, void* into, std::size_t bytes, off_t offset, std::size_t room) {
  if (bytes > room) __chk_fail();
  return pread(descriptor, into, bytes, offset);
}
ssize_t __pread64_chk(int descriptor, void* into, std::size_t bytes, off_t offset, std::size_t room) {
  if (bytes > room) __chk_fail();
  return pread(descriptor, into, bytes, offset);
}

}  // extern "C"
