#pragma once

#include <string>

#include "acknowledge.h"
#include "cenote/rpc/call.h"
#include "cenote/rpc/counters.h"
#include "cenote/rpc/handshake.h"
#include "cenote/rpc/link.h"
#include "cenote/rpc/session.h"
#include "cenote/runtime/sync.h"
#include "sequence_map.h"

namespace cenote::rpc {

/// Told when a call waits and there is no connection.
class CallDemand {
 public:
  virtual void on_call_waiting() = 0;

 protected:
  ~CallDemand() = default;
};

/// The calls that one side makes to one other: queued, in flight, resent after a loss. A Peer has one for its requests,
/// a server's session one for its callbacks. It outlives connections; at most one is attached at a time.
///
/// Invariants (check_invariants):
///  - A call that has not ended stands in exactly one of `queued_` (not given to the link) and `active_`.
///  - `waiting_` holds exactly the active calls whose reply header has not come; they, and only they, are charged to
///    `requests_in_flight_` and `bytes_in_flight_`, which never exceed the credits.
///  - Without a link nothing is active, and no call's memory is in use.
class CallTable {
 public:
  /// `request_flags` are put into every request: flag::kCallback or 0.
  CallTable(Reactor& reactor, ClientSession& session, std::uint16_t request_flags, Counters& counters,
            CallDemand& demand);
  /// After `close`, with no call left.
  ~CallTable();

  Task<Result<Reply>> call(Opcode opcode, ByteView body, BulkSource send, BulkSink receive, CallOptions options);
  Result<> notify(Opcode opcode, ByteView body, const CallOptions& options);

  /// A connection is ready: everything unanswered goes out again.
  void attach(Link& link, Credits credits);
  /// The link has let go of everything (from its `on_closed`); unanswered calls wait for the next one.
  void detach(const Error& reason);
  /// A reply from the attached link.
  LinkHandler::Verdict on_reply(const Header& header, ByteView body);
  /// Tells the other side which requests have ended, if there is something new to tell.
  void send_acknowledgement();

  /// An attempt to connect begins.
  void on_connect_begins() { ++connect_attempts_; }
  /// It failed: calls that waited when it began and were never sent end with `failure`, or as unreachable when that
  /// says nothing about them, the others once they have expired.
  void on_connect_failed(const Error& failure);
  void end_all(const Error& reason);
  /// Ends all calls with `reason` and waits until each has returned; later ones fail at once.
  Task<> close(Error reason);
  /// The same without waiting.
  void refuse(Error reason);

  /// The attached one, or null.
  const Link* link() const { return link_; }
  bool has_calls() const { return gate_.count() > 0; }
  std::uint32_t in_flight() const { return requests_in_flight_; }
  void set_peer_name(std::string name) { peer_name_ = std::move(name); }
  void check_invariants() const;

 private:
  class Call;
  class Notice;
  class AcknowledgeMessage final : public Outgoing {
   public:
    void on_released(bool) override { busy = false; }
    Bytes bytes;
    bool busy = false;
  };

  Result<> check_limits(ByteView body, const BulkSource& send, const BulkSink& receive) const;
  void enqueue(Call& call);
  void pump();
  bool fits(const Call& call) const;
  void activate(Call& call);
  void uncharge(Call& call);
  void end(Call& call, Error outcome);
  void give_up(Call& call, Code code);
  void end_expired();
  Error expired_error(const Call& call) const;
  void call_returned();

  Reactor& reactor_;
  ClientSession& session_;
  const std::uint16_t request_flags_;
  Counters& counters_;
  CallDemand& demand_;
  std::string peer_name_ = "peer";

  Link* link_ = nullptr;
  Credits credits_;
  IntrusiveList<Call, struct CallTag> queued_;
  IntrusiveList<Call, struct CallTag> active_;
  SequenceMap<Call*> waiting_;
  std::uint64_t connect_attempts_ = 0;
  std::uint32_t requests_in_flight_ = 0;
  std::uint64_t bytes_in_flight_ = 0;

  Gate gate_;
  std::optional<Error> refusal_;
  std::uint32_t notices_ = 0;

  AcknowledgeMessage acknowledge_message_;
  Acknowledgement acknowledgement_;
  std::uint64_t ended_cursor_ = 0;
  std::uint32_t ended_since_ = 0;
};

}  // namespace cenote::rpc
