#include "data_reactor.h"

namespace cenote::engine {

struct DataReactor::Gauges {
  Gauges(MetricRegistry& metrics, const Labels& labels)
      : connections(metrics.gauge("cenote_rpc_connections", "Open connections of clients", labels)),
        in_flight(metrics.gauge("cenote_rpc_requests_in_flight", "Requests being handled", labels)),
        buffers(metrics.gauge("cenote_engine_buffer_bytes", "I/O buffers in use", labels)),
        requests(metrics.counter("cenote_rpc_requests_total", "Requests received", labels)),
        repeated(metrics.counter("cenote_rpc_duplicates_total", "Requests received again", labels)),
        received(metrics.counter("cenote_rpc_received_bytes_total", "Bytes received", labels)),
        sent(metrics.counter("cenote_rpc_sent_bytes_total", "Bytes sent", labels)),
        errors(metrics.counter("cenote_rpc_protocol_errors_total", "Connections that spoke no protocol", labels)) {}

  Gauge& connections;
  Gauge& in_flight;
  Gauge& buffers;
  Counter& requests;
  Counter& repeated;
  Counter& received;
  Counter& sent;
  Counter& errors;
};

DataReactor::DataReactor(Reactor& reactor, DataReactorOptions options, MetricRegistry& metrics, const Logger& logger)
    : reactor_(reactor),
      options_(options),
      logger_(logger.named("rpc").with({"reactor", options.index})),
      pool_(reactor, {.budget_bytes = options.pool_bytes}),
      metrics_(metrics),
      op_metrics_(metrics, std::to_string(options.index)),
      clients_(reactor),
      gauges_(std::make_unique<Gauges>(metrics, Labels{{"reactor", std::to_string(options.index)}})) {}

DataReactor::~DataReactor() { ASSERT(server_ == nullptr); }

void DataReactor::make_links(EngineServices& services, std::unique_ptr<rpc::Transport> transport, Uuid system) {
  services_ = &services;
  containers_ = std::make_unique<ContainerCache>(reactor_, services);
  links_ = std::make_unique<EngineLinks>(reactor_, services, std::move(transport), system);
}

std::unique_ptr<TargetGroups> DataReactor::make_groups(Target& target, cluster::Rank engine) {
  const GroupMember::Options options{.self = {engine, static_cast<std::uint16_t>(target.index())}, .buffers = &pool_};
  auto groups = std::make_unique<TargetGroups>(target, *containers_, *links_, *services_, options, metrics_, logger_);
  groups->start();
  return groups;
}

Task<> DataReactor::stop_links() {
  if (links_ != nullptr) co_await links_->stop();
  links_.reset();
}

Result<std::vector<rpc::Address>> DataReactor::serve(std::vector<Endpoint> endpoints, EngineServices& services,
                                                     ServedTargets targets, rpc::ServerOptions options) {
  options.bytes_max = options_.request_bytes;
  options.observer = this;
  options.counters = &counters_;
  service_ = std::make_unique<ObjectService>(reactor_, services, targets, *containers_, clients_, op_metrics_,
                                             logger_.named("engine"));
  server_ = std::make_unique<rpc::Server>(reactor_, pool_, *service_, options);
  std::vector<rpc::Address> addresses;
  for (Endpoint& endpoint : endpoints) {
    transports_.push_back(std::move(endpoint.transport));
    TRY(auto address, server_->listen(*transports_.back(), endpoint.address));
    addresses.push_back(std::move(address));
  }
  return addresses;
}

Task<> DataReactor::stop(Until grace) {
  if (server_ == nullptr) co_return;
  co_await server_->stop(grace);
  server_.reset();
  transports_.clear();
  service_.reset();
}

void DataReactor::forget_container(const Uuid& container) {
  if (containers_ != nullptr) containers_->forget(container);
}

void DataReactor::forget_pool(const Uuid& pool) {
  if (containers_ != nullptr) containers_->forget_pool(pool);
}

void DataReactor::refresh_metrics() {
  gauges_->buffers.set(static_cast<std::int64_t>(pool_.used_bytes()));
  gauges_->connections.set(server_ == nullptr ? 0 : static_cast<std::int64_t>(server_->connections()));
  gauges_->in_flight.set(server_ == nullptr ? 0 : static_cast<std::int64_t>(server_->requests_in_flight()));
  gauges_->requests.raise_to(counters_.requests);
  gauges_->repeated.raise_to(counters_.duplicates_attached + counters_.duplicates_answered);
  gauges_->received.raise_to(counters_.bytes_received);
  gauges_->sent.raise_to(counters_.bytes_sent);
  gauges_->errors.raise_to(counters_.protocol_errors);
}

void DataReactor::on_connection_error(std::string_view peer, const Error& error) {
  logger_.warn("connection refused", {{"peer", peer}, {"error", error}});
}

void DataReactor::on_connected(std::string_view peer) { logger_.debug("client connected", {{"peer", peer}}); }

void DataReactor::on_disconnected(std::string_view peer, const Error& reason) {
  logger_.debug("client disconnected", {{"peer", peer}, {"reason", reason}});
}

}  // namespace cenote::engine
