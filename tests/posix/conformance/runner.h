#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "case.h"
#include "choices.h"

namespace cenote::posix_tests {

struct RunOptions {
  std::string top;        ///< the directory to judge
  std::string read_only;  ///< the same directory through a read-only mount; may be empty
  std::vector<uid_t> user_ids{};
  bool unprivileged = false;  ///< leave out what needs root
  bool slow = false;          ///< also what takes a minute where an operation takes a millisecond
  bool keep = false;          ///< leave the directories of cases that failed
};

enum class Verdict : unsigned char {
  kPassed,
  kFailed,
  kDiffers,     ///< failed, and is a listed choice
  kStale,       ///< passed, and is a listed choice: the list is no longer true
  kNotOffered,  ///< about something that a file system need not offer, and this one does not
  kLeftOut,     ///< needs root, a read-only mount, or patience
};
std::string_view to_string(Verdict verdict);

struct CaseResult {
  const Case* subject;
  Verdict verdict = Verdict::kPassed;
  std::string detail{};  ///< what failed, differs or is not offered
  double seconds = 0;

  bool is_failure() const { return verdict == Verdict::kFailed || verdict == Verdict::kStale; }
};

/// Runs cases one after another, each in a new directory below one of its own in `top`, which goes at the end.
class Runner {
 public:
  Runner(RunOptions options, Choices choices);
  /// Removes what is left; says so on standard error when that fails.
  ~Runner();
  Runner(const Runner&) = delete;
  Runner& operator=(const Runner&) = delete;

  /// False, and a line on standard error, when the directory cannot be used.
  bool prepare();
  CaseResult run(const Case& subject);

 private:
  Outcome run_alone(const Case& subject);
  bool is_left_out(const Case& subject) const;

  RunOptions options_;
  Choices choices_;
  std::string folder_;  ///< the name of the run's directory in `top`
  bool made_ = false;
  bool kept_ = false;
};

}  // namespace cenote::posix_tests
