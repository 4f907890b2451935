#include "etcd_source.h"

#include <fmt/ranges.h>

#include <algorithm>

#include "cenote/base/format.h"
#include "cenote/etcd/etcd_coordinator.h"
#include "cenote/etcd/joined_system.h"
#include "server_options.h"

namespace cenote::cli {

namespace {

Result<etcd::TlsFiles> tls_files(const Settings& settings) {
  etcd::TlsFiles files{.authorities = settings.text("server.coordinator-ca"),
                       .certificate = settings.text("server.coordinator-cert"),
                       .key = settings.text("server.coordinator-key")};
  if (files.certificate.empty() != files.key.empty())
    return fail(settings.wrong("server.coordinator-cert", "certificate and key go together"));
  return files;
}

/// How long the other engines may take to start, after all of them have stopped.
constexpr Duration kPatience = std::chrono::minutes(5);
constexpr Duration kLook = std::chrono::milliseconds(500);

}  // namespace

Task<Result<std::unique_ptr<cluster::Coordinator>>> EtcdSource::open(Reactor& control, Logger logger) {
  const Instant give_up = control.now() + kPatience;
  for (bool told = false;; told = true) {
    // In pieces, so that a stop need not wait for all of it.
    const Until until = managed_ ? Until::at(control.now() + kLook) : Until::forever();
    auto opened = co_await etcd::EtcdCoordinator::open(control, options_, logger, until);
    if (opened) co_return std::unique_ptr<cluster::Coordinator>(*std::move(opened));
    const bool away = opened.error() == Code::kUnreachable || opened.error() == Code::kDeadlineExceeded;
    if (!managed_ || !away) co_return fail(std::move(opened).error());
    if (stop_asked_()) co_return fail(Code::kStopped, "it was stopped while it waited for its system");
    if (control.now() >= give_up) {
      co_return failf(Code::kUnreachable,
                      "most of the engines that ran etcd for this system when this one was last there are away: start "
                      "them, or name "
                      "one that runs with --join HOST ({})",
                      opened.error().message());
    }
    if (!told) logger.info("waiting for the etcd of the system, which some of its engines run", {{"at", place()}});
  }
}

std::string EtcdSource::place() const {
  const auto endpoints = options_.changing == nullptr ? options_.endpoints : options_.changing->get();
  return fmt::format("{} (root '{}')", fmt::join(endpoints, ","), options_.root);
}

Result<std::optional<CoordinatorChoice>> coordinator_of(const Settings& settings) {
  TRY(auto named, coordinator_options(settings));
  TRY(auto joined, etcd::load_joined(settings.text("server.data")));
  if (!joined) {
    if (!named) return std::nullopt;
    return CoordinatorChoice{.options = *std::move(named)};
  }
  if (named) {
    return fail(settings.wrong("server.coordinator",
                               fmt::format("the data directory '{}' has joined the system at {}, and knows where its "
                                           "coordinator is: leave it out",
                                           settings.text("server.data"), fmt::join(joined->endpoints, ","))));
  }
  TRY(auto tls, tls_files(settings));
  CoordinatorChoice choice{.options = {.endpoints = joined->endpoints, .root = joined->root, .tls = std::move(tls)},
                           .managed = joined->managed,
                           .moving = joined->moving};
  choice.endpoints = std::make_shared<etcd::EndpointList>(joined->endpoints);
  choice.options.changing = choice.endpoints;
  return choice;
}

Result<std::optional<etcd::EtcdOptions>> coordinator_options(const Settings& settings) {
  etcd::EtcdOptions options;
  TRY(options.endpoints, list_in(settings, "server.coordinator", "a URL"));
  options.root = settings.text("server.coordinator-root");
  // Also where nothing is named: others may join.
  if (options.root.size() < 2 || !options.root.ends_with('/') ||
      std::ranges::any_of(options.root, [](char letter) { return letter <= ' ' || letter > '~'; }))
    return fail(
        settings.wrong("server.coordinator-root", "it is a prefix of keys like 'cenote/', which ends with '/'"));
  if (options.endpoints.empty()) return std::nullopt;
  for (const std::string& endpoint : options.endpoints) {
    if ((endpoint.starts_with("http://") || endpoint.starts_with("https://")) && !endpoint.ends_with('/')) continue;
    return fail(
        settings.wrong("server.coordinator", fmt::format("'{}' is no endpoint of etcd: give http://HOST:PORT or "
                                                         "https://HOST:PORT, several separated by commas",
                                                         endpoint)));
  }
  TRY(options.tls, tls_files(settings));
  return options;
}

}  // namespace cenote::cli
