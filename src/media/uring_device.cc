#include "cenote/media/uring_device.h"

#include <fcntl.h>
#include <linux/falloc.h>
#include <linux/fs.h>
#include <sys/uio.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <optional>
#include <span>
#include <system_error>
#include <utility>
#include <vector>

#include "cenote/base/assert.h"
#include "cenote/base/format.h"
#include "cenote/runtime/sync.h"
#include "io_check.h"
#include "opened_file.h"
#include "uring_slabs.h"

namespace cenote::media {
namespace {

// One submission entry moves at most this much; longer requests continue like short ones.
constexpr std::uint64_t kEntryBytesMax = 1u << 30;
// A device that answers EAGAIN this often in a row will not stop.
constexpr unsigned kRepeatsMax = 100;
// Transfers up to this size of a file in memory are done at once: the kernel would hand each to a worker thread, which
// takes 20 to 40 us to begin, competes with reactors that poll and leaves the bytes in the caches of another core. They
// hold up nobody for longer than it takes to send or receive as much.
constexpr std::uint64_t kImmediateMax = 1u << 20;
// Neighbouring transfers that are done at once share a system call, up to so many and so much.
constexpr std::size_t kTogetherMax = 64;
constexpr std::uint64_t kTogetherBytesMax = 256u << 10;
// Slots of the ring's file table, which all devices and connections of a reactor share.
constexpr unsigned kFileSlots = 64;

Code code_of(int error) {
  switch (error) {
    case ENOSPC:
    case EDQUOT:
    case EFBIG:
      return Code::kDeviceFull;
    case ENODEV:
    case ENXIO:
      return Code::kDeviceDead;
    default:
      return Code::kIoError;
  }
}

}  // namespace

// Invariants:
//  - A slot is in `free_slots`, or it has a request and either exactly one entry in the ring or a place in `done`.
//  - A slot in `done` that is `waiting` has yet to be transferred, which happens when it is delivered, together with
//  its
//    neighbours; the result of any other is known.
//  - `delivery` is posted if and only if `done` is not empty, except while it is being delivered.
//  - `in_flight` counts the slots with a request, and the registration of the file while that is under way.
//  - `file.fd` is open until `release`; the ring's table then no longer holds the file either, so its lock is gone.
struct UringDevice::Impl {
  /// A request between submission and completion.
  struct Slot final : UringOperation, ListNode<struct DoneTag> {
    explicit Slot(Impl& owner) : device(owner) {}
    void complete(std::int32_t result, std::uint32_t) override { device.on_completion(*this, result); }

    Impl& device;
    IoRequest* request = nullptr;
    std::uint64_t done_bytes = 0;
    unsigned repeats = 0;
    bool waiting = false;        // for its transfer, which needs no ring
    std::int32_t immediate = 0;  // the result of what was done at once
    std::optional<Error> error;  // known before the kernel was asked
  };

  /// Does and completes what needs no ring. Mail to the own reactor: it comes in this turn or the next, costs no system
  /// call and keeps the loop from going to sleep before. What has come until then is done together.
  struct Delivery final : Mail {
    explicit Delivery(Impl& owner) : device(owner) {}
    void deliver() override { device.deliver_done(); }
    Impl& device;
  };

  /// Puts the file into the ring's table: operations then need not look up and hold the descriptor each time.
  struct FileRegistration final : UringOperation {
    explicit FileRegistration(Impl& owner) : device(owner) {}
    void complete(std::int32_t result, std::uint32_t) override {
      if (result == 1) device.fixed_file = slot;
      device.leave();
    }
    Impl& device;
    int slot = -1;  // the descriptor on the way in, the place in the table on the way out
    bool begun = false;
  };

  Impl(UringReactor& r, std::string device_path, OpenedFile opened)
      : reactor(r), path(std::move(device_path)), file(std::move(opened)), idle(r) {}
  ~Impl() {
    ASSERT(in_flight == 0);
    release();
  }

  void submit(IoRequest& request);
  void count(const IoRequest& request);
  void register_file();
  void start(Slot& slot);
  bool needs_kernel(const Slot& slot) const;
  bool is_immediate(const IoRequest& request) const;
  bool waits_here(const IoRequest& request) const;
  void wait_here(Slot& slot);
  void prepare_transfer(io_uring_sqe& entry, const Slot& slot);
  std::int32_t transfer(const Slot& slot) const;
  static bool continues(const Slot& slot, const Slot& next);
  void transfer_first(const Slot& last);
  void transfer_together(std::span<const iovec> parts, std::span<Slot* const> together);
  void deliver_later(Slot& slot, std::int32_t result);
  void deliver_done();
  void on_completion(Slot& slot, std::int32_t result);
  Result<> outcome(Slot& slot, std::int32_t result);
  void answer(Slot& slot, Result<> result);
  void leave();
  void release();
  Slot& take_slot();

