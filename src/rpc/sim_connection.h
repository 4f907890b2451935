#pragma once

#include <deque>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "byte_stream.h"
#include "cenote/base/bytes.h"
#include "cenote/rpc/sim_network.h"
#include "cenote/runtime/sync.h"

namespace cenote::rpc {

class SimConnection;
class SimListener;

/// Invariants: `listeners` holds the open listeners; `connections` every connection of which a side still exists. A
/// node that is `down` has neither. `instance` counts a node's crashes: transports made before the last one reach
/// nothing.
struct SimNetwork::Impl {
  struct Node {
    std::uint64_t instance = 0;
    bool down = false;
  };

  explicit Impl(SimWorld& simulated) : world(simulated) {}

  const SimLinkRules& rules_for(const std::string& from, const std::string& to) const;
  bool is_cut(const std::string& from, const std::string& to) const { return cuts.contains({from, to}); }
  Duration draw_delay(const std::string& from, const std::string& to);
  bool alive(const std::string& node, std::uint64_t instance) {
    return nodes[node].instance == instance && !nodes[node].down;
  }
  template <typename Visit>
  void for_connections(Visit visit);

  SimWorld& world;
  SimLinkRules default_rules;
  Duration dead_after = std::chrono::seconds(15);
  std::map<std::pair<std::string, std::string>, SimLinkRules> rules;
  std::set<std::pair<std::string, std::string>> cuts;
  std::map<std::string, Node> nodes;
  std::map<Address, SimListener*> listeners;
  std::vector<std::weak_ptr<SimConnection>> connections;
  SimNetworkFaults faults;
};

/// Two flows of bytes between two nodes, each with what is under way, what has arrived and what its receiver or sender
/// waits for. Flow `i` goes from side `i` to side `1 - i`.
///
/// Invariant: pieces of a flow arrive in the order in which they were sent; at most `window_bytes` are between the
/// sender and the receiving program.
class SimConnection final : public std::enable_shared_from_this<SimConnection> {
 public:
  SimConnection(std::shared_ptr<SimNetwork::Impl> network, SimReactor& first, SimReactor& second);

  void attach(int side, StreamEvents* events) { sides_[side].events = events; }
  void send(int side, std::span<const iovec> parts);
  void receive(int side, std::span<const iovec> parts);
  void cancel_send(int side);
  void cancel_receive(int side);
  void request_flush(int side);
  void shutdown(int side);
  /// The program has let go of its side.
  void release(int side);

  const std::string& node_name(int side) const { return sides_[side].node->name(); }
  SimReactor& node(int side) { return *sides_[side].node; }
  /// The side finds its connection broken now; the other one is told, as far as it can be.
  void reset(int side, bool tell_other);
  /// Goes on where a cut has ended, or notices that one has begun.
  void cuts_changed();

 private:
  struct Piece {
    Instant arrives{};
    Bytes bytes;
    bool end = false;  // no more will follow
  };
  struct Flow {
    std::deque<Piece> under_way;
    std::deque<std::byte> arrived;
    bool ended = false;
    std::size_t in_window = 0;  // under way or arrived
    std::optional<Instant> blocked_since;
  };
  struct Side {
    SimReactor* node = nullptr;
    StreamEvents* events = nullptr;
    std::span<const iovec> sending, receiving;
    bool send_pending = false, receive_pending = false;
    bool dead = false;  // broken, or shut down by its own program
    bool gone = false;
  };

  void later(int side, Duration delay, void (SimConnection::*step)(int));
  void complete_send(int side, Result<std::size_t> result);
  void complete_receive(int side, Result<std::size_t> result);
  void try_send(int side);
  void try_receive(int side);
  void put_under_way(int side, Bytes bytes, bool end);
  void deliver(int side);
  void check_blocked(int side);
  void kill(int side);
  void fail_pending(int side);

  std::shared_ptr<SimNetwork::Impl> network_;
  Flow flows_[2];
  Side sides_[2];
};

template <typename Visit>
void SimNetwork::Impl::for_connections(Visit visit) {
  std::erase_if(connections, [](const auto& weak) { return weak.expired(); });
  const auto snapshot = connections;
  for (const auto& weak : snapshot) {
    if (const auto connection = weak.lock()) visit(*connection);
  }
}

}  // namespace cenote::rpc
