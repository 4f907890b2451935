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

  /// nullptr: `look_up` has to ask. Valid until the next suspension.
  const RoutedContainer* find(const Uuid& container) const {
    const auto found = known_.find(container);
    return found == known_.end() ? nullptr : &found->second;
  }
  /// Asks the control reactor. kContainerNotFound.
  Task<Result<const RoutedContainer*>> look_up(Uuid container);
  void forget(const Uuid& container);

 private:
  Reactor& reactor_;
  EngineServices& services_;
  std::unordered_map<Uuid, RoutedContainer> known_;
  std::uint64_t forgotten_ = 0;  // grows with every `forget`, so that an answer from before one is not believed
};

}  // namespace cenote::engine
