#pragma once

#include <memory>

#include "cenote/base/assert.h"
#include "cenote/cluster/embedded_coordinator.h"
#include "cenote/engine/sim_engine.h"
#include "cenote/media/sim_device.h"

namespace cenote::engine {

/// A coordinator on a node of its own, which never fails; for tests of engines that share one.
class SimCoordinator {
 public:
  explicit SimCoordinator(SimWorld& world, const char* name = "coordinator")
      : world_(world), node_(world.add_node(name)) {
    const store::Devices devices = store::Devices::one(device_);
    auto formatted = world_.block_on(node_, store::Store::format(node_, devices, {.log_bytes = 4u << 20}));
    ASSERT(formatted.has_value());
    auto store = world_.block_on(node_, store::Store::open(node_, devices, {.cache_bytes = store::kMinCacheBytes}));
    ASSERT(store.has_value());
    auto opened = world_.block_on(node_, cluster::EmbeddedCoordinator::open(*std::move(store)));
    ASSERT(opened.has_value());
    coordinator_ = *std::move(opened);
  }
  /// Nobody uses it any more.
  ~SimCoordinator() {
    static_cast<void>(world_.block_on(node_, coordinator_->close()));
    coordinator_.reset();
    world_.block_on(node_, device_.close());
  }

  SimReactor& node() { return node_; }
  cluster::Coordinator& coordinator() { return *coordinator_; }
  SimSharedCoordinator shared() { return {&node_, coordinator_.get()}; }

 private:
  SimWorld& world_;
  SimReactor& node_;
  media::SimMedium medium_{128ull << 20 >> 12};
  media::SimDevice device_{node_, "coordinator", medium_};
  std::unique_ptr<cluster::EmbeddedCoordinator> coordinator_;
};

}  // namespace cenote::engine
