#include "device/raw_device.h"

#include <fcntl.h>
#include <liburing.h>
#include <linux/magic.h>
#include <sys/statfs.h>
#include <sys/uio.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <system_error>
#include <utility>
#include <vector>

#include "cenote/base/format.h"
#include "harness/machine.h"

namespace cenote::bench {
namespace {

constexpr std::uint64_t kFlushTag = ~std::uint64_t{0};
constexpr std::size_t kAlignment = 4096;

std::unexpected<Error> system_error(const char* what, int error) {
  return failf(Code::kIoError, "raw device: {}: {}", what, std::generic_category().message(error));
}

struct FreeMemory {
  void operator()(std::byte* memory) const { std::free(memory); }  // NOLINT: pairs with aligned_alloc
};
using AlignedMemory = std::unique_ptr<std::byte[], FreeMemory>;

AlignedMemory allocate_aligned(std::size_t bytes) {
  AlignedMemory memory(static_cast<std::byte*>(std::aligned_alloc(kAlignment, bytes)));
  std::memset(memory.get(), 0x5a, bytes);
  return memory;
}

/// On a file in memory a durable write needs no flush, and a system call may be the fastest way to do a transfer: the
/// ring hands those to a worker thread.
bool is_in_memory(int fd) {
  struct statfs system{};
  return ::fstatfs(fd, &system) == 0 && (system.f_type == TMPFS_MAGIC || system.f_type == RAMFS_MAGIC);
}

/// How transfers reach the file.
enum class Way : std::uint8_t { kRing, kCalls };

class RawDevice final : public Side {
 public:
  explicit RawDevice(RawPattern pattern) : pattern_(pattern), sync_(pattern.sync) {}
  ~RawDevice() override {
    if (ring_made_) ::io_uring_queue_exit(&ring_);
    if (fd_ >= 0) ::close(fd_);
  }

  Result<> prepare(const std::string& path) {
    fd_ = ::open(path.c_str(), O_RDWR | O_CREAT | O_DIRECT | O_CLOEXEC, 0600);
    if (fd_ < 0 && errno == EINVAL) fd_ = ::open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    if (fd_ < 0) return system_error("open", errno);
    CHECK_OK(fill_file());
    CHECK_OK(make_ring());
    return choose_way();
  }

  Result<Measured> measure(Duration window) override {
    latencies_.reset();
    flushes_ = 0;
    const Instant begin = now();
    CHECK_OK(way_ == Way::kCalls ? loop_of_calls(begin + window) : loop(begin + window));
    const double seconds = std::chrono::duration<double>(now() - begin).count();
    Measured measured{.value = double(latencies_.count()) / seconds, .details = {}};
    measured.add_latencies(latencies_);
    measured.details.emplace_back("by_system_calls", way_ == Way::kCalls ? 1.0 : 0.0);
    if (flushes_ > 0) measured.details.emplace_back("writes/flush", double(latencies_.count()) / double(flushes_));
    return measured;
  }

  Result<double> account(Duration window) override {
    CHECK_OK(measure(window));
    return double(latencies_.count());
  }

 private:
  struct Slot {
    Instant begun;
    bool free = true;
  };

  Result<> fill_file();
  Result<> make_ring();
  Result<> choose_way();
  Result<> loop(Instant end);
  Result<> loop_of_calls(Instant end);
  void start(unsigned index);
  void start_flush();
  Result<> reap();
  void finish(unsigned index);
  std::uint64_t next_offset();

