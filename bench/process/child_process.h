#pragma once

#include <sys/types.h>

#include <memory>
#include <string>
#include <vector>

#include "cenote/base/error.h"
#include "cenote/base/time.h"

namespace cenote::bench {

/// A program that was started, with its standard output on a pipe; its standard error is discarded. Ended with SIGKILL
/// when this goes and it has not ended.
class ChildProcess {
 public:
  static Result<std::unique_ptr<ChildProcess>> start(const std::vector<std::string>& arguments);
  ~ChildProcess();
  ChildProcess(const ChildProcess&) = delete;
  ChildProcess& operator=(const ChildProcess&) = delete;

  pid_t pid() const { return pid_; }
  /// The next line it prints, without its end; kDeadlineExceeded, or kNotFound when its output has ended.
  Result<std::string> read_line(Duration limit);

  struct Ended {
    int status = 0;  ///< as waitpid gives it
    std::uint64_t max_resident_bytes = 0;
  };
  /// Waits for its end.
  Ended wait();
  /// SIGTERM, then `wait`.
  Ended stop();

 private:
  ChildProcess(pid_t pid, int output) : pid_(pid), output_(output) {}

  pid_t pid_;
  int output_;
  std::string buffered_;
  bool ended_ = false;
};

}  // namespace cenote::bench
