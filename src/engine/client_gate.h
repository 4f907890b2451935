#pragma once

#include <cstdint>

#include "cenote/base/error.h"
#include "cenote/runtime/sync.h"

namespace cenote::engine {

/// Whether one data reactor begins what clients ask for, and how much of it runs. What engines ask each other passes it
/// by, so that what was begun can end. Single reactor.
class ClientGate {
 public:
  explicit ClientGate(Reactor& reactor) : quiet_(reactor) {}
  ~ClientGate() { ASSERT(running_ == 0); }

  bool held() const { return held_; }
  void hold(bool hold) {
    held_ = hold;
    quiet_.notify_all();
  }
  /// Until nothing runs of what had been begun, or requests are not held any more.
  Task<Result<>> await_quiet(Until until) {
    while (running_ > 0 && held_) CO_CHECK_OK(co_await quiet_.wait(until));
    co_return Result<>();
  }

  /// One request of a client, as long as it runs.
  class Pass {
   public:
    explicit Pass(ClientGate& gate) : gate_(gate) { ++gate.running_; }
    Pass(const Pass&) = delete;
    Pass& operator=(const Pass&) = delete;
    ~Pass() {
      if (--gate_.running_ == 0 && gate_.held_) gate_.quiet_.notify_all();
    }

   private:
    ClientGate& gate_;
  };

 private:
  std::uint64_t running_ = 0;
  bool held_ = false;
  Condition quiet_;
};

}  // namespace cenote::engine
