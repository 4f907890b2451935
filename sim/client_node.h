#pragma once

#include <memory>
#include <string>

#include "cenote/client/async.h"
#include "run.h"

namespace cenote::sim {

/// A client program on a node of its own. Its members run on that node.
class ClientNode {
 public:
  ClientNode(Run& run, std::string name);

  /// Connects, and again until it works or `until` comes: the engine may be down at the moment.
  Task<Result<>> connect(Until until);
  /// Before destruction, if connected. May connect again afterwards, as a new client.
  Task<> close();

  async::Client& client() { return *client_; }
  bool connected() const { return client_ != nullptr; }
  SimReactor& node() { return node_; }
  const std::string& name() const { return node_.name(); }

 private:
  Run& run_;
  SimReactor& node_;
  std::unique_ptr<rpc::Transport> transport_;
  std::unique_ptr<async::Client> client_;
};

/// Makes pool "pool" of this redundancy and in it container "data" of the given type, and opens the container; what is
/// there already is taken as it is.
Task<Result<async::Container>> open_test_container(ClientNode& client, std::string type, Until until,
                                                   std::uint32_t redundancy = 0);

/// The same by a client of its own, before faults begin: a pool of several engines is made of those that are there. On
/// the director; what goes wrong ends the run.
Task<> make_test_container(Run& run, std::string type, std::uint32_t redundancy = 0);

}  // namespace cenote::sim
