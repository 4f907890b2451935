#pragma once

#include <chrono>
#include <memory>
#include <string>
#include <vector>

#include "cenote/base/time.h"
#include "cenote/etcd/endpoint_list.h"

namespace cenote::etcd {

/// PEM files for endpoints that begin with https://. Empty: the system's authorities; no certificate of our own.
struct TlsFiles {
  std::string authorities = {};  ///< who may have signed the servers' certificates
  std::string certificate = {};  ///< ours, for servers that ask for one (--client-cert-auth)
  std::string key = {};          ///< of `certificate`
};

struct EtcdOptions {
  /// Of one etcd cluster: "http://host:port" or "https://host:port". One is used until it fails, then the next.
  std::vector<std::string> endpoints;
  /// If it is there: what counts in place of `endpoints`, as the members of the cluster change.
  std::shared_ptr<const EndpointList> changing = nullptr;
  /// All keys of this system begin with it; ends with "/". Systems that share a cluster have different ones, none of
  /// which begins with another.
  std::string root;
  TlsFiles tls = {};
  /// How long a call tries, over all endpoints.
  Duration request_timeout = std::chrono::seconds(10);
  /// How long one endpoint may take to answer before the next one is asked. etcd needs some seconds after the loss of
  /// its leader.
  Duration attempt_timeout = std::chrono::seconds(2);
  Duration connect_timeout = std::chrono::seconds(1);
  /// A watch that hears nothing for so long asks its endpoint whether it still belongs to the cluster.
  Duration watch_silence = std::chrono::seconds(3);
  /// For how long a commit whose outcome is unknown may still take effect.
  Duration session_ttl = std::chrono::seconds(30);
};

}  // namespace cenote::etcd
