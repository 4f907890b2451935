#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <string>

#include "cenote/engine/coordinator_source.h"
#include "cenote/etcd/etcd_options.h"
#include "settings.h"

namespace cenote::cli {

/// The coordinator of an engine that is one of several.
struct CoordinatorChoice {
  etcd::EtcdOptions options;
  bool managed = false;  ///< engines of the system run it
  bool moving = false;   ///< as of JoinedSystem
  /// For the engine: a list of endpoints that can be kept up to date.
  std::shared_ptr<etcd::EndpointList> endpoints = nullptr;
};

/// How an engine that knows no etcd gets a coordinator there. One that engines run themselves is waited for: it is
/// there when the others are.
class EtcdSource final : public engine::CoordinatorSource {
 public:
  /// `stop_asked`: whether to wait no longer, which then ends with kStopped.
  EtcdSource(CoordinatorChoice choice, std::function<bool()> stop_asked)
      : options_(std::move(choice.options)), managed_(choice.managed), stop_asked_(std::move(stop_asked)) {}

  Task<Result<std::unique_ptr<cluster::Coordinator>>> open(Reactor& control, Logger logger) override;
  std::string place() const override;

 private:
  etcd::EtcdOptions options_;
  bool managed_;
  std::function<bool()> stop_asked_;
};

/// What the settings `server.coordinator...` say; nullopt: none is named. kInvalidArgument names the setting.
Result<std::optional<etcd::EtcdOptions>> coordinator_options(const Settings& settings);
/// The same, or that of the system which the data directory has joined.
Result<std::optional<CoordinatorChoice>> coordinator_of(const Settings& settings);

}  // namespace cenote::cli
