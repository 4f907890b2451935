#pragma once

#include <memory>
#include <string>

#include "cenote/rpc/link.h"
#include "cenote/runtime/sim_reactor.h"

namespace cenote::rpc {

/// How bytes travel from one node to another. What TCP hides (loss, duplication, reordering of packets) shows as delay
/// or as a broken connection, at any byte: also in the middle of a message.
struct SimLinkRules {
  Duration delay_min = std::chrono::microseconds(20);
  Duration delay_max = std::chrono::microseconds(200);
  /// Bytes on their way per connection and direction; a sender beyond waits, as with a full socket.
  std::uint32_t window_bytes = 256u << 10;
  /// Largest piece that travels as one; pieces are cut at random, so messages arrive torn.
  std::uint32_t piece_bytes_max = 64u << 10;
  /// Chance in a million, per piece, of a pause of up to `stall_max`, and of a reset of the connection.
  std::uint32_t stall_ppm = 0;
  Duration stall_max = std::chrono::seconds(2);
  std::uint32_t reset_ppm = 0;
};

/// What chance did to the bytes so far, by the rules; what tests do on purpose they count themselves.
struct SimNetworkFaults {
  std::uint64_t pieces = 0;  ///< sent
  std::uint64_t stalls = 0;
  std::uint64_t resets = 0;
};

/// The network of a SimWorld: every node can listen and connect under its own name. Deterministic from the world's
/// seed. Lives as long as the world runs.
class SimNetwork {
 public:
  explicit SimNetwork(SimWorld& world);
  ~SimNetwork();
  SimNetwork(const SimNetwork&) = delete;
  SimNetwork& operator=(const SimNetwork&) = delete;

  /// A transport for software running on `node`; addresses are (node's name, port). Several may share a node.
  std::unique_ptr<Transport> transport(SimReactor& node, Counters* counters = nullptr);

  /// For all pairs without rules of their own.
  void set_default_rules(SimLinkRules rules);
  /// For bytes from `from` to `to`.
  void set_rules(const std::string& from, const std::string& to, SimLinkRules rules);

  /// Cuts traffic in one direction: bytes wait (new connections time out) until `heal`, or the connection is reset
  /// after `dead_after`, as a kernel gives up retransmitting.
  void cut_one_way(const std::string& from, const std::string& to);
  void cut(const std::string& a, const std::string& b);
  void heal(const std::string& a, const std::string& b);
  void heal_all();
  void set_dead_after(Duration duration);

  /// Resets all connections between the two nodes now.
  void reset_connections(const std::string& a, const std::string& b);
  /// Crash of a node's software: its listeners vanish and its connections are reset, on its own side at once; nothing
  /// it sends any more has any effect. `revive` lets a new instance listen and connect.
  void crash(const std::string& node);
  void revive(const std::string& node);

  std::uint64_t connections() const;
  const SimNetworkFaults& faults() const;

  struct Impl;

 private:
  std::shared_ptr<Impl> impl_;
};

}  // namespace cenote::rpc
