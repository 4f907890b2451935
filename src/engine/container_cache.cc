#include "container_cache.h"

#include "cenote/runtime/cross_core.h"

namespace cenote::engine {
namespace {

/// The same with a count of references of its own: every request takes one, and reactors should not write to one line.
std::shared_ptr<const PoolServing> counted_here(std::shared_ptr<const PoolServing> serving) {
  if (serving == nullptr) return nullptr;
  const PoolServing* const same = serving.get();
  return {std::make_shared<std::shared_ptr<const PoolServing>>(std::move(serving)), same};
}

}  // namespace

Task<Result<const RoutedContainer*>> ContainerCache::look_up(Uuid container, std::uint64_t version, Until until) {
  for (;;) {
    const std::uint64_t before = forgotten_;
    CO_TRY(auto found, co_await call_on(reactor_, services_.control_reactor(), until, [&](Until there) {
             return services_.find_container(container, version, there);
           }));
    // The answer may have been given before a destruction whose news has overtaken it.
    if (forgotten_ != before) continue;
    if (known_.size() >= kMaxContainers) known_.clear();
    found.serving = counted_here(std::move(found.serving));
    co_return &known_.insert_or_assign(container, std::move(found)).first->second;
  }
}

void ContainerCache::forget(const Uuid& container) {
  ++forgotten_;
  known_.erase(container);
}

void ContainerCache::forget_pool(const Uuid& pool) {
  ++forgotten_;
  std::erase_if(known_, [&](const auto& entry) {
    const PoolServing* const serving = entry.second.serving.get();
    return serving != nullptr && serving->pool() == pool;
  });
}

}  // namespace cenote::engine
