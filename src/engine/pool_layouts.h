#pragma once

#include <cstdint>
#include <map>
#include <memory>

#include "cenote/base/error.h"
#include "cenote/base/uuid.h"
#include "cenote/cluster/coordinator.h"
#include "cenote/cluster/pool_layout.h"
#include "cenote/runtime/task.h"

namespace cenote::engine {

/// The layouts of the pools whose containers are in use, built once for each version of a map. Control reactor only.
class PoolLayouts {
 public:
  /// More pools than this: the tables of all are built again as they are asked for.
  static constexpr std::size_t kMaxPools = 1024;

  /// `targets` of the engine: what pools without a map use.
  PoolLayouts(cluster::Coordinator& coordinator, std::uint32_t targets)
      : coordinator_(coordinator), targets_(targets) {}

  /// The layout of the version that is active in the coordinator at some moment during the call.
  Task<Result<std::shared_ptr<const cluster::PoolLayout>>> of(Uuid pool, Until until = {});

 private:
  cluster::Coordinator& coordinator_;
  std::uint32_t targets_;
  std::map<Uuid, std::shared_ptr<const cluster::PoolLayout>> layouts_;
};

}  // namespace cenote::engine
