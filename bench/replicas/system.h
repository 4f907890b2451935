#pragma once

#include <filesystem>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "process/engine_process.h"

namespace cenote::bench {

/// Three engines of one target each that form a system over an etcd of their own, with a container whose objects have
/// three replicas and one whose objects have none. Ends with this.
class ReplicaSystem {
 public:
  static Result<std::shared_ptr<ReplicaSystem>> start(const std::string& binary, const std::filesystem::path& folder);

  static constexpr std::string_view kReplicated = "replicated/things";
  static constexpr std::string_view kPlain = "plain/things";
  /// Runs `cenote bench` on one of the two: puts, gets, updates and fetches, one after the other.
  Result<nlohmann::json> load(std::string_view container, unsigned depth, Duration each);

 private:
  explicit ReplicaSystem(std::string binary) : binary_(std::move(binary)) {}
  Result<> start_etcd(const std::filesystem::path& folder);
  Result<> run(std::vector<std::string> words);

  std::string binary_;
  std::string coordinator_;
  std::unique_ptr<ChildProcess> etcd_;  // ends last
  std::vector<std::unique_ptr<EngineProcess>> engines_;
};

}  // namespace cenote::bench
