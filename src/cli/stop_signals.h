#pragma once

#include <condition_variable>
#include <csignal>
#include <cstdint>
#include <mutex>
#include <thread>

#include "cenote/base/time.h"
#include "cenote/cenote.hpp"

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

/// Ends calls that wait when a stop signal comes: a thread takes it, as the one that waits cannot.
class StopOfCalls {
 public:
  /// `signals` outlives it.
  explicit StopOfCalls(StopSignals& signals);
  StopOfCalls(const StopOfCalls&) = delete;
  StopOfCalls& operator=(const StopOfCalls&) = delete;
  ~StopOfCalls();

  /// The same, ended by a signal with kCancelled.
  CallBounds bounded(CallBounds bounds) {
    bounds.cancellation = &cancellation_;
    return bounds;
  }
  /// Whether one has come, within so long.
  bool wait_for(Duration most);
  bool came() { return wait_for(Duration::zero()); }

 private:
  void watch();

  StopSignals& signals_;
  Cancellation cancellation_;
  std::mutex mutex_;
  std::condition_variable changed_;
  bool came_ = false, over_ = false;
  std::thread thread_;
};

}  // namespace cenote::cli
