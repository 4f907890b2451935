#include "store/threads.h"

#include <atomic>
#include <barrier>
#include <thread>
#include <vector>

#include "harness/machine.h"

namespace cenote::bench {
namespace {

struct Worker {
  LatencyHistogram latencies;
  Result<> outcome;
};

void work(Worker& worker, std::uint64_t seed, std::barrier<>& start, const std::atomic<bool>& stop,
          const PutOnce& put) {
  PutStream stream(seed);
  start.arrive_and_wait();
  Instant before = now();
  while (!stop.load(std::memory_order_relaxed)) {
    worker.outcome = put(stream);
    if (!worker.outcome) return;
    const Instant after = now();
    worker.latencies.record(after - before);
    before = after;
  }
}

}  // namespace

Result<Measured> run_threads(unsigned threads, unsigned puts_per_call, Duration window, const PutOnce& put) {
  std::vector<Worker> workers(threads);
  std::barrier<> start(threads + 1);
  std::atomic<bool> stop{false};
  Instant begin;
  {
    std::vector<std::jthread> running;
    for (unsigned i = 0; i < threads; ++i) {
      running.emplace_back([&, i] { work(workers[i], i + 1, start, stop, put); });
    }
    start.arrive_and_wait();
    begin = now();
    std::this_thread::sleep_for(window);
    stop = true;
  }
  const Duration taken = now() - begin;

  LatencyHistogram latencies;
  for (const Worker& worker : workers) {
    CHECK_OK(worker.outcome);
    latencies.merge(worker.latencies);
  }
  const double puts = double(latencies.count()) * puts_per_call;
  Measured measured{.value = puts / std::chrono::duration<double>(taken).count(), .details = {}};
  measured.add_latencies(latencies);
  return measured;
}

}  // namespace cenote::bench
