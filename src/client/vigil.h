#pragma once

#include "impl.h"

namespace cenote::async {

/// Looks after a change of replicated data that waits for the answer of its leader: if the leader is lost that may take
/// for ever, as the request was sent, and the map says some seconds later who leads now. Costs a timer as long as the
/// answer comes in time. What is not replicated has no other place to go to: then it does nothing.
class Client::Impl::Vigil final : private Timer, private CancelCallback {
 public:
  /// All of them outlive it; `until` bounds the request.
  Vigil(Impl& impl, const Destination& destination, const rpc::Peer& asked, Until until);
  /// After `end` and `settle`.
  ~Vigil();

  /// Bounds the wait for the answer: the same, ended early when the request belongs to another engine.
  Until until() { return watching_ ? Until{until_.deadline, &end_wait_} : until_; }
  /// The request has returned. True: `settle` has to be awaited, too.
  bool end();
  Task<> settle();
  /// Whether the wait was ended early.
  bool moved() const { return moved_; }

 private:
  static Task<> look(Vigil& vigil);
  void fire() override;
  void on_cancel() override { end_wait_.cancel(); }

  Impl& impl_;
  const Destination& destination_;
  const rpc::Peer& asked_;
  const Until until_;
  CancelSource end_wait_;
  Event looked_;
  bool watching_ = false;
  bool looking_ = false;
  bool over_ = false;
  bool moved_ = false;
};

}  // namespace cenote::async
