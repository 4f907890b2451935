#include "version_fence.h"

#include "cenote/base/format.h"

namespace cenote::engine {

Result<VersionFence::Pass> VersionFence::enter(const Uuid& pool, cluster::MapVersion version) {
  const auto found = pools_.find(pool);
  if (found != pools_.end() && found->second.version == version) return Pass(*this, found->second);
  return failf(Code::kStaleMap, "it was begun for version {} of the pool's map; the target works on {}",
               version.value(), found == pools_.end() ? 0 : found->second.version.value());
}

Task<Result<>> VersionFence::advance(Uuid pool, cluster::MapVersion version, Until until) {
  Pool& known = pools_[pool];
  known.version = version;
  while (known.running > 0) CO_CHECK_OK(co_await ended_.wait(until));
  co_return Result<>();
}

}  // namespace cenote::engine
