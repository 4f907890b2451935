#include "cenote/runtime/uring_reactor.h"

#include <sched.h>
#include <sys/eventfd.h>
#include <sys/random.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <ctime>
#include <optional>
#include <system_error>
#include <thread>
#include <vector>

#include "cenote/base/format.h"
#include "cenote/runtime/random.h"
#include "mailbox.h"
#include "ready_queue.h"
#include "spin_policy.h"
#include "timer_queue.h"

namespace cenote {
namespace {

// A turn runs at most this many coroutines before it looks at timers and completions again,
constexpr std::size_t kBatch = 128;
// and goes at most this often through what its own work has led to: on a device that answers at once a request is
// written, logged and answered in four rounds, and the kernel is asked once for all of it.
constexpr unsigned kRounds = 6;
// Completion entries per submission entry: bursts beyond go to the kernel's overflow list, which costs an allocation
// each.
constexpr unsigned kCompletionsPerEntry = 4;
constexpr unsigned kMaxQueueEntries = 32768;
// An idle loop looks for work this often between two looks at the clock, which cost more than all of these: one to two
// microseconds, by which a timer may be late.
constexpr unsigned kPollsPerClockRead = 32;

Duration read_clock(clockid_t clock) {
  timespec time{};
  ::clock_gettime(clock, &time);
  return std::chrono::seconds(time.tv_sec) + Duration(time.tv_nsec);
}
Instant monotonic_now() { return Instant(read_clock(CLOCK_MONOTONIC)); }

std::string reason(int error) { return std::generic_category().message(error); }

void fill_from_kernel(MutableBytes into) {
  // So many bytes come whole or not at all once the kernel's pool is ready, and before that the call waits.
  constexpr std::size_t kAtOnce = 256;
  while (!into.empty()) {
    const MutableBytes part = into.first(std::min(into.size(), kAtOnce));
    ASSERT(::getrandom(part.data(), part.size(), 0) == static_cast<ssize_t>(part.size()));
    into = into.subspan(part.size());
  }
}

std::uint64_t random_seed() {
  std::uint64_t seed = 0;
  fill_from_kernel(std::as_writable_bytes(std::span(&seed, 1)));
  return seed;
}

void pause_cpu() {
#if defined(__x86_64__)
  __builtin_ia32_pause();
#elif defined(__aarch64__)
  asm volatile("isb" ::: "memory");
#endif
}

bool cpu_available(int cpu) {
  cpu_set_t allowed;
  return cpu < CPU_SETSIZE && ::sched_getaffinity(0, sizeof allowed, &allowed) == 0 && CPU_ISSET(cpu, &allowed);
}

/// Best first. The ring starts disabled, so that it binds to the thread that enables it and not to its maker's.
constexpr std::array<unsigned, 3> kRingFlags = {
    IORING_SETUP_SUBMIT_ALL | IORING_SETUP_SINGLE_ISSUER | IORING_SETUP_COOP_TASKRUN | IORING_SETUP_DEFER_TASKRUN |
        IORING_SETUP_TASKRUN_FLAG,
    IORING_SETUP_SUBMIT_ALL | IORING_SETUP_COOP_TASKRUN | IORING_SETUP_TASKRUN_FLAG,
    0,
};

/// Zero or an error number.
int open_ring(io_uring& ring, unsigned entries) {
  int result = 0;
  for (const unsigned flags : kRingFlags) {
    io_uring_params params{};
    params.flags = flags | IORING_SETUP_R_DISABLED | IORING_SETUP_CQSIZE | IORING_SETUP_CLAMP;
    params.cq_entries = entries * kCompletionsPerEntry;
    result = -::io_uring_queue_init_params(entries, &ring, &params);
    if (result != EINVAL) return result;
  }
  return result;
}

struct Completion {
  UringOperation* operation;
  std::int32_t result;
  std::uint32_t flags;
};

}  // namespace

/// Invariants: everything but the atomics belongs to the running thread. `asleep` is true only while that thread is in,
/// or about to enter, a wait in the kernel; who turns it false owes the write to `wake_fd` that ends the wait. A read
/// of `wake_fd` is always prepared or in flight once the loop has begun. `in_flight` counts the operations of users,
/// not that read.
struct UringReactor::Impl {
  /// Ends a sleep in the kernel when another thread writes `wake_fd`.
  class WakeOperation final : public UringOperation {
   public:
    explicit WakeOperation(Impl& impl) : impl_(impl) {}
    void prepare() {
      io_uring_sqe& entry = impl_.free_entry();
      ::io_uring_prep_read(&entry, impl_.wake_fd, &count_, sizeof count_, 0);
      ::io_uring_sqe_set_data(&entry, static_cast<UringOperation*>(this));
      prepared_ = true;
    }
    void complete(std::int32_t, std::uint32_t) override { prepare(); }
    bool prepared() const { return prepared_; }

