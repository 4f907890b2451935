#pragma once

#include "cenote/runtime/sync.h"

namespace cenote::engine {

/// One unit of a semaphore that was acquired, given back however its owner returns.
class Turn {
 public:
  explicit Turn(Semaphore& turns) : turns_(turns) {}
  Turn(const Turn&) = delete;
  Turn& operator=(const Turn&) = delete;
  ~Turn() { turns_.release(1); }

 private:
  Semaphore& turns_;
};

}  // namespace cenote::engine
