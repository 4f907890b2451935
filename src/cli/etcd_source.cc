#include "etcd_source.h"

#include <fmt/ranges.h>

#include "cenote/etcd/etcd_coordinator.h"
#include "server_options.h"

namespace cenote::cli {

Task<Result<std::unique_ptr<cluster::Coordinator>>> EtcdSource::open(Reactor& control, Logger logger) {
  CO_TRY(auto opened, co_await etcd::EtcdCoordinator::open(control, options_, std::move(logger)));
  co_return std::unique_ptr<cluster::Coordinator>(std::move(opened));
}

std::string EtcdSource::place() const {
  return fmt::format("{} (root '{}')", fmt::join(options_.endpoints, ","), options_.root);
}

Result<std::optional<etcd::EtcdOptions>> coordinator_options(const Settings& settings) {
  etcd::EtcdOptions options;
  TRY(options.endpoints, list_in(settings, "server.coordinator", "a URL"));
  options.root = settings.text("server.coordinator-root");
  options.tls = {.authorities = settings.text("server.coordinator-ca"),
                 .certificate = settings.text("server.coordinator-cert"),
                 .key = settings.text("server.coordinator-key")};
  if (options.endpoints.empty()) return std::nullopt;
  for (const std::string& endpoint : options.endpoints) {
    if ((endpoint.starts_with("http://") || endpoint.starts_with("https://")) && !endpoint.ends_with('/')) continue;
    return fail(
        settings.wrong("server.coordinator", fmt::format("'{}' is no endpoint of etcd: give http://HOST:PORT or "
                                                         "https://HOST:PORT, several separated by commas",
                                                         endpoint)));
  }
  if (options.root.size() < 2 || !options.root.ends_with('/'))
    return fail(
        settings.wrong("server.coordinator-root", "it is a prefix of keys like 'cenote/', which ends with '/'"));
  if (options.tls.certificate.empty() != options.tls.key.empty())
    return fail(settings.wrong("server.coordinator-cert", "certificate and key go together"));
  return options;
}

}  // namespace cenote::cli