   private:
    Impl& impl_;
    std::uint64_t count_ = 0;
    bool prepared_ = false;
  };

  UringReactorOptions options;
  io_uring ring{};
  int wake_fd = -1;
  bool ring_open = false;
  bool enabled = false;
  bool running = false;
  const bool* done = nullptr;  // what ends the running loop; null: stop_requested
  std::thread::id owner;
  Instant turn_start{};
  std::optional<Instant> idle_since;  // the first turn without work, if the last one had none
  SpinPolicy spin;
  std::optional<WallTime> wall;  // of this turn, once somebody asked
  ReadyQueue ready;
  ReadyQueue next_turn;  // those that yielded
  TimerQueue timers;
  IntrusiveList<TurnEnd, TurnEndTag> turn_ends;
  Random random{random_seed()};
  WakeOperation wake_operation{*this};
  // Completions taken from the ring to make room in the middle of a turn; older than all that is in the ring.
  std::vector<Completion> backlog;
  std::size_t backlog_next = 0;
  std::uint64_t in_flight = 0;
  std::uint64_t system_calls = 0;

  // Shared with other threads, on a cache line of their own.
  alignas(64) Mailbox mailbox;
  std::atomic<bool> asleep{false};
  std::atomic<bool> stop_requested{false};
  // Threads inside `post` or `stop`: a poster still looks at this reactor after its mail may have been delivered, and
  // the delivery may be what lets the owner destroy the reactor.
  std::atomic<std::uint32_t> visitors{0};
  std::atomic<std::uint64_t> wake_ups{0};
  std::atomic<std::thread::id> runner;

  explicit Impl(UringReactorOptions given) : options(given), spin(given.spin, given.spin_max) {}
  ~Impl();

