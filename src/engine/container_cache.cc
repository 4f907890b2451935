#include "container_cache.h"

#include "cenote/runtime/cross_core.h"

namespace cenote::engine {

Task<Result<const RoutedContainer*>> ContainerCache::look_up(Uuid container) {
  for (;;) {
    const std::uint64_t before = forgotten_;
    CO_TRY(auto found, co_await call_on(reactor_, services_.control_reactor(),
                                        [this, container] { return services_.find_container(container); }));
    // The answer may have been given before a destruction whose news has overtaken it.
    if (forgotten_ != before) continue;
    if (known_.size() >= kMaxContainers) known_.clear();
    co_return &known_.insert_or_assign(container, std::move(found)).first->second;
  }
}

void ContainerCache::forget(const Uuid& container) {
  ++forgotten_;
  known_.erase(container);
}

}  // namespace cenote::engine
