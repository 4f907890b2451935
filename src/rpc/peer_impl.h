#pragma once

#include "call_table.h"
#include "cenote/rpc/peer.h"
#include "cenote/runtime/scope.h"
#include "cenote/runtime/sync.h"
#include "dispatcher.h"

namespace cenote::rpc {

/// Invariants: `run` is the only one that makes and destroys `link_`. `phase_` is kClosed exactly when there is no link
/// or its `on_closed` has come; calls are attached exactly in kReady.
struct Peer::Impl final : private LinkHandler, private CallDemand, private RequestListener {
  Impl(Reactor& reactor, Transport& transport, ClientSession& session, PeerOptions options);
  ~Impl();

  Task<Result<Welcome>> connect(Until until);
  Task<Result<ClockOffset>> ask_clock(Until until);
  Task<> stop();
  std::string name() const;
  void check_invariants();

  Reactor& reactor;
  Transport& transport;
  ClientSession& session;
  PeerOptions options;
  Counters own_counters;
  Counters& counters;
  Scope scope;
  RequestPool request_pool{scope.cancel_source()};
  CallTable calls;
  Dispatcher callbacks;

  bool ready() const { return phase_ == Phase::kReady; }
  std::optional<Welcome> welcome;

 private:
  enum class Phase : std::uint8_t { kClosed, kHello, kRefused, kReady };
  static constexpr std::uint32_t kCallbacksMax = 256;

  /// Hello and ping.
  class ControlMessage final : public Outgoing {
   public:
    void on_released(bool) override { busy = false; }
    Bytes bytes;
    bool busy = false;
  };

  static Task<> run(Impl& peer);
  bool wanted() const;
  Task<Result<>> connect_any();
  Task<Result<>> connect_to(Address address);
  Duration time_for_address() const;
  Task<Result<>> shake_hands(Until until);
  Task<> serve();
  Task<> close_link(Error reason);
  void attempt_failed(const Error& error);
  void tick();
  void send_control(ControlMessage& message, ControlOpcode opcode);
  void check_clock();
  Until until_stopped() { return {kNoDeadline, &scope.cancel_source()}; }

  // LinkHandler
  Verdict on_message(const Header& header, ByteView body) override;
  void on_closed(const Error& reason) override;
  void on_hello_reply(const Header& header, ByteView body);
  Result<Welcome> read_welcome(const Header& header, ByteView body) const;
  void on_control(const Header& header, ByteView body);
  void on_pong(ByteView body);
  void on_callback(const Header& header, ByteView body);
  void protocol_error(std::string message);
  // CallDemand
  void on_call_waiting() override { changed_.notify_all(); }
  // RequestListener
  void on_request_over(std::uint64_t) override {}

  std::unique_ptr<Link> link_;
  Phase phase_ = Phase::kClosed;
  std::optional<Error> last_error_;
  std::size_t address_ = 0;  // the one in use or to be tried first
  std::uint64_t attempts_begun_ = 0;
  std::uint64_t last_failed_attempt_ = 0;
  std::uint32_t connect_waiters_ = 0;
  bool was_connected_ = false;
  Instant last_received_{};
  ControlMessage hello_;
  ControlMessage ping_;
  ControlMessage clock_ping_;
  ClockQuestion clock_asked_;                // the last one
  WallTime clock_asked_at_{};                // by the clock here
  std::optional<ClockOffset> clock_offset_;  // its answer
  bool clock_awaited_ = false;
  Condition changed_;
  bool stopped_ = false;
};

}  // namespace cenote::rpc
