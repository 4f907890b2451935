#include "replicas/rows.h"

#include <array>
#include <map>
#include <utility>

#include "cenote/base/format.h"
#include "replicas/system.h"

namespace cenote::bench {
namespace {

constexpr std::array kWorkloads{"put", "get", "update", "fetch"};

/// What the sides of one comparison share: the system, and what the last run of its load gave, by container.
struct Shared {
  std::string binary;
  unsigned depth = 0;
  std::shared_ptr<ReplicaSystem> system;
  std::map<std::string_view, nlohmann::json> results;
};

/// One workload on one container. One run of `cenote bench` measures all of them, so the first side of each container
/// makes it and the others have its results.
class Load final : public Side {
 public:
  Load(std::shared_ptr<Shared> shared, std::string_view container, std::string workload)
      : shared_(std::move(shared)), container_(container), workload_(std::move(workload)) {}

  Result<Measured> measure(Duration window) override {
    if (workload_ == kWorkloads.front()) {
      TRY(const nlohmann::json document, shared_->system->load(container_, shared_->depth, window));
      shared_->results[container_] = document.at("results");
    }
    for (const nlohmann::json& row : shared_->results[container_])
      if (row.at("workload") == workload_) return measured(row);
    return failf(Code::kInternal, "no result of '{}'", workload_);
  }

 private:
  /// Of one operation at a time the latency, of many the rate.
  Measured measured(const nlohmann::json& row) const {
    const double p50_us = row.at("p50_ns").get<double>() / 1000, p99_us = row.at("p99_ns").get<double>() / 1000;
    const double rate = row.at("operations_per_second").get<double>();
    return {.value = shared_->depth == 1 ? p50_us : rate,
            .details = {{"p50_us", p50_us}, {"p99_us", p99_us}, {"per_second", rate}}};
  }

  std::shared_ptr<Shared> shared_;
  std::string_view container_;
  std::string workload_;
};

/// Both on one system, which the first side to be made starts.
void add_sides(Comparison& comparison, std::string_view container, const std::string& prefix,
               const std::shared_ptr<Shared>& shared) {
  for (const std::string workload : kWorkloads) {
    const auto make = [shared, container, workload](const Setting& setting) -> Result<std::unique_ptr<Side>> {
      if (shared->system == nullptr) {
        TRY(shared->system, ReplicaSystem::start(shared->binary, setting.directory));
      }
      return std::make_unique<Load>(shared, container, workload);
    };
    comparison.sides.push_back({prefix + workload, make});
  }
}

}  // namespace

void add_replica_rows(Suite& suite, const std::string& binary) {
  for (const unsigned depth : {1u, 32u}) {
    Comparison comparison{.name = fmt::format("replicas/depth-{}", depth),
                          .unit = depth == 1 ? "us p50" : "per second",
                          .medium = Medium::kMemory,
                          .sides = {},
                          .rows = {}};
    const auto shared = std::make_shared<Shared>(Shared{.binary = binary, .depth = depth, .system = {}, .results = {}});
    add_sides(comparison, ReplicaSystem::kReplicated, "replicated-", shared);
    add_sides(comparison, ReplicaSystem::kPlain, "plain-", shared);
    for (const std::string workload : kWorkloads) {
      const bool reads = workload == "get" || workload == "fetch";
      const Goal goal = depth == 1 ? Goal::at_most(reads ? 1.2 : 2.2) : Goal::at_least(reads ? 0.8 : 0.25);
      comparison.rows.push_back({.name = fmt::format("replicas/{}-depth-{}", workload, depth),
                                 .subject = "replicated-" + workload,
                                 .reference = "plain-" + workload,
                                 .goal = goal});
    }
    suite.push_back(std::move(comparison));
  }
}

}  // namespace cenote::bench
