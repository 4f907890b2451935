#pragma once

#include <cstdint>
#include <unordered_map>

#include "cenote/base/error.h"
#include "cenote/base/uuid.h"
#include "cenote/runtime/reactor.h"
#include "cenote/runtime/task.h"
#include "engine_services.h"

namespace cenote::engine {

/// The containers that one data reactor has asked for and that exist, with the layouts of their pools, so that the hot
/// path asks nobody.
///
/// Invariant: a container in here exists, or is being destroyed and `forget` is on its way; nothing that `forget` named
/// is in here until somebody was told anew that it exists.
class ContainerCache {
 public:
  static constexpr std::size_t kMaxContainers = 65536;

  ContainerCache(Reactor& reactor, EngineServices& services) : reactor_(reactor), services_(services) {}

  /// For a request that was made for this version of the pool's map, or 0. nullptr: `look_up` has to ask, as nothing is
  /// known here that may be served, or something newer is wanted. Valid until the next suspension.
  const RoutedContainer* find(const Uuid& container, std::uint64_t version) const {
    const auto found = known_.find(container);
    if (found == known_.end()) return nullptr;
    const PoolServing* const serving = found->second.serving.get();
    if (serving != nullptr && (!serving->active() || version > serving->version().value())) return nullptr;
    return &found->second;
  }
  /// Asks the control reactor, and waits there as EngineServices says. May be served no more when it returns.
  Task<Result<const RoutedContainer*>> look_up(Uuid container, std::uint64_t version, Until until);
  void forget(const Uuid& container);
  /// Nothing of the pool is in here any more.
  void forget_pool(const Uuid& pool);

 private:
  Reactor& reactor_;
  EngineServices& services_;
  std::unordered_map<Uuid, RoutedContainer> known_;
  std::uint64_t forgotten_ = 0;  // grows with every `forget`, so that an answer from before one is not believed
};

}  // namespace cenote::engine