  UringReactor& reactor;
  std::string path;
  OpenedFile file;
  Condition idle;
  DeviceCounters counters;
  DeviceHealth health;
  std::vector<std::unique_ptr<Slot>> slots;
  std::vector<Slot*> free_slots;
  IntrusiveList<Slot, DoneTag> done;
  Delivery delivery{*this};
  FileRegistration registration{*this};
  std::uint64_t in_flight = 0;
  int fixed_file = -1;
  bool can_discard = true;
  bool closed = false;
};

UringDevice::Impl::Slot& UringDevice::Impl::take_slot() {
  if (free_slots.empty()) {
    slots.push_back(std::make_unique<Slot>(*this));
    free_slots.reserve(slots.size());
    return *slots.back();
  }
  Slot& slot = *free_slots.back();
  free_slots.pop_back();
  return slot;
}

void UringDevice::Impl::submit(IoRequest& request) {
  Slot& slot = take_slot();
  slot.request = &request;
  request.begun = reactor.now();
  health.begun(request.begun);
  ++in_flight;
  if (closed) {
    slot.error = Error(Code::kDeviceDead, fmt::format("{}: the device is closed", describe(request, path)));
  } else if (Result<> checked = check_request(request, path, file.block_count); !checked) {
    slot.error = std::move(checked).error();
  } else {
    count(request);
    if (!registration.begun) register_file();
  }
  start(slot);
}

void UringDevice::Impl::count(const IoRequest& request) {
  switch (request.kind) {
    case IoKind::kRead:
      ++counters.reads;
      counters.read_bytes += request.bytes;
      break;
    case IoKind::kWrite:
      ++counters.writes;
      counters.written_bytes += request.bytes;
      break;
    case IoKind::kFlush:
      ++counters.flushes;
      break;
    case IoKind::kDiscard:
      ++counters.discards;
      break;
  }
}

void UringDevice::Impl::register_file() {
  registration.begun = true;
  // Whoever comes first makes the table (others get EBUSY); the kernel picks a free place in it.
  const int made = ::io_uring_register_files_sparse(&reactor.ring(), kFileSlots);
  if (made < 0 && made != -EBUSY) return;
  registration.slot = file.fd.get();
  ++in_flight;
  io_uring_sqe& entry = reactor.prepare(registration);
  ::io_uring_prep_files_update(&entry, &registration.slot, 1, static_cast<int>(IORING_FILE_INDEX_ALLOC));
}

// Also the continuation of a short or interrupted operation. An operation never completes inside `submit`: what needs
// no ring is delivered later.
void UringDevice::Impl::start(Slot& slot) {
  const IoRequest& request = *slot.request;
  if (!needs_kernel(slot)) return deliver_later(slot, 0);
  if (is_immediate(request)) {
    slot.waiting = true;
    return deliver_later(slot, 0);
  }
  if (waits_here(request)) return wait_here(slot);
  io_uring_sqe& entry = reactor.prepare(slot);
  switch (request.kind) {
    case IoKind::kRead:
    case IoKind::kWrite:
      prepare_transfer(entry, slot);
      break;
    case IoKind::kFlush:
      ::io_uring_prep_fsync(&entry, file.fd.get(), IORING_FSYNC_DATASYNC);
      break;
    case IoKind::kDiscard:
      ::io_uring_prep_fallocate(&entry, file.fd.get(), FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE,
                                static_cast<off_t>(request.first.value() * kBlockBytes),
                                static_cast<off_t>(request.bytes));
      break;
  }
  if (fixed_file >= 0) {
    entry.fd = fixed_file;
    entry.flags |= IOSQE_FIXED_FILE;
  }
}

// A flush of a file in memory is none: what was written there is as durable as it gets.
bool UringDevice::Impl::needs_kernel(const Slot& slot) const {
  if (slot.error) return false;
  if (slot.request->kind == IoKind::kDiscard) return can_discard;
  return slot.request->kind != IoKind::kFlush || !file.in_memory;
}

bool UringDevice::Impl::is_immediate(const IoRequest& request) const {
  if (!file.in_memory) return false;
  const bool moves = request.kind == IoKind::kRead || request.kind == IoKind::kWrite;
  return moves && request.bytes <= kImmediateMax;
}

// Where nobody would run meanwhile, the plain call saves the hand-over to a worker of the ring and back.
bool UringDevice::Impl::waits_here(const IoRequest& request) const {
  return request.kind != IoKind::kDiscard && reactor.may_block();
}

void UringDevice::Impl::wait_here(Slot& slot) {
  const bool flush = slot.request->kind == IoKind::kFlush;
  const std::int32_t result = flush ? (::fdatasync(file.fd.get()) == 0 ? 0 : -errno) : transfer(slot);
  reactor.has_blocked();
  deliver_later(slot, result);
}

/// Bytes moved or a negative error number, as the ring would answer. A file in memory has nothing that RWF_DSYNC would
/// make more durable, and the plain calls are the cheapest.
std::int32_t UringDevice::Impl::transfer(const Slot& slot) const {
  const IoRequest& request = *slot.request;
  std::byte* data = request.data + slot.done_bytes;
  const std::uint64_t bytes = std::min(request.bytes - slot.done_bytes, kEntryBytesMax);
  const auto offset = static_cast<off_t>(request.first.value() * kBlockBytes + slot.done_bytes);
  ssize_t moved = 0;
  if (request.kind == IoKind::kRead) {
    moved = ::pread(file.fd.get(), data, bytes, offset);
  } else if (file.in_memory || request.durability == Durability::kCached) {
    moved = ::pwrite(file.fd.get(), data, bytes, offset);
  } else {
    const iovec part{.iov_base = data, .iov_len = bytes};
    moved = ::pwritev2(file.fd.get(), &part, 1, offset, RWF_DSYNC);
  }
  return moved < 0 ? -errno : static_cast<std::int32_t>(moved);
}

/// Whether `next` goes on in the file where `slot` ends.
bool UringDevice::Impl::continues(const Slot& slot, const Slot& next) {
  const IoRequest& before = *slot.request;
  const IoRequest& request = *next.request;
  return next.waiting && request.kind == before.kind && next.done_bytes == 0 &&
         request.first.value() * kBlockBytes == before.first.value() * kBlockBytes + before.bytes;
}

/// Transfers the first slot of `done` and those behind it that go on where it ends, none after `last`.
void UringDevice::Impl::transfer_first(const Slot& last) {
  std::array<iovec, kTogetherMax> parts;
  std::array<Slot*, kTogetherMax> together;
  std::size_t count = 0;
  std::uint64_t bytes = 0;
  for (Slot* slot = done.front(); count < kTogetherMax; slot = done.next(*slot)) {
    const IoRequest& request = *slot->request;
    const std::uint64_t rest = request.bytes - slot->done_bytes;
    if (count > 0 && (!continues(*together[count - 1], *slot) || bytes + rest > kTogetherBytesMax)) break;
    parts[count] = {.iov_base = request.data + slot->done_bytes, .iov_len = rest};
    together[count++] = slot;
    bytes += rest;
    if (slot == &last) break;
  }
  if (count > 1) return transfer_together({parts.data(), count}, {together.data(), count});
  together[0]->waiting = false;
  together[0]->immediate = transfer(*together[0]);
}

/// Of a file in memory. Each slot gets its bytes or a negative error number, as the ring would answer; what a short
/// transfer did not reach is tried again.
void UringDevice::Impl::transfer_together(std::span<const iovec> parts, std::span<Slot* const> together) {
  const IoRequest& request = *together[0]->request;
  const auto offset = static_cast<off_t>(request.first.value() * kBlockBytes + together[0]->done_bytes);
  const auto count = static_cast<int>(parts.size());
  const ssize_t moved = request.kind == IoKind::kRead ? ::preadv(file.fd.get(), parts.data(), count, offset)
                                                      : ::pwritev(file.fd.get(), parts.data(), count, offset);
  const int error = errno;
  auto left = static_cast<std::uint64_t>(std::max<ssize_t>(moved, 0));
  for (std::size_t i = 0; i < parts.size(); ++i) {
    const std::uint64_t own = std::min<std::uint64_t>(left, parts[i].iov_len);
    left -= own;
    together[i]->waiting = false;
    together[i]->immediate = static_cast<std::int32_t>(own);
    // An error, or the end of the file, is the first one's; the others are tried by themselves.
    if (own == 0 && i > 0) together[i]->immediate = -EAGAIN;
    if (moved < 0 && i == 0) together[i]->immediate = -error;
  }
}

void UringDevice::Impl::deliver_later(Slot& slot, std::int32_t result) {
  slot.immediate = result;
  if (done.empty()) reactor.post(delivery);
  done.push_back(slot);
}

// Whoever is answered may submit more, which waits for the next delivery, and after the last answer may destroy the
// device.
void UringDevice::Impl::deliver_done() {
  const Slot* const last = done.back();
  for (bool more = true; more;) {
    if (done.front()->waiting) transfer_first(*last);
    Slot& slot = *done.pop_front();
    more = &slot != last;
    if (!more && !done.empty()) reactor.post(delivery);
    on_completion(slot, slot.immediate);
  }
}

void UringDevice::Impl::prepare_transfer(io_uring_sqe& entry, const Slot& slot) {
  const IoRequest& request = *slot.request;
  std::byte* data = request.data + slot.done_bytes;
  const auto bytes = static_cast<unsigned>(std::min(request.bytes - slot.done_bytes, kEntryBytesMax));
  const std::uint64_t offset = request.first.value() * kBlockBytes + slot.done_bytes;
  const int fd = file.fd.get();
  const int index = request.registered_index;
  if (request.kind == IoKind::kRead) {
    if (index >= 0) {
      ::io_uring_prep_read_fixed(&entry, fd, data, bytes, offset, index);
    } else {
      ::io_uring_prep_read(&entry, fd, data, bytes, offset);
    }
    return;
  }
  if (index >= 0) {
    ::io_uring_prep_write_fixed(&entry, fd, data, bytes, offset, index);
  } else {
    ::io_uring_prep_write(&entry, fd, data, bytes, offset);
  }
  if (request.durability == Durability::kDurable) entry.rw_flags = RWF_DSYNC;
}

void UringDevice::Impl::on_completion(Slot& slot, std::int32_t result) {
  if (slot.error) return answer(slot, fail(*std::move(slot.error)));
  if ((result == -EINTR || result == -EAGAIN) && slot.repeats < kRepeatsMax) {
    ++slot.repeats;
    return start(slot);
  }
  const IoKind kind = slot.request->kind;
  if (result > 0 && (kind == IoKind::kRead || kind == IoKind::kWrite)) {
    slot.done_bytes += static_cast<std::uint64_t>(result);
    slot.repeats = 0;
    if (slot.done_bytes < slot.request->bytes) return start(slot);
  }
  answer(slot, outcome(slot, result));
}

Result<> UringDevice::Impl::outcome(Slot& slot, std::int32_t result) {
  const IoRequest& request = *slot.request;
  const bool transfer = request.kind == IoKind::kRead || request.kind == IoKind::kWrite;
  if (transfer && result == 0) {
    return failf(Code::kIoError, "{}: the file has become shorter; was it truncated?", describe(request, path));
  }
  if (result >= 0) return {};
  if (request.kind == IoKind::kDiscard && (result == -EOPNOTSUPP || result == -ENOSYS)) {
    can_discard = false;
    return {};
  }
  return failf(code_of(-result), "{}: {}", describe(request, path), std::generic_category().message(-result));
}

// The last thing that may touch the device: whoever is answered may destroy it.
void UringDevice::Impl::answer(Slot& slot, Result<> result) {
  if (!result) ++counters.errors;
  IoRequest& request = *slot.request;
  const Instant now = reactor.now();
  health.ended(request.kind, now - request.begun, !result, now);
  slot.request = nullptr;
  slot.done_bytes = 0;
  slot.repeats = 0;
  slot.error.reset();
  free_slots.push_back(&slot);
  leave();
  request.complete(std::move(result));
}

void UringDevice::Impl::leave() {
  ASSERT(in_flight > 0);
  if (--in_flight == 0) idle.notify_all();
}

void UringDevice::Impl::release() {
  if (fixed_file >= 0) {
    const int none = -1;
    ::io_uring_register_files_update(&reactor.ring(), static_cast<unsigned>(fixed_file), &none, 1);
    fixed_file = -1;
  }
  file.fd.reset();
}

UringDevice::UringDevice(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
UringDevice::~UringDevice() = default;

Result<std::unique_ptr<UringDevice>> UringDevice::open(UringReactor& reactor, std::string path,
                                                       UringDeviceOptions options) {
  TRY(OpenedFile file, open_file(path, options));
  auto impl = std::make_unique<Impl>(reactor, std::move(path), std::move(file));
  return std::unique_ptr<UringDevice>(new UringDevice(std::move(impl)));
}

std::uint64_t UringDevice::block_count() const { return impl_->file.block_count; }

Result<std::uint64_t> UringDevice::measure() {
  TRY(const std::uint64_t blocks, measure_file(impl_->file.fd.get(), impl_->path));
  impl_->file.block_count = std::max(impl_->file.block_count, blocks);
  return blocks;
}
const std::string& UringDevice::name() const { return impl_->path; }
bool UringDevice::prefers_durable_writes() const { return impl_->file.prefers_durable_writes; }
void UringDevice::submit(IoRequest& request) { impl_->submit(request); }
DeviceCounters UringDevice::counters() const { return impl_->counters; }
DeviceHealth& UringDevice::health() { return impl_->health; }
bool UringDevice::direct() const { return impl_->file.direct; }

Task<> UringDevice::close() {
  impl_->closed = true;
  while (impl_->in_flight > 0) (void)co_await impl_->idle.wait(Until::forever());
  impl_->release();
}

Result<> UringDevice::register_buffers(BufferPool& pool) {
  if (pool.registered()) return {};
  TRY(auto slabs, UringSlabs::create(impl_->reactor, pool.budget_bytes() / BufferPool::kMaxBufferBytes + 1));
  pool.register_slabs(std::move(slabs));
  return {};
}

}  // namespace cenote::media
