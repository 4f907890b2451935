#include "bare_echo.h"

#include <liburing.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sched.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cstdlib>
#include <ctime>
#include <new>
#include <span>
#include <vector>

#include "cenote/base/assert.h"

namespace cenote::bench {
namespace {

// NOLINTNEXTLINE(cppcoreguidelines-avoid-non-const-global-variables): operator new has no object to count in
thread_local std::uint64_t allocations = 0;

using Clock = std::chrono::steady_clock;
constexpr auto kSpin = std::chrono::microseconds(200);
constexpr std::size_t kStagingBytes = 64u << 10;
enum class What : std::uint64_t { kReceive = 1, kSend = 2 };

void pin(int cpu) {
  cpu_set_t set;
  CPU_ZERO(&set);
  CPU_SET(static_cast<unsigned>(cpu), &set);
  ASSERT(sched_setaffinity(0, sizeof set, &set) == 0);
}

/// Where messages of one size lie: small ones in one piece of memory that they all pass through, large ones in a place
/// for each that can be under way, as there would be in programs that use them.
class Places {
 public:
  Places(std::uint32_t message_bytes, std::uint32_t depth)
      : message_bytes_(message_bytes),
        large_(message_bytes > kStagingBytes),
        memory_(large_ ? std::size_t{message_bytes} * depth : kStagingBytes) {}

  /// What may follow the first `done` bytes of the present message.
  std::span<char> rest(std::size_t done) {
    const std::size_t end = large_ ? message_bytes_ : memory_.size();
    return std::span(memory_).subspan(begin_ + done, end - done);
  }
  void next_message() {
    if (large_) begin_ = (begin_ + message_bytes_) % memory_.size();
  }

 private:
  std::uint32_t message_bytes_;
  bool large_;
  std::vector<char> memory_;
  std::size_t begin_ = 0;
};

/// One side: receives messages of one size and owes one of another size for each.
class Side {
 public:
  Side(int socket, std::uint32_t in_bytes, std::uint32_t out_bytes, std::uint32_t depth)
      : socket_(socket), in_bytes_(in_bytes), out_bytes_(out_bytes), in_(in_bytes, depth), out_(out_bytes, depth) {
    const unsigned flags = IORING_SETUP_SUBMIT_ALL | IORING_SETUP_SINGLE_ISSUER | IORING_SETUP_COOP_TASKRUN |
                           IORING_SETUP_DEFER_TASKRUN | IORING_SETUP_TASKRUN_FLAG;
    ASSERT(io_uring_queue_init(64, &ring_, flags) == 0);
  }
  ~Side() {
    io_uring_queue_exit(&ring_);
    ::close(socket_);
  }

  void owe(std::uint64_t messages) { owed_bytes_ += messages * out_bytes_; }
  std::uint64_t received() const { return received_; }
  std::uint64_t system_calls() const { return system_calls_; }

  /// Until `messages` have come, or the other side has closed. `answer`: owes a message for each that comes, but no
  /// more than `answers` in all.
  void run(std::uint64_t messages, std::uint64_t answers) {
    answers_ = answers;
    while (received_ < messages && !closed_) {
      begin_receive();
      begin_send();
      enter();
      reap();
    }
  }

 private:
  void begin_receive() {
    if (receiving_) return;
    receiving_ = true;
    io_uring_sqe* entry = io_uring_get_sqe(&ring_);
    const std::span<char> into = in_.rest(partial_);
    io_uring_prep_recv(entry, socket_, into.data(), into.size(), 0);
    io_uring_sqe_set_data64(entry, static_cast<std::uint64_t>(What::kReceive));
  }
  void begin_send() {
    if (sending_ || owed_bytes_ == 0) return;
    sending_ = true;
    io_uring_sqe* entry = io_uring_get_sqe(&ring_);
    // The bytes are all alike; where among small messages a partial send stopped does not matter.
    const std::span<char> from = out_.rest(out_partial_);
    io_uring_prep_send(entry, socket_, from.data(), std::min<std::uint64_t>(owed_bytes_, from.size()), MSG_NOSIGNAL);
    io_uring_sqe_set_data64(entry, static_cast<std::uint64_t>(What::kSend));
  }

