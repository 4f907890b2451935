#include "replicas/system.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <iterator>
#include <thread>

#include "cenote/base/format.h"
#include "harness/machine.h"

namespace cenote::bench {
namespace {

constexpr int kEngines = 3;
constexpr auto kPatience = std::chrono::seconds(20);

sockaddr_in loopback(std::uint16_t port) {
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_port = htons(port);
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  return address;
}

/// A port that nobody listens at: etcd has to be told one.
Result<std::uint16_t> free_port() {
  const int probe = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  sockaddr_in address = loopback(0);
  socklen_t bytes = sizeof address;
  auto* const any = reinterpret_cast<sockaddr*>(&address);
  const bool found = ::bind(probe, any, bytes) == 0 && ::getsockname(probe, any, &bytes) == 0;
  ::close(probe);
  if (!found) return fail(Code::kResourceExhausted, "no port for etcd");
  return ntohs(address.sin_port);
}

Result<> await_listener(std::uint16_t port) {
  for (const Instant end = now() + kPatience; now() < end; std::this_thread::sleep_for(std::chrono::milliseconds(20))) {
    const int probe = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    const sockaddr_in address = loopback(port);
    const bool there = ::connect(probe, reinterpret_cast<const sockaddr*>(&address), sizeof address) == 0;
    ::close(probe);
    if (there) return {};
  }
  return fail(Code::kDeadlineExceeded, "etcd does not listen");
}

}  // namespace

Result<> ReplicaSystem::start_etcd(const std::filesystem::path& folder) {
  TRY(const std::uint16_t client, free_port());
  TRY(const std::uint16_t peer, free_port());
  coordinator_ = fmt::format("http://127.0.0.1:{}", client);
  const std::string peer_url = fmt::format("http://127.0.0.1:{}", peer);
  TRY(etcd_, ChildProcess::start({"etcd", "--data-dir", folder / "etcd", "--listen-client-urls", coordinator_,
                                  "--advertise-client-urls", coordinator_, "--listen-peer-urls", peer_url,
                                  "--initial-advertise-peer-urls", peer_url, "--initial-cluster", "default=" + peer_url,
                                  "--log-level", "error"}));
  return await_listener(client);
}

Result<> ReplicaSystem::run(std::vector<std::string> words) {
  std::vector<std::string> arguments{binary_, "--server", engines_.front()->address()};
  std::ranges::move(words, std::back_inserter(arguments));
  CHECK_OK(run_command(arguments));
  return {};
}

Result<std::shared_ptr<ReplicaSystem>> ReplicaSystem::start(const std::string& binary,
                                                            const std::filesystem::path& folder) {
  std::shared_ptr<ReplicaSystem> system(new ReplicaSystem(binary));
  CHECK_OK(system->start_etcd(folder));
  for (int number = 0; number < kEngines; ++number) {
    TRY(system->engines_.emplace_back(),
        EngineProcess::start(binary, {"server", "--data", folder / fmt::format("engine{}", number), "--control", "none",
                                      "--targets", "1", "--target-size", "2GiB", "--coordinator", system->coordinator_,
                                      "--fault-domain", fmt::format("rack/node{}", number)}));
  }
  CHECK_OK(system->run({"pool", "create", "plain", "--size", "2GiB"}));
  CHECK_OK(system->run({"pool", "create", "replicated", "--size", "3GiB", "--redundancy", "2"}));
  for (const std::string_view container : {kPlain, kReplicated})
    CHECK_OK(system->run({"container", "create", std::string(container)}));
  return system;
}

Result<nlohmann::json> ReplicaSystem::load(std::string_view container, unsigned depth, Duration each) {
  const double seconds = std::chrono::duration<double>(each).count();
  return ask_command({binary_,         "--json",
                      "--server",      engines_.front()->address(),
                      "bench",         std::string(container),
                      "--workload",    "put",
                      "--workload",    "get",
                      "--workload",    "update",
                      "--workload",    "fetch",
                      "--depth",       std::to_string(depth),
                      "--seconds",     fmt::format("{}", seconds),
                      "--working-set", "64MiB"});
}

}  // namespace cenote::bench
