#pragma once

#include <functional>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "cenote/base/log.h"
#include "cenote/base/metrics.h"
#include "cenote/engine/engine_host.h"
#include "cenote/media/buffer_pool.h"
#include "cenote/rpc/counters.h"
#include "cenote/rpc/observer.h"
#include "cenote/rpc/server.h"
#include "client_gate.h"
#include "object_service.h"
#include "op_metrics.h"
#include "pool_serving.h"
#include "replication/target_groups.h"

namespace cenote::engine {

struct DataReactorOptions {
  std::size_t index = 0;
  /// All buffers of this reactor, and the part of them that payloads of requests may take.
  std::uint64_t pool_bytes = 0;
  std::uint64_t request_bytes = 0;
};

/// What one data reactor runs besides its targets: the pool of their buffers, and the server of its connections. Made,
/// used and destroyed on that reactor.
class DataReactor final : private rpc::Observer {
 public:
  DataReactor(Reactor& reactor, DataReactorOptions options, MetricRegistry& metrics, const Logger& logger);
  /// After `stop`, and after the targets that use the pool are closed.
  ~DataReactor();

  media::BufferPool& pool() { return pool_; }
  /// Of everything that serves clients here.
  rpc::Counters& counters() { return counters_; }

  /// Makes what the reactor's targets need to take part in redundancy groups. `transport` leads to other engines; null:
  /// there are none. Before `serve` on any reactor.
  void make_links(EngineServices& services, std::unique_ptr<rpc::Transport> transport, Uuid system);
  std::unique_ptr<TargetGroups> make_groups(Target& target, cluster::Rank engine);
  /// Ends the calls of those groups; after their targets serve nobody any more.
  Task<> stop_links();
  /// Begins to serve clients at `endpoints`; returns where it really listens.
  Result<std::vector<rpc::Address>> serve(std::vector<Endpoint> endpoints, EngineServices& services,
                                          ServedTargets targets, rpc::ServerOptions options);
  /// Stops accepting and waits for running requests, until `grace`; then cancels them and waits. Harmless without
  /// `serve`.
  Task<> stop(Until grace);
  /// No request that arrives from now on takes the container for one that exists without asking.
  void forget_container(const Uuid& container);
  /// Nothing here goes by what was served of a pool before.
  void forget_pool(const Uuid& pool);
  /// What clients ask for: also before `serve`, and after it has ended.
  ClientGate& clients() { return clients_; }
  void refresh_metrics();

 private:
  struct Gauges;

  void on_connection_error(std::string_view peer, const Error& error) override;
  void on_connected(std::string_view peer) override;
  void on_disconnected(std::string_view peer, const Error& reason) override;

  Reactor& reactor_;
  DataReactorOptions options_;
  Logger logger_;
  media::BufferPool pool_;
  MetricRegistry& metrics_;
  OpMetrics op_metrics_;
  ClientGate clients_;
  std::unique_ptr<Gauges> gauges_;
  rpc::Counters counters_;
  EngineServices* services_ = nullptr;
  std::unique_ptr<ContainerCache> containers_;
  std::unique_ptr<EngineLinks> links_;
  std::unique_ptr<ObjectService> service_;
  std::vector<std::unique_ptr<rpc::Transport>> transports_;
  std::unique_ptr<rpc::Server> server_;
};

}  // namespace cenote::engine
