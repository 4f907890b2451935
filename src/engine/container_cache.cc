#include "container_cache.h"

#include "cenote/runtime/cross_core.h"
#include "engine_services.h"

namespace cenote::engine {

Task<Result<>> ContainerCache::look_up(Uuid container) {
  for (;;) {
    const std::uint64_t before = forgotten_;
    CO_CHECK_OK(co_await call_on(reactor_, services_.control_reactor(),
                                 [this, container] { return services_.check_container(container); }));
    // The answer may have been given before a destruction whose news has overtaken it.
    if (forgotten_ != before) continue;
    if (known_.size() >= kMaxContainers) known_.clear();
    known_.insert(container);
    co_return Result<>();
  }
}

void ContainerCache::forget(const Uuid& container) {
  ++forgotten_;
  known_.erase(container);
}

}  // namespace cenote::engine
