#pragma once

#include <sys/types.h>

#include <optional>
#include <utility>

#include "process.h"

// What the functions in `*_calls.cc` share, which programs call instead of those of the C library.
namespace cenote::intercept {

/// While the library is used by this thread.
class Leaving {
 public:
  Leaving() = default;
  Leaving(const Leaving&) = delete;
  Leaving& operator=(const Leaving&) = delete;
  ~Leaving() { process.leave(); }
};

// There are two things that it may lack, and each may be gone again when it is asked for the next time.
inline constexpr int kAttempts = 4;

/// Asks the library, and lets it know before what it lacks: on `descriptor`, which leads to `target`.
template <typename Call>
Answer ask(Library& library, const Guard& guard, Target target, int descriptor, Call call) {
  Answer answer;
  for (int i = 0; i < kAttempts; ++i) {
    answer = call();
    if (answer.kind != Answer::Kind::kNeedsMount && answer.kind != Answer::Kind::kNeedsNode) return answer;
    if (!process.provide(library, guard, answer.kind, target, descriptor)) return {};
  }
  return {};
}

/// What a call ends with.
struct Ending {
  ssize_t value = 0;
  int error = 0;  ///< an error number: the value is -1

  /// Sets errno.
  ssize_t conclude() const;
};

/// Tells, before a descriptor is closed, when its file was written and read.
void before_close(int descriptor);

}  // namespace cenote::intercept
