#pragma once

#include <optional>
#include <string>

#include "cenote/engine/coordinator_source.h"
#include "cenote/etcd/etcd_options.h"
#include "settings.h"

namespace cenote::cli {

/// How an engine that knows no etcd gets a coordinator there.
class EtcdSource final : public engine::CoordinatorSource {
 public:
  explicit EtcdSource(etcd::EtcdOptions options) : options_(std::move(options)) {}

  Task<Result<std::unique_ptr<cluster::Coordinator>>> open(Reactor& control, Logger logger) override;
  std::string place() const override;

 private:
  etcd::EtcdOptions options_;
};

/// What the settings `server.coordinator...` say; nullopt: none is named. kInvalidArgument names the setting.
Result<std::optional<etcd::EtcdOptions>> coordinator_options(const Settings& settings);

}  // namespace cenote::cli