  bool kernel_has_work() const {
    return (IO_URING_READ_ONCE(*ring_.sq.kflags) & (IORING_SQ_TASKRUN | IORING_SQ_CQ_OVERFLOW)) != 0;
  }
  /// Submits, then spins for a while and sleeps, as the reactor does.
  void enter() {
    if (io_uring_sq_ready(&ring_) > 0) {
      ++system_calls_;
      io_uring_submit_and_get_events(&ring_);
    }
    const auto end = Clock::now() + kSpin;
    while (io_uring_cq_ready(&ring_) == 0) {
      if (kernel_has_work()) {
        ++system_calls_;
        io_uring_get_events(&ring_);
      } else if (Clock::now() >= end) {
        ++system_calls_;
        io_uring_submit_and_wait(&ring_, 1);
      }
    }
  }

  void reap() {
    io_uring_cqe* entry = nullptr;
    while (io_uring_peek_cqe(&ring_, &entry) == 0) {
      const auto what = static_cast<What>(io_uring_cqe_get_data64(entry));
      const int result = entry->res;
      io_uring_cqe_seen(&ring_, entry);
      if (what == What::kSend) {
        sending_ = false;
        if (result <= 0) closed_ = true;
        if (result > 0) left(static_cast<std::size_t>(result));
      } else {
        receiving_ = false;
        if (result <= 0) closed_ = true;
        if (result > 0) arrived(static_cast<std::size_t>(result));
      }
    }
  }
  void left(std::size_t bytes) {
    owed_bytes_ -= bytes;
    if (out_bytes_ <= kStagingBytes) return;
    out_partial_ += bytes;
    if (out_partial_ < out_bytes_) return;
    out_partial_ = 0;
    out_.next_message();
  }
  void arrived(std::size_t bytes) {
    partial_ += bytes;
    const std::uint64_t whole = partial_ / in_bytes_;
    partial_ %= in_bytes_;
    if (whole > 0) in_.next_message();
    received_ += whole;
    const std::uint64_t answer = std::min(whole, answers_);
    answers_ -= answer;
    owe(answer);
  }

  int socket_;
  std::uint32_t in_bytes_, out_bytes_;
  Places in_, out_;
  io_uring ring_{};
  std::size_t partial_ = 0, out_partial_ = 0;
  std::uint64_t owed_bytes_ = 0, received_ = 0, answers_ = 0, system_calls_ = 0;
  bool receiving_ = false, sending_ = false, closed_ = false;
};

/// Both ends of a loopback connection.
std::pair<int, int> connect_pair() {
  const int listener = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  socklen_t bytes = sizeof address;
  auto* generic = reinterpret_cast<sockaddr*>(&address);
  ASSERT(::bind(listener, generic, bytes) == 0 && ::listen(listener, 1) == 0);
  ASSERT(::getsockname(listener, generic, &bytes) == 0);
  const int client = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  ASSERT(::connect(client, generic, bytes) == 0);
  const int server = ::accept(listener, nullptr, nullptr);
  ASSERT(server >= 0);
  ::close(listener);
  const int one = 1;
  for (const int socket : {client, server}) ::setsockopt(socket, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
  return {client, server};
}

}  // namespace

double cpu_seconds() {
  timespec time{};
  ASSERT(::clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &time) == 0);
  return static_cast<double>(time.tv_sec) + static_cast<double>(time.tv_nsec) * 1e-9;
}

std::uint64_t thread_allocations() { return allocations; }

EchoCost run_bare_echo(const EchoShape& shape, std::uint64_t round_trips, int client_cpu, int server_cpu) {
  const auto [client_socket, server_socket] = connect_pair();
  std::jthread server([&shape, server_cpu, socket = server_socket] {
    pin(server_cpu);
    Side side(socket, shape.request_bytes, shape.reply_bytes, shape.depth);
    side.run(UINT64_MAX, UINT64_MAX);
  });
  EchoCost cost;
  std::jthread client([&, socket = client_socket] {
    pin(client_cpu);
    Side side(socket, shape.reply_bytes, shape.request_bytes, shape.depth);
    const auto begin = Clock::now();
    const double cpu_begin = cpu_seconds();
    side.owe(shape.depth);
    side.run(round_trips, round_trips - shape.depth);
    cost.seconds = std::chrono::duration<double>(Clock::now() - begin).count();
    cost.cpu_seconds = cpu_seconds() - cpu_begin;
    cost.system_calls = static_cast<double>(side.system_calls()) / static_cast<double>(round_trips);
  });
  client.join();
  return cost;
}

}  // namespace cenote::bench

// Counts allocations; the sizes and alignments are the ones the program asks for.
void* operator new(std::size_t bytes) {
  ++cenote::bench::allocations;
  if (void* memory = std::malloc(bytes)) return memory;
  throw std::bad_alloc();
}
void operator delete(void* memory) noexcept { std::free(memory); }
void operator delete(void* memory, std::size_t) noexcept { std::free(memory); }
