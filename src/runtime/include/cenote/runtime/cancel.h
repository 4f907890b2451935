#pragma once

#include "cenote/base/assert.h"
#include "cenote/base/error.h"
#include "cenote/base/time.h"
#include "cenote/runtime/intrusive_list.h"

namespace cenote {

class CancelSource;

/// Called once, on the reactor's thread, when the source is cancelled. Intrusive; destroying it unregisters it.
class CancelCallback : public ListNode<> {
 public:
  CancelCallback() = default;

 protected:
  ~CancelCallback() = default;

 private:
  friend class CancelSource;
  virtual void on_cancel() = 0;
};

/// The owner's end of a cancellation; single-threaded. Tokens must not outlive it.
class CancelSource {
 public:
  CancelSource() = default;
  CancelSource(const CancelSource&) = delete;
  CancelSource& operator=(const CancelSource&) = delete;
  ~CancelSource() { ASSERT(callbacks_.empty()); }

  bool cancelled() const { return cancelled_; }
  /// Idempotent. Runs every registered callback, each unregistered before it is called; none may destroy the source.
  void cancel() {
    cancelled_ = true;
    while (auto* callback = callbacks_.pop_front()) callback->on_cancel();
  }
  /// The source must not be cancelled yet.
  void add(CancelCallback& callback) {
    ASSERT(!cancelled_);
    callbacks_.push_back(callback);
  }

 private:
  IntrusiveList<CancelCallback> callbacks_;
  bool cancelled_ = false;
};

/// What a waiting operation may be given to end early: a deadline and, optionally, a cancel source. Every wait on
/// another machine or another task takes one. Cheap to copy.
struct Until {
  Instant deadline = kNoDeadline;
  CancelSource* cancel = nullptr;

  static Until forever() { return {}; }
  static Until at(Instant deadline) { return {deadline, nullptr}; }
  /// The same, ended by `limit` if that comes first: how a deadline is passed down to a part of the work.
  Until no_later_than(Instant limit) const { return {limit < deadline ? limit : deadline, cancel}; }
};

}  // namespace cenote
