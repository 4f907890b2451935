#pragma once

#include "cenote/runtime/reactor.h"

namespace cenote::rpc {

/// Calls a member function of its owner in a later step of the same reactor: for work that must not happen inside the
/// call that asks for it. The owner may be destroyed only while nothing is pending.
template <typename Owner, void (Owner::*Function)()>
class Deferred final : private Mail {
 public:
  Deferred(Reactor& reactor, Owner& owner) : reactor_(reactor), owner_(owner) {}
  ~Deferred() { ASSERT(!pending_); }

  /// Requests made before the call came are one.
  void request() {
    if (pending_) return;
    pending_ = true;
    reactor_.post(*this);
  }
  bool pending() const { return pending_; }

 private:
  void deliver() override {
    pending_ = false;
    (owner_.*Function)();
  }

  Reactor& reactor_;
  Owner& owner_;
  bool pending_ = false;
};

}  // namespace cenote::rpc
