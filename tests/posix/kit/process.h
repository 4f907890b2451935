#pragma once

#include <sys/types.h>

#include <functional>
#include <string>
#include <vector>

#include "kit/check.h"
#include "kit/fd.h"

namespace cenote::posix_tests {

/// How a body that ran in another process ended.
struct Outcome {
  enum class Kind : char { kPassed = 'p', kFailed = 'f', kNotOffered = 'n' };
  Kind kind = Kind::kPassed;
  std::string what{};
};

/// A process of its own that runs `body`, beside this one. It is killed when it is not joined.
class Process {
 public:
  explicit Process(const std::function<void()>& body);
  ~Process();
  Process(const Process&) = delete;
  Process& operator=(const Process&) = delete;

  /// Waits for its end; a death by a signal is a failure that names it.
  Outcome outcome();
  /// As `outcome`, and throws here what was thrown there.
  void join();
  void kill();
  pid_t pid() const { return pid_; }

 private:
  pid_t pid_ = -1;
  Fd results_;
};

/// A user other than root, of its own group of the same number; with more groups where given.
struct User {
  uid_t id;
  std::vector<gid_t> groups{};
};

/// Runs `body` in another process to its end.
void in_process(const std::function<void()>& body);
/// Runs `body` in another process with the credentials of `user`.
void as_user(const User& user, const std::function<void()>& body);

}  // namespace cenote::posix_tests
