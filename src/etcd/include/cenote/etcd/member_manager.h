#pragma once

#include <functional>
#include <memory>
#include <string>

#include "cenote/base/log.h"
#include "cenote/base/uuid.h"
#include "cenote/etcd/etcd_options.h"
#include "cenote/etcd/joined_system.h"

namespace cenote::etcd {

struct MemberManagerOptions {
  std::string data_directory;
  EtcdOptions coordinator;                              ///< `changing` is the list that `endpoints` is kept up to date
  std::shared_ptr<EndpointList> endpoints;              ///< of the members that answer
  Uuid engine;                                          ///< whose membership this is
  std::string client_url, peer_url;                     ///< of the member that it would run
  Duration patience;                                    ///< as of MembershipView
  std::function<bool()> can_run = [] { return true; };  ///< whether etcd can be started here, as far as is known
  std::function<void()> changed = [] {};                ///< `joined.json` has: which member is to run here
  Duration period = std::chrono::seconds(1);            ///< how often it looks
};

/// Beside an engine of a system whose engines run etcd themselves: sees to it that the right ones do
/// (`plan_membership`), and knows where the members are. It acts through etcd and through the engine's `joined.json`;
/// the process itself is run by whoever started the engine. A thread of its own, which sleeps nearly always.
class MemberManager {
 public:
  /// The engine is registered, or will be. kIoError, kResourceExhausted.
  static Result<std::unique_ptr<MemberManager>> start(MemberManagerOptions options, Logger logger);
  /// Ends it, within a second or so.
  ~MemberManager();

 private:
  struct Impl;
  explicit MemberManager(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

}  // namespace cenote::etcd
