#pragma once

#include <cstdint>
#include <thread>

namespace cenote::bench {

/// Sizes and number of the messages of one comparison, the same for the rpc layer and for the bare echo.
struct EchoShape {
  std::uint32_t request_bytes = 0;
  std::uint32_t reply_bytes = 0;
  std::uint32_t depth = 1;
};

/// What one measured run cost.
struct EchoCost {
  double seconds = 0;
  double cpu_seconds = 0;   // of all threads of the process, spinning included
  double system_calls = 0;  // of the client's thread, per round trip
  double allocations = 0;   // of the client's thread, per round trip
};

/// The reference E: an io_uring echo over loopback TCP that knows the sizes beforehand and does nothing but move bytes.
/// It batches like the rpc layer (one receive and one send in flight per side; all answers to what one receive brought,
/// and all that became due during a send, leave in one send), uses the same ring set-up and spins as long before it
/// sleeps. Client and server are pinned to the two CPUs.
EchoCost run_bare_echo(const EchoShape& shape, std::uint64_t round_trips, int client_cpu, int server_cpu);

/// CPU time of the process so far.
double cpu_seconds();

/// Heap allocations of the calling thread so far.
std::uint64_t thread_allocations();

}  // namespace cenote::bench
