#pragma once

#include <span>
#include <string_view>

#include "run.h"

namespace cenote::sim {

/// What the engine is made to go through, and what must hold: sim/README.md.
struct Workload {
  std::string_view name;
  std::string_view what;
  Outcome (*run)(std::uint64_t seed, const Options& options);
};

Outcome run_registers(std::uint64_t seed, const Options& options);
Outcome run_several(std::uint64_t seed, const Options& options);
Outcome run_replicas(std::uint64_t seed, const Options& options);
Outcome run_posix(std::uint64_t seed, const Options& options);
Outcome run_transactions(std::uint64_t seed, const Options& options);
Outcome run_distributed(std::uint64_t seed, const Options& options);
Outcome run_kv(std::uint64_t seed, const Options& options);
Outcome run_admin(std::uint64_t seed, const Options& options);
Outcome run_trouble(std::uint64_t seed, const Options& options);

std::span<const Workload> workloads();

}  // namespace cenote::sim
