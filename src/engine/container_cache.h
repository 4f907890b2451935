#pragma once

#include <cstdint>
#include <unordered_set>

#include "cenote/base/error.h"
#include "cenote/base/uuid.h"
#include "cenote/runtime/reactor.h"
#include "cenote/runtime/task.h"

namespace cenote::engine {

class EngineServices;

/// The containers that one data reactor has asked for and that exist, so that the hot path asks nobody.
///
/// Invariant: a container in here exists, or is being destroyed and `forget` is on its way; nothing that `forget` named
/// is in here until somebody was told anew that it exists.
class ContainerCache {
 public:
  static constexpr std::size_t kMaxContainers = 65536;

  ContainerCache(Reactor& reactor, EngineServices& services) : reactor_(reactor), services_(services) {}

  bool contains(const Uuid& container) const { return known_.contains(container); }
  /// Asks the control reactor. kContainerNotFound.
  Task<Result<>> look_up(Uuid container);
  void forget(const Uuid& container);

 private:
  Reactor& reactor_;
  EngineServices& services_;
  std::unordered_set<Uuid> known_;
  std::uint64_t forgotten_ = 0;  // grows with every `forget`, so that an answer from before one is not believed
};

}  // namespace cenote::engine
