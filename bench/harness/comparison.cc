#include "harness/comparison.h"

namespace cenote::bench {

std::string_view medium_name(Medium medium) { return medium == Medium::kMemory ? "memory" : "disk"; }

void Measured::add_latencies(const LatencyHistogram& latencies) {
  const auto microseconds = [](Duration duration) { return double(duration.count()) / 1000; };
  details.emplace_back("p50_us", microseconds(latencies.percentile(50)));
  details.emplace_back("p99_us", microseconds(latencies.percentile(99)));
}

Result<double> Side::account(Duration /*window*/) { return 0.0; }

}  // namespace cenote::bench
