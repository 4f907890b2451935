#include "cenote/rpc/inproc.h"

#include <deque>
#include <map>
#include <mutex>

#include "cenote/base/format.h"
#include "cenote/runtime/sync.h"
#include "inproc_pipe.h"

namespace cenote::rpc {
namespace {

class InprocLink final : public Link {
 public:
  InprocLink(std::shared_ptr<InprocPipe> pipe, int side) : pipe_(std::move(pipe)), end_(pipe_->ends[side]) {
    end_.open(pipe_);
  }
  ~InprocLink() override { end_.release(); }

  void start(LinkHandler& handler) override { end_.start(handler); }
  void send(Outgoing& message) override { end_.send(message); }
  void abandon(Outgoing& message) override { end_.abandon(message); }
  // A payload is copied at once, so there is never one half-way.
  void discard(Incoming&) override {}
  void resume() override { end_.resume(); }
  void close(Error reason) override { end_.close(std::move(reason)); }
  const std::string& peer_name() const override { return end_.peer_name(); }

 private:
  std::shared_ptr<InprocPipe> pipe_;
  InprocEnd& end_;
};

/// What connecting reactors and the listener share. Everything but `reactor` belongs to that reactor.
struct ListenerState {
  ListenerState(Reactor& owner, Counters* owner_counters) : reactor(owner), counters(owner_counters), changed(owner) {}
  Reactor& reactor;
  Counters* counters;
  std::deque<std::unique_ptr<Link>> accepted;
  bool closed = false;
  Condition changed;
};

/// Brings the other end of a new connection to the listener's reactor.
class ConnectMail final : public Mail {
 public:
  ConnectMail(std::shared_ptr<InprocPipe> pipe, std::shared_ptr<ListenerState> listener)
      : pipe_(std::move(pipe)), listener_(std::move(listener)) {}

 private:
  void deliver() override {
    const std::unique_ptr<ConnectMail> self(this);
    auto link = std::make_unique<InprocLink>(pipe_, 1);
    if (listener_->closed) return;
    listener_->accepted.push_back(std::move(link));
    listener_->changed.notify_all();
  }

  std::shared_ptr<InprocPipe> pipe_;
  std::shared_ptr<ListenerState> listener_;
};

}  // namespace

/// Invariant: an address is in the table exactly while its listener's reactor runs it; mail to that reactor is posted
/// under the lock, so none is posted once the listener has closed.
struct InprocNetwork::Impl {
  std::mutex mutex;
  std::map<Address, std::shared_ptr<ListenerState>> listeners;
  std::uint16_t next_port = 1;
};

struct InprocTransport::Impl {
  InprocNetwork::Impl& network;
  Reactor& reactor;
  Counters* counters;
};

namespace {

class InprocListener final : public Listener {
 public:
  InprocListener(InprocNetwork::Impl& network, std::shared_ptr<ListenerState> state, Address address)
      : network_(network), state_(std::move(state)), address_(std::move(address)) {}
  ~InprocListener() override { end(); }

  Task<Result<std::unique_ptr<Link>>> accept(Until until) override {
    while (state_->accepted.empty() && !state_->closed) CO_CHECK_OK(co_await state_->changed.wait(until));
    if (state_->closed) co_return fail(Code::kStopped);
    std::unique_ptr<Link> link = std::move(state_->accepted.front());
    state_->accepted.pop_front();
    co_return link;
  }
  const Address& address() const override { return address_; }
  Task<> close() override {
    end();
    co_return;
  }

 private:
  void end() {
    if (std::exchange(state_->closed, true)) return;
    {
      const std::lock_guard lock(network_.mutex);
      network_.listeners.erase(address_);
    }
    state_->accepted.clear();
    state_->changed.notify_all();
  }

  InprocNetwork::Impl& network_;
  std::shared_ptr<ListenerState> state_;
  Address address_;
};

}  // namespace

InprocNetwork::InprocNetwork() : impl_(std::make_unique<Impl>()) {}
InprocNetwork::~InprocNetwork() = default;

InprocTransport::InprocTransport(InprocNetwork& network, Reactor& reactor, Counters* counters)
    : impl_(new Impl{*network.impl_, reactor, counters}) {}
InprocTransport::~InprocTransport() = default;

Task<Result<std::unique_ptr<Link>>> InprocTransport::connect(Address address, Until) {
  const std::lock_guard lock(impl_->network.mutex);
  const auto found = impl_->network.listeners.find(address);
  if (found == impl_->network.listeners.end()) {
    co_return failf(Code::kUnreachable, "cannot connect to {}: nothing in this process listens there",
                    address.to_string());
  }
  ListenerState& listener = *found->second;
  auto pipe = std::make_shared<InprocPipe>(impl_->reactor, listener.reactor, "inproc client", address.to_string(),
                                           impl_->counters, listener.counters);
  auto link = std::make_unique<InprocLink>(pipe, 0);
  listener.reactor.post(*new ConnectMail(std::move(pipe), found->second));  // frees itself when it is delivered
  co_return link;
}

Result<std::unique_ptr<Listener>> InprocTransport::listen(const Address& address) {
  auto state = std::make_shared<ListenerState>(impl_->reactor, impl_->counters);
  const std::lock_guard lock(impl_->network.mutex);
  Address bound = address;
  if (bound.port == 0) bound.port = impl_->network.next_port++;
  const auto [at, inserted] = impl_->network.listeners.emplace(bound, state);
  if (!inserted) return failf(Code::kExists, "cannot listen on {}: the address is in use", bound.to_string());
  return std::make_unique<InprocListener>(impl_->network, std::move(state), bound);
}

}  // namespace cenote::rpc
