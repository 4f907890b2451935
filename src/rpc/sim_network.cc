#include "cenote/rpc/sim_network.h"

#include "cenote/base/format.h"
#include "sim_connection.h"
#include "stream_link.h"

namespace cenote::rpc {
namespace {

// Small, so that bodies of the tests meet the path for large ones, too.
constexpr std::size_t kStagingBytes = 8192;

class SimStream final : public ByteStream {
 public:
  SimStream(std::shared_ptr<SimConnection> connection, int side)
      : connection_(std::move(connection)), side_(side), peer_(connection_->node_name(1 - side)) {}
  ~SimStream() override { connection_->release(side_); }

  void attach(StreamEvents& events) override { connection_->attach(side_, &events); }
  void send(std::span<const iovec> parts) override { connection_->send(side_, parts); }
  void receive(std::span<const iovec> parts) override { connection_->receive(side_, parts); }
  void cancel_send() override { connection_->cancel_send(side_); }
  void cancel_receive() override { connection_->cancel_receive(side_); }
  void request_flush() override { connection_->request_flush(side_); }
  void hurry() override {}  // a turn has no length here
  void shutdown() override { connection_->shutdown(side_); }
  const std::string& peer_name() const override { return peer_; }

 private:
  std::shared_ptr<SimConnection> connection_;
  int side_;
  std::string peer_;
};

}  // namespace

/// Invariant: listed in the network until closed (or its node crashed).
class SimListener final : public Listener {
 public:
  SimListener(std::shared_ptr<SimNetwork::Impl> network, SimReactor& node, Address address, Counters* counters)
      : network_(std::move(network)), node_(node), address_(std::move(address)), counters_(counters), changed_(node) {
    network_->listeners.emplace(address_, this);
  }
  ~SimListener() override { end(); }

  Task<Result<std::unique_ptr<Link>>> accept(Until until) override {
    while (waiting_.empty() && !ended_) CO_CHECK_OK(co_await changed_.wait(until));
    if (ended_) co_return fail(Code::kStopped);
    std::unique_ptr<Link> link = std::move(waiting_.front());
    waiting_.pop_front();
    co_return link;
  }
  const Address& address() const override { return address_; }
  Task<> close() override {
    end();
    co_return;
  }

  SimReactor& node() { return node_; }
  void add(std::shared_ptr<SimConnection> connection) {
    waiting_.push_back(std::make_unique<StreamLink>(node_, std::make_unique<SimStream>(std::move(connection), 1),
                                                    kStagingBytes, counters_));
    changed_.notify_all();
  }
  void end() {
    if (std::exchange(ended_, true)) return;
    network_->listeners.erase(address_);
    waiting_.clear();
    changed_.notify_all();
  }

 private:
  std::shared_ptr<SimNetwork::Impl> network_;
  SimReactor& node_;
  Address address_;
  Counters* counters_;
  std::deque<std::unique_ptr<Link>> waiting_;
  bool ended_ = false;
  Condition changed_;
};

namespace {

class SimTransport final : public Transport {
 public:
  SimTransport(std::shared_ptr<SimNetwork::Impl> network, SimReactor& node, Counters* counters)
      : network_(std::move(network)),
        node_(node),
        instance_(network_->nodes[node.name()].instance),
        counters_(counters) {}

  Task<Result<std::unique_ptr<Link>>> connect(Address address, Until until) override {
    Event never(node_);
    const Duration round_trip =
        network_->draw_delay(node_.name(), address.host) + network_->draw_delay(address.host, node_.name());
    // A cut shows as silence, not as a refusal.
    const bool reachable =
        !network_->is_cut(node_.name(), address.host) && !network_->is_cut(address.host, node_.name());
    const Instant answer = reachable ? node_.now() + round_trip : kNoDeadline;
    const Result<> waited = co_await never.wait(until.no_later_than(answer));
    if (waited.error() == Code::kCancelled) co_return fail(Code::kCancelled);
    if (node_.now() < answer) {
      co_return failf(Code::kDeadlineExceeded, "cannot connect to {}: no answer", address.to_string());
    }
    const auto found = network_->listeners.find(address);
    if (!network_->alive(node_.name(), instance_) || found == network_->listeners.end()) {
      co_return failf(Code::kUnreachable, "cannot connect to {}: connection refused", address.to_string());
    }
    SimListener& listener = *found->second;
    auto connection = std::make_shared<SimConnection>(network_, node_, listener.node());
    network_->connections.push_back(connection);
    hand_over(address, connection);
    co_return std::make_unique<StreamLink>(node_, std::make_unique<SimStream>(std::move(connection), 0), kStagingBytes,
                                           counters_);
  }

