#pragma once

#include <memory>
#include <mutex>

#include "cenote/cenote.hpp"
#include "cenote/runtime/cancel.h"
#include "cenote/runtime/reactor.h"

namespace cenote {

/// Shared by the handle and the calls it was given to. The source is touched on the reactor of the first call's client
/// only; one cancellation serves the calls of one client.
struct Cancellation::State {
  struct Delivery final : Mail {
    std::shared_ptr<State> state;  ///< keeps this alive until it was delivered
    void deliver() override {
      const auto keep = std::move(state);
      keep->source.cancel();
    }
  };

  std::mutex mutex;
  bool cancelled = false;                        // under the mutex
  std::weak_ptr<detail::Connection> connection;  // under the mutex
  CancelSource source;
  Delivery delivery;
};

}  // namespace cenote