  RawPattern pattern_;
  RawPattern::Sync sync_;
  Way way_ = Way::kRing;
  int fd_ = -1;
  io_uring ring_{};
  bool ring_made_ = false;
  AlignedMemory memory_;
  std::vector<Slot> slots_;
  std::vector<unsigned> written_;   // complete, not yet covered by a flush
  std::vector<unsigned> flushing_;  // covered by the flush in flight
  bool flush_in_flight_ = false;
  unsigned in_flight_ = 0;  // slots that are not free
  std::uint64_t random_ = 0x2545f4914f6cdd1d;
  std::uint64_t position_ = 0;
  std::uint64_t flushes_ = 0;
  LatencyHistogram latencies_;
};

// Every block is written once, so that no measured write allocates.
Result<> RawDevice::fill_file() {
  constexpr std::size_t kChunk = std::size_t{1} << 20;
  const AlignedMemory chunk = allocate_aligned(kChunk);
  for (std::uint64_t offset = 0; offset < pattern_.file_bytes; offset += kChunk) {
    if (::pwrite(fd_, chunk.get(), kChunk, static_cast<off_t>(offset)) != ssize_t{kChunk}) {
      return system_error("filling the file", errno);
    }
  }
  return ::fsync(fd_) == 0 ? Result<>{} : system_error("fsync", errno);
}

Result<> RawDevice::make_ring() {
  io_uring_params parameters{};
  parameters.flags = IORING_SETUP_SINGLE_ISSUER | IORING_SETUP_DEFER_TASKRUN;
  if (const int made = ::io_uring_queue_init_params(2 * pattern_.depth + 2, &ring_, &parameters); made < 0) {
    return system_error("io_uring", -made);
  }
  ring_made_ = true;
  slots_.resize(pattern_.depth);
  const std::size_t bytes = std::size_t{pattern_.bytes} * pattern_.depth;
  memory_ = allocate_aligned(bytes);
  const iovec registered{.iov_base = memory_.get(), .iov_len = bytes};
  if (const int done = ::io_uring_register_buffers(&ring_, &registered, 1); done < 0) {
    return system_error("registering buffers", -done);
  }
  if (const int done = ::io_uring_register_files(&ring_, &fd_, 1); done < 0) {
    return system_error("registering the file", -done);
  }
  return {};
}

// The trials alternate and the best one counts: what disturbs a trial can only make it slower.
Result<> RawDevice::choose_way() {
  constexpr auto kTrial = std::chrono::milliseconds(20);
  constexpr unsigned kTrials = 5;
  struct Candidate {
    RawPattern::Sync sync;
    Way way;
    double best = 0;
  };
  std::vector<Candidate> candidates;
  if (pattern_.sync == RawPattern::Sync::kBest) {
    candidates = {{RawPattern::Sync::kWrite, Way::kRing}, {RawPattern::Sync::kGroup, Way::kRing}};
  } else {
    candidates = {{pattern_.sync, Way::kRing}};
  }
  if (is_in_memory(fd_)) candidates.push_back({candidates.front().sync, Way::kCalls});
  for (unsigned i = 0; i < kTrials && candidates.size() > 1; ++i) {
    for (Candidate& candidate : candidates) {
      sync_ = candidate.sync;
      way_ = candidate.way;
      TRY(const Measured trial, measure(kTrial));
      candidate.best = std::max(candidate.best, trial.value);
    }
  }
  const Candidate& best = *std::ranges::max_element(candidates, {}, &Candidate::best);
  sync_ = best.sync;
  way_ = best.way;
  return {};
}

std::uint64_t RawDevice::next_offset() {
  const std::uint64_t places = pattern_.file_bytes / pattern_.bytes;
  if (pattern_.sequential) return position_++ % places * pattern_.bytes;
  random_ ^= random_ >> 12;
  random_ ^= random_ << 25;
  random_ ^= random_ >> 27;
  return random_ % places * pattern_.bytes;
}

void RawDevice::start(unsigned index) {
  slots_[index] = {.begun = now(), .free = false};
  ++in_flight_;
  io_uring_sqe& entry = *::io_uring_get_sqe(&ring_);
  std::byte* data = memory_.get() + std::size_t{index} * pattern_.bytes;
  if (pattern_.kind == RawPattern::Kind::kRead) {
    ::io_uring_prep_read_fixed(&entry, 0, data, pattern_.bytes, next_offset(), 0);
  } else {
    ::io_uring_prep_write_fixed(&entry, 0, data, pattern_.bytes, next_offset(), 0);
    if (sync_ == RawPattern::Sync::kWrite) entry.rw_flags = RWF_DSYNC;
  }
  entry.flags |= IOSQE_FIXED_FILE;
  ::io_uring_sqe_set_data64(&entry, index);
}

void RawDevice::start_flush() {
  if (flush_in_flight_ || written_.empty()) return;
  flush_in_flight_ = true;
  ++flushes_;
  flushing_.swap(written_);
  io_uring_sqe& entry = *::io_uring_get_sqe(&ring_);
  ::io_uring_prep_fsync(&entry, 0, IORING_FSYNC_DATASYNC);
  entry.flags |= IOSQE_FIXED_FILE;
  ::io_uring_sqe_set_data64(&entry, kFlushTag);
}

void RawDevice::finish(unsigned index) {
  latencies_.record(now() - slots_[index].begun);
  slots_[index].free = true;
  --in_flight_;
}

Result<> RawDevice::reap() {
  io_uring_cqe* completion = nullptr;
  unsigned head = 0;
  unsigned count = 0;
  io_uring_for_each_cqe(&ring_, head, completion) {
    ++count;
    const bool flush = completion->user_data == kFlushTag;
    if (completion->res != (flush ? 0 : static_cast<int>(pattern_.bytes))) {
      return system_error("transfer", completion->res < 0 ? -completion->res : EIO);
    }
    if (flush) {
      flush_in_flight_ = false;
      for (const unsigned index : flushing_) finish(index);
      flushing_.clear();
    } else if (const auto index = static_cast<unsigned>(completion->user_data); sync_ == RawPattern::Sync::kGroup) {
      written_.push_back(index);
    } else {
      finish(index);
    }
  }
  ::io_uring_cq_advance(&ring_, count);
  return {};
}

Result<> RawDevice::loop(Instant end) {
  while (true) {
    if (now() < end) {
      for (unsigned index = 0; index < slots_.size(); ++index) {
        if (slots_[index].free) start(index);
      }
    } else if (in_flight_ == 0) {
      return {};
    }
    start_flush();
    if (const int done = ::io_uring_submit_and_wait(&ring_, 1); done < 0 && done != -EINTR) {
      return system_error("io_uring_enter", -done);
    }
    CHECK_OK(reap());
  }
}

// One transfer after the other, whatever the depth: a copy from or to memory has nothing to wait for.
Result<> RawDevice::loop_of_calls(Instant end) {
  const int flags = sync_ == RawPattern::Sync::kWrite ? RWF_DSYNC : 0;
  for (Instant begun = now(); begun < end;) {
    const auto offset = static_cast<off_t>(next_offset());
    const std::size_t slot = latencies_.count() % pattern_.depth;
    const iovec part{.iov_base = memory_.get() + slot * pattern_.bytes, .iov_len = pattern_.bytes};
    const ssize_t moved = pattern_.kind == RawPattern::Kind::kRead ? ::preadv2(fd_, &part, 1, offset, 0)
                                                                   : ::pwritev2(fd_, &part, 1, offset, flags);
    if (moved != static_cast<ssize_t>(pattern_.bytes)) return system_error("transfer", moved < 0 ? errno : EIO);
    const Instant done = now();
    latencies_.record(done - begun);
    begun = done;
  }
  return {};
}

}  // namespace

Result<std::unique_ptr<Side>> make_raw_device(const Setting& setting, RawPattern pattern) {
  auto device = std::make_unique<RawDevice>(pattern);
  CHECK_OK(device->prepare(setting.directory / "raw"));
  return device;
}

}  // namespace cenote::bench
