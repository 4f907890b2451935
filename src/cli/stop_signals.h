#pragma once

#include <csignal>
#include <cstdint>

#include "cenote/base/time.h"

namespace cenote::cli {

/// SIGTERM and SIGINT: blocked in every thread that is started while this lives, and taken by `wait` alone. Made before
/// the first thread.
class StopSignals {
 public:
  StopSignals();
  StopSignals(const StopSignals&) = delete;
  StopSignals& operator=(const StopSignals&) = delete;

  /// Blocks until one of them comes, or came already.
  void wait();
  /// The same for so long at most. False: none came.
  bool wait_for(Duration most);
  enum class Woken : std::uint8_t { kTime, kSignal, kInput };
  /// The same, or until `input` has something to read, or has ended; -1: none.
  Woken wait_for(Duration most, int input);
  /// From a second from now on another one ends the process at once, with exit code 130; what is acknowledged is
  /// durable all the same.
  void let_the_next_one_kill();

 private:
  sigset_t signals_{};
};

}  // namespace cenote::cli
