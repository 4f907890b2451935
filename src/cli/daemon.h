#pragma once

#include <functional>

#include "cenote/base/error.h"

namespace cenote::cli {

/// A process that goes on in the background. The caller's returns when it is ready, or with the exit code that it ended
/// with before; its output until then is the caller's.
class Daemon {
 public:
  /// Before the first thread. Returns in the new process alone; the caller's never returns.
  static Result<Daemon> begin();
  Daemon(Daemon&& other) noexcept;
  Daemon& operator=(Daemon&&) = delete;
  ~Daemon();
  /// Lets the caller's process end with 0, and lets go of terminal and current directory.
  void ready();

 private:
  explicit Daemon(int pipe) : pipe_(pipe) {}
  int pipe_;
};

}  // namespace cenote::cli