  Result<std::unique_ptr<Listener>> listen(const Address& address) override {
    Address bound = address;
    if (bound.host != node_.name()) {
      return failf(Code::kInvalidArgument, "cannot listen on {}: this is {}", address.to_string(), node_.name());
    }
    if (bound.port == 0) bound.port = 49152;
    while (address.port == 0 && network_->listeners.contains(bound)) ++bound.port;
    if (!network_->alive(node_.name(), instance_)) return fail(Code::kStopped, "the node has crashed");
    if (network_->listeners.contains(bound)) {
      return failf(Code::kExists, "cannot listen on {}: the address is in use", bound.to_string());
    }
    return std::make_unique<SimListener>(network_, node_, bound, counters_);
  }

 private:
  /// The other end comes to the listener, as a part of its node; if there is none any more the connection is reset.
  void hand_over(const Address& address, const std::shared_ptr<SimConnection>& connection) {
    network_->world.at(connection->node(1), network_->world.now(), [network = network_, address, connection] {
      const auto found = network->listeners.find(address);
      if (found == network->listeners.end()) return connection->reset(1, true);
      found->second->add(connection);
    });
  }

  std::shared_ptr<SimNetwork::Impl> network_;
  SimReactor& node_;
  std::uint64_t instance_;
  Counters* counters_;
};

}  // namespace

SimNetwork::SimNetwork(SimWorld& world) : impl_(std::make_shared<Impl>(world)) {}
SimNetwork::~SimNetwork() = default;

std::unique_ptr<Transport> SimNetwork::transport(SimReactor& node, Counters* counters) {
  return std::make_unique<SimTransport>(impl_, node, counters);
}

void SimNetwork::set_default_rules(SimLinkRules rules) { impl_->default_rules = rules; }
void SimNetwork::set_rules(const std::string& from, const std::string& to, SimLinkRules rules) {
  impl_->rules[{from, to}] = rules;
}
void SimNetwork::set_dead_after(Duration duration) { impl_->dead_after = duration; }

void SimNetwork::cut_one_way(const std::string& from, const std::string& to) {
  impl_->cuts.insert({from, to});
  impl_->for_connections([](SimConnection& connection) { connection.cuts_changed(); });
}
void SimNetwork::cut(const std::string& a, const std::string& b) {
  cut_one_way(a, b);
  cut_one_way(b, a);
}
void SimNetwork::heal(const std::string& a, const std::string& b) {
  impl_->cuts.erase({a, b});
  impl_->cuts.erase({b, a});
  impl_->for_connections([](SimConnection& connection) { connection.cuts_changed(); });
}
void SimNetwork::heal_all() {
  impl_->cuts.clear();
  impl_->for_connections([](SimConnection& connection) { connection.cuts_changed(); });
}

void SimNetwork::reset_connections(const std::string& a, const std::string& b) {
  impl_->for_connections([&](SimConnection& connection) {
    const bool forward = connection.node_name(0) == a && connection.node_name(1) == b;
    const bool backward = connection.node_name(0) == b && connection.node_name(1) == a;
    if (forward || backward) connection.reset(0, true);
  });
}

void SimNetwork::crash(const std::string& node) {
  impl_->nodes[node] = {impl_->nodes[node].instance + 1, true};
  const auto listeners = impl_->listeners;
  for (const auto& [address, listener] : listeners) {
    if (address.host == node) listener->end();
  }
  impl_->for_connections([&](SimConnection& connection) {
    for (int side = 0; side < 2; ++side) {
      if (connection.node_name(side) == node) connection.reset(side, true);
    }
  });
}
void SimNetwork::revive(const std::string& node) { impl_->nodes[node].down = false; }

std::uint64_t SimNetwork::connections() const {
  std::uint64_t count = 0;
  impl_->for_connections([&](SimConnection&) { ++count; });
  return count;
}
const SimNetworkFaults& SimNetwork::faults() const { return impl_->faults; }

}  // namespace cenote::rpc
