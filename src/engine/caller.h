#pragma once

#include "cenote/base/error.h"
#include "cenote/runtime/sync.h"

namespace cenote::engine {

/// Counts a call of the control side for as long as it runs.
class Caller {
 public:
  explicit Caller(Gate& gate) : gate_(gate), entered_(gate.enter()) {}
  Caller(const Caller&) = delete;
  Caller& operator=(const Caller&) = delete;
  ~Caller() {
    if (entered_) gate_.leave();
  }
  Result<> check(bool started) const {
    if (entered_ && started) return {};
    return fail(Code::kNotReady, entered_ ? "the engine is starting: try again" : "the engine is stopping");
  }

 private:
  Gate& gate_;
  bool entered_;
};

}  // namespace cenote::engine
