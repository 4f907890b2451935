#include "pool_layouts.h"

#include "cenote/cluster/pool_map_store.h"

namespace cenote::engine {

using cluster::PoolLayout;

Task<Result<std::shared_ptr<const PoolLayout>>> PoolLayouts::of(Uuid pool, Until until) {
  CO_TRY(auto stored, co_await cluster::load_stored_map(coordinator_, pool, until));
  std::shared_ptr<const PoolLayout>& kept = layouts_[pool];
  const cluster::MapVersion version = stored ? stored->map.version() : cluster::MapVersion(1);
  if (kept == nullptr || kept->version() < version) {
    if (stored) {
      auto built = PoolLayout::build(std::move(stored->map));
      if (!built) {
        layouts_.erase(pool);
        co_return fail(std::move(built).error());
      }
      kept = *std::move(built);
    } else {
      kept = PoolLayout::without_map(targets_);
    }
  }
  auto layout = kept;
  if (layouts_.size() > kMaxPools) layouts_.clear();
  co_return layout;
}

}  // namespace cenote::engine
