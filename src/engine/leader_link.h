#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <string>

#include "admin_api.h"
#include "cenote/base/log.h"
#include "cenote/cluster/election.h"
#include "cenote/rpc/link.h"
#include "cenote/rpc/session.h"
#include "cenote/runtime/scope.h"
#include "leader_record.h"

namespace cenote::engine {

/// Follows who leads the control service, and passes admin requests on to it. Control reactor only.
///
/// Invariant: a request goes to the leader of one term, and ends when that one is known to be over.
class LeaderLink {
 public:
  struct Options {
    Uuid system;
    Uuid engine;  ///< as which it introduces itself
    /// Longest wait for an answer of the leader.
    Duration call_timeout = std::chrono::seconds(60);
    Duration retry_pause = std::chrono::milliseconds(200);
  };

  /// All of them outlive it; `transport` is of `reactor`.
  LeaderLink(Reactor& reactor, cluster::Coordinator& coordinator, rpc::Transport& transport, Options options,
             Logger logger);
  ~LeaderLink();

  void start();
  /// Ends all requests that were passed on. Must be awaited before destruction.
  Task<> stop();

  /// As far as it was heard of; nullopt: nobody.
  const std::optional<LeaderRecord>& leader() const { return leader_; }
  /// What the leader says. kNotReady where there is none, or it does not answer: the request may have taken effect, and
  /// the same `new_id` may be tried again. kDeadlineExceeded.
  Task<Result<std::string>> forward(AdminRequest request, Until until);

 private:
  struct Connection;

  static Task<> run(LeaderLink& self);
  static Task<> drop(std::shared_ptr<Connection> connection);
  Task<Result<std::string>> call(AdminRequest request, Until until);
  void take(std::optional<cluster::Leader> leader);
  Result<std::shared_ptr<Connection>> connection();

  Reactor& reactor_;
  rpc::Transport& transport_;
  Options options_;
  Logger logger_;
  cluster::Election election_;
  rpc::ClientSession session_;
  Scope background_;
  Scope dropping_;
  Gate callers_;
  std::optional<LeaderRecord> leader_;
  std::shared_ptr<Connection> connection_;  // to leader_, made when it is first needed
};

}  // namespace cenote::engine