  bool on_own_thread() const {
    const std::thread::id thread = runner.load(std::memory_order_relaxed);
    return thread == std::thread::id() || thread == std::this_thread::get_id();
  }
  /// Holds between turns, on the running thread.
  void check_invariants() const {
    ASSERT(running && !asleep.load(std::memory_order_relaxed));
    ASSERT(wake_operation.prepared() && backlog_next <= backlog.size());
    timers.check_invariants();
  }
  bool leaving() const { return done != nullptr ? *done : stop_requested.load(std::memory_order_seq_cst); }
  void bind_to_thread();
  void loop(const bool* until_done);
  void turn();
  std::size_t run_rounds();
  std::size_t run_ready(std::size_t at_most);
  bool has_ready() const { return !ready.empty() || !next_turn.empty(); }
  bool idle_for_long(bool worked);
  void note_work();
  void poll();
  bool kernel_has_work() const;
  void enter();
  void enter_and_wait();
  void check_entered(int result);
  std::optional<Completion> next_completion();
  std::optional<Completion> take_from_ring();
  std::size_t reap();
  io_uring_sqe& free_entry();
  void submit_early();
  void wake();
};

UringReactor::Impl::~Impl() {
  ASSERT(!running && in_flight == 0);
  while (visitors.load(std::memory_order_acquire) != 0) std::this_thread::yield();
  if (ring_open) ::io_uring_queue_exit(&ring);
  if (wake_fd >= 0) ::close(wake_fd);
}

void UringReactor::Impl::bind_to_thread() {
  if (!enabled) {
    // liburing 2.3 declares io_uring_enable_rings and does not export it.
    ASSERT(::syscall(__NR_io_uring_register, ring.ring_fd, IORING_REGISTER_ENABLE_RINGS, nullptr, 0) == 0);
    enabled = true;
    owner = std::this_thread::get_id();
  }
  ASSERT(owner == std::this_thread::get_id());
}

void UringReactor::Impl::loop(const bool* until_done) {
  ASSERT(!running);
  bind_to_thread();
  running = true;
  done = until_done;
  runner.store(owner, std::memory_order_relaxed);
  if (!wake_operation.prepared()) wake_operation.prepare();
  idle_since.reset();
  do {
    turn();
  } while (!leaving());
  check_invariants();
  runner.store({}, std::memory_order_relaxed);
  running = false;
}

void UringReactor::Impl::turn() {
  turn_start = monotonic_now();
  wall.reset();
  const std::size_t worked = run_rounds();
  if (worked > 0) note_work();
  if (!has_ready() && !leaving() && idle_for_long(worked > 0)) {
    enter_and_wait();
  } else if (::io_uring_sq_ready(&ring) > 0 || kernel_has_work()) {
    enter();
  }
  if (reap() > 0) {
    note_work();
  } else if (worked == 0) {
    poll();
  }
}

/// Whether this turn, which did some work or none, ends in a sleep. Idleness counts from the end of the last work, not
/// from its beginning, which after a long turn would be long ago.
bool UringReactor::Impl::idle_for_long(bool worked) {
  if (worked) return spin.limit(turn_start) == Duration::zero();
  if (!idle_since) idle_since = turn_start;
  return turn_start - *idle_since >= spin.limit(turn_start);
}

void UringReactor::Impl::note_work() {
  if (!idle_since) return;
  spin.pause_ended(turn_start - *idle_since);
  idle_since.reset();
}

/// Waits a moment for something that the next turn would do. Then whoever else wants this processor has it: on a
/// machine with more reactors than processors that is often the one whose answer is waited for, and the scheduler would
/// let it wait until the end of the time slice.
void UringReactor::Impl::poll() {
  for (unsigned i = 0; i < kPollsPerClockRead; ++i) {
    if (::io_uring_cq_ready(&ring) > 0 || kernel_has_work() || !mailbox.empty() || leaving()) return;
    pause_cpu();
  }
  const Instant left = monotonic_now();
  ::sched_yield();
  spin.left_to_others(left, monotonic_now());
}

/// Runs what is ready, due or delivered and what that leads to, and counts it. What waits for the end of the turn waits
/// until nobody is ready any more, so that it takes as much as possible along, and may lead to more.
std::size_t UringReactor::Impl::run_rounds() {
  for (std::size_t i = next_turn.size(); i > 0; --i) ready.push(next_turn.pop());
  std::size_t resumed = 0;
  std::size_t others = timers.fire_due(turn_start);
  for (unsigned round = 1; round <= kRounds; ++round) {
    resumed += run_ready(kBatch - resumed);
    others += mailbox.deliver_all();
    const bool last = round == kRounds || resumed == kBatch;
    if (!last && !ready.empty()) continue;
    while (TurnEnd* work = turn_ends.pop_front()) work->at_turn_end();
    if (last || (ready.empty() && mailbox.empty())) break;
  }
  return resumed + others;
}

std::size_t UringReactor::Impl::run_ready(std::size_t at_most) {
  std::size_t count = 0;
  for (; count < at_most && !ready.empty(); ++count) ready.pop().resume();
  return count;
}

/// Whether completions wait for this thread to enter the kernel.
bool UringReactor::Impl::kernel_has_work() const {
  return (IO_URING_READ_ONCE(*ring.sq.kflags) & (IORING_SQ_TASKRUN | IORING_SQ_CQ_OVERFLOW)) != 0;
}

/// Submits what was prepared and lets the kernel finish what it has ready, in one call.
void UringReactor::Impl::enter() {
  ++system_calls;
  check_entered(::io_uring_submit_and_get_events(&ring));
}

/// Submits what was prepared and sleeps until a completion, a timer or a wake-up.
void UringReactor::Impl::enter_and_wait() {
  // The store comes before the looks at mailbox and stop flag, in the one order of sequentially consistent operations;
  // post and stop do the reverse.
  asleep.store(true, std::memory_order_seq_cst);
  if (mailbox.empty() && !leaving() && backlog.empty() && ::io_uring_cq_ready(&ring) == 0) {
    ++system_calls;
    io_uring_cqe* first = nullptr;
    if (timers.empty()) {
      check_entered(::io_uring_submit_and_wait(&ring, 1));
    } else {
      const Duration rest = std::max(timers.next() - monotonic_now(), Duration::zero());
      const auto seconds = std::chrono::duration_cast<std::chrono::seconds>(rest);
      __kernel_timespec timeout{.tv_sec = seconds.count(), .tv_nsec = (rest - seconds).count()};
      check_entered(::io_uring_submit_and_wait_timeout(&ring, &first, 1, &timeout, nullptr));
    }
  } else if (::io_uring_sq_ready(&ring) > 0) {
    enter();
  }
  asleep.store(false, std::memory_order_relaxed);
  turn_start = monotonic_now();
  wall.reset();
}

void UringReactor::Impl::check_entered(int result) {
  // Nothing was lost in any of these: a timeout, a signal, or no room in the kernel at this moment, so that entries
  // stay in the queue for the next turn.
  ASSERT(result >= 0 || result == -ETIME || result == -EINTR || result == -EAGAIN || result == -EBUSY ||
         result == -ENOMEM);
}

std::optional<Completion> UringReactor::Impl::take_from_ring() {
  const unsigned head = *ring.cq.khead;
  if (head == io_uring_smp_load_acquire(ring.cq.ktail)) return std::nullopt;
  const io_uring_cqe& entry = ring.cq.cqes[head & ring.cq.ring_mask];
  const Completion completion{static_cast<UringOperation*>(::io_uring_cqe_get_data(&entry)), entry.res, entry.flags};
  ::io_uring_cq_advance(&ring, 1);
  return completion;
}

std::optional<Completion> UringReactor::Impl::next_completion() {
  if (backlog_next < backlog.size()) return backlog[backlog_next++];
  backlog.clear();
  backlog_next = 0;
  return take_from_ring();
}

/// Completes what had arrived when it was called.
std::size_t UringReactor::Impl::reap() {
  const std::size_t count = backlog.size() - backlog_next + ::io_uring_cq_ready(&ring);
  for (std::size_t i = 0; i < count; ++i) {
    // `complete` may resume coroutines that prepare more, so the entry is given back before.
    const std::optional<Completion> completion = next_completion();
    if (!completion) return i;
    const bool last = (completion->flags & IORING_CQE_F_MORE) == 0;
    if (last && completion->operation != &wake_operation) --in_flight;
    completion->operation->complete(completion->result, completion->flags);
  }
  return count;
}

io_uring_sqe& UringReactor::Impl::free_entry() {
  io_uring_sqe* entry = ::io_uring_get_sqe(&ring);
  while (entry == nullptr) {
    submit_early();
    entry = ::io_uring_get_sqe(&ring);
  }
  return *entry;
}

/// Makes room in the submission queue in the middle of a turn. The kernel may refuse until completions are taken, which
/// must not run here, inside some coroutine's `prepare`: they are set aside.
void UringReactor::Impl::submit_early() {
  bind_to_thread();
  ++system_calls;
  const int result = ::io_uring_submit(&ring);
  check_entered(result);
  if (result > 0) return;
  while (const std::optional<Completion> completion = take_from_ring()) backlog.push_back(*completion);
  ++system_calls;
  check_entered(::io_uring_get_events(&ring));
}

/// Any thread's, after it left mail or a request to stop.
void UringReactor::Impl::wake() {
  if (!asleep.load(std::memory_order_seq_cst) || !asleep.exchange(false, std::memory_order_seq_cst)) return;
  wake_ups.fetch_add(1, std::memory_order_relaxed);
  const std::uint64_t one = 1;
  ASSERT(::write(wake_fd, &one, sizeof one) == sizeof one);
}

UringReactor::UringReactor(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
UringReactor::~UringReactor() = default;

Result<std::unique_ptr<UringReactor>> UringReactor::create(UringReactorOptions options) {
  if (options.queue_entries == 0 || options.queue_entries > kMaxQueueEntries)
    return failf(Code::kInvalidArgument, "queue_entries is {}, must be 1 to {}", options.queue_entries,
                 kMaxQueueEntries);
  if (options.cpu >= 0 && !cpu_available(options.cpu))
    return failf(Code::kInvalidArgument, "CPU {} is not among those this process may run on", options.cpu);
  auto impl = std::make_unique<Impl>(options);
  if (const int error = open_ring(impl->ring, options.queue_entries); error != 0)
    return failf(Code::kIoError,
                 "cannot create an io_uring: {}; check 'sysctl kernel.io_uring_disabled', the container's seccomp "
                 "profile and 'ulimit -n'",
                 reason(error));
  impl->ring_open = true;
  // Without it liburing makes timeouts operations of its own, whose completions would not be ours.
  if ((impl->ring.features & IORING_FEAT_EXT_ARG) == 0)
    return failf(Code::kIoError, "the io_uring of this kernel is too old: Linux 5.11 or newer is needed");
  // Blocking: the ring answers a read of a non-blocking descriptor at once instead of waiting for the write.
  impl->wake_fd = ::eventfd(0, EFD_CLOEXEC);
  if (impl->wake_fd < 0) return failf(Code::kIoError, "cannot create an eventfd: {}", reason(errno));
  return std::unique_ptr<UringReactor>(new UringReactor(std::move(impl)));
}

Instant UringReactor::now() const { return impl_->running ? impl_->turn_start : monotonic_now(); }
WallTime UringReactor::wall_now() const {
  if (!impl_->running) return WallTime(read_clock(CLOCK_REALTIME));
  if (!impl_->wall) impl_->wall = WallTime(read_clock(CLOCK_REALTIME));
  return *impl_->wall;
}
WallTime UringReactor::read_wall_clock() {
  impl_->wall.reset();
  return wall_now();
}
std::uint64_t UringReactor::random() { return impl_->random.next(); }
void UringReactor::fill_secret(MutableBytes into) { fill_from_kernel(into); }

void UringReactor::schedule(std::coroutine_handle<> handle) {
  ASSERT(impl_->on_own_thread());
  impl_->ready.push(handle);
}
void UringReactor::schedule_next_turn(std::coroutine_handle<> handle) {
  ASSERT(impl_->on_own_thread());
  impl_->next_turn.push(handle);
}
void UringReactor::arm(Timer& timer, Instant at) {
  ASSERT(impl_->on_own_thread());
  impl_->timers.arm(timer, at);
}
void UringReactor::disarm(Timer& timer) { impl_->timers.disarm(timer); }

void UringReactor::post(Mail& mail) {
  impl_->visitors.fetch_add(1, std::memory_order_relaxed);
  if (impl_->mailbox.push(mail)) impl_->wake();
  impl_->visitors.fetch_sub(1, std::memory_order_release);
}

bool UringReactor::is_current() const {
  return impl_->runner.load(std::memory_order_relaxed) == std::this_thread::get_id();
}

void UringReactor::run() {
  if (impl_->options.cpu >= 0) {
    cpu_set_t set;
    CPU_ZERO(&set);
    CPU_SET(impl_->options.cpu, &set);
    // The CPU was available at `create`; if it no longer is, running unpinned is slower and still right.
    ::sched_setaffinity(0, sizeof set, &set);
  }
  impl_->loop(nullptr);
  impl_->stop_requested.store(false, std::memory_order_relaxed);
}

void UringReactor::stop() {
  impl_->visitors.fetch_add(1, std::memory_order_relaxed);
  impl_->stop_requested.store(true, std::memory_order_seq_cst);
  impl_->wake();
  impl_->visitors.fetch_sub(1, std::memory_order_release);
}

void UringReactor::run_until_done(const bool& done) { impl_->loop(&done); }

io_uring_sqe& UringReactor::prepare(UringOperation& operation) {
  ASSERT(impl_->on_own_thread());
  io_uring_sqe& entry = impl_->free_entry();
  ::io_uring_prep_nop(&entry);
  ::io_uring_sqe_set_data(&entry, &operation);
  ++impl_->in_flight;
  return entry;
}

void UringReactor::at_turn_end(TurnEnd& work) {
  ASSERT(impl_->on_own_thread());
  if (!work.linked()) impl_->turn_ends.push_back(work);
}

void UringReactor::reserve_entries(unsigned entries) {
  ASSERT(entries <= impl_->options.queue_entries);
  while (::io_uring_sq_space_left(&impl_->ring) < entries) impl_->submit_early();
}

void UringReactor::submit_prepared() {
  ASSERT(impl_->on_own_thread());
  if (::io_uring_sq_ready(&impl_->ring) == 0) return;
  impl_->bind_to_thread();
  ++impl_->system_calls;
  impl_->check_entered(::io_uring_submit(&impl_->ring));
}

io_uring& UringReactor::ring() { return impl_->ring; }
std::uint64_t UringReactor::operations_in_flight() const { return impl_->in_flight; }
bool UringReactor::may_block() const {
  return impl_->done != nullptr && impl_->in_flight == 0 && !impl_->has_ready() && impl_->turn_ends.empty() &&
         impl_->mailbox.empty();
}
void UringReactor::has_blocked() {
  impl_->turn_start = monotonic_now();
  impl_->wall.reset();
}
std::uint64_t UringReactor::system_calls() const { return impl_->system_calls; }
std::uint64_t UringReactor::wake_ups() const { return impl_->wake_ups.load(std::memory_order_relaxed); }

}  // namespace cenote
