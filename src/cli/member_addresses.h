#pragma once

#include <string>

#include "etcd_process.h"
#include "settings.h"

namespace cenote::cli {

/// Where a member of etcd beside this engine is, and where it listens.
struct MemberAddresses {
  std::string client_url;
  std::string peer_url;
  std::string listen_host;  ///< a literal
};
/// From `server.listen`, `server.advertise` and `server.etcd-port`: the engine's host, and two ports of its own.
/// kInvalidArgument names the setting that leaves one open.
Result<MemberAddresses> member_addresses(const Settings& settings);

/// The only member of a system's etcd goes where its engine goes. kLocked: it runs where it was.
Result<> adopt_address(const Settings& settings);

/// How such a member is run.
Result<EtcdProcessOptions> etcd_process_options(const Settings& settings);

}  // namespace cenote::cli
