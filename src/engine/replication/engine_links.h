#pragma once

#include <map>
#include <memory>
#include <string>
#include <vector>

#include "cenote/protocol/opcodes.h"
#include "cenote/rpc/link.h"
#include "cenote/rpc/peer.h"
#include "cenote/rpc/session.h"
#include "cenote/runtime/scope.h"
#include "engine_services.h"

namespace cenote::engine {

/// The connections of one data reactor to the other engines of the system, each made when it is first used.
class EngineLinks {
 public:
  /// One call is given so long, whoever waits for it: the map may change meanwhile, and then it is made differently.
  static constexpr Duration kPatience = std::chrono::milliseconds(1000);
  /// The same for what nobody waits for, and which takes longer.
  static constexpr Duration kLongPatience = std::chrono::seconds(10);

  struct Message {
    Opcode opcode;
    std::uint16_t target = 0;  ///< index inside the engine
    cluster::MapVersion version;
    ByteView body;
    rpc::BulkSource payload = {};
    rpc::BulkSink into = {};
    Duration patience = kPatience;
  };

  /// `services` outlives it. `transport` may be null where the system has one engine only.
  EngineLinks(Reactor& reactor, EngineServices& services, std::unique_ptr<rpc::Transport> transport, Uuid system);
  /// After `stop`.
  ~EngineLinks();

  /// The answer of an engine. What the message names stays the caller's until then. kUnreachable: no connection, now;
  /// kDeadlineExceeded: after `until` or its
  /// patience.
  Task<Result<rpc::Reply>> call(cluster::Rank engine, Message message, Until until);
  /// Ends calls that run.
  Task<> stop();

 private:
  struct Link;
  Task<Result<std::shared_ptr<Link>>> find(cluster::Rank engine);
  static Task<> retire(std::shared_ptr<Link> link);

  Reactor& reactor_;
  EngineServices& services_;
  std::unique_ptr<rpc::Transport> transport_;
  Uuid system_;
  rpc::ClientSession session_;
  std::map<cluster::Rank, std::shared_ptr<Link>> links_;
  Scope scope_;
};

}  // namespace cenote::engine
