#include "vigil.h"

namespace cenote::async {
namespace {

// Long against an answer, short against the time until an engine that is lost is known to be.
constexpr Duration kLookEvery = std::chrono::seconds(1);

}  // namespace

Client::Impl::Vigil::Vigil(Impl& impl, const Destination& destination, const rpc::Peer& asked, Until until)
    : impl_(impl), destination_(destination), asked_(asked), until_(until), looked_(impl.reactor) {
  if (!destination.replicated || destination.pool == nullptr || !destination.pool->has_several_engines()) return;
  watching_ = true;
  if (until.cancel != nullptr && until.cancel->cancelled()) {
    end_wait_.cancel();
  } else if (until.cancel != nullptr) {
    until.cancel->add(*this);
  }
  impl_.reactor.arm(*this, impl_.reactor.now() + kLookEvery);
}

Client::Impl::Vigil::~Vigil() { ASSERT(!looking_ && !armed()); }

void Client::Impl::Vigil::fire() {
  looking_ = impl_.watches.spawn(look(*this));
  looked_.reset();
}

Task<> Client::Impl::Vigil::look(Vigil& vigil) {
  PoolRoutes& pool = *vigil.destination_.pool;
  const auto routes = vigil.impl_.pools.at(pool.pool());
  static_cast<void>(co_await vigil.impl_.refresh(routes, pool.generation(), vigil.until()));
  const auto places = vigil.destination_.resolve();
  if (!vigil.over_ && places && places->front().peer != &vigil.asked_) {
    vigil.moved_ = true;
    vigil.end_wait_.cancel();
  } else if (!vigil.over_) {
    vigil.impl_.reactor.arm(vigil, vigil.impl_.reactor.now() + kLookEvery);
  }
  vigil.looking_ = false;
  vigil.looked_.set();
}

bool Client::Impl::Vigil::end() {
  over_ = true;
  if (armed()) impl_.reactor.disarm(*this);
  if (looking_) end_wait_.cancel();
  return looking_;
}

Task<> Client::Impl::Vigil::settle() {
  // Bounded: what it waits for is cancelled.
  if (looking_) static_cast<void>(co_await looked_.wait(Until::forever()));
}

}  // namespace cenote::async
