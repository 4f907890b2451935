#pragma once

#include <optional>
#include <string>
#include <vector>

#include "kit/fd.h"
#include "tree/step.h"

namespace cenote::posix_tests {

/// A file of lines outside the tree that tells, after a crash, which steps were acknowledged and which one was in
/// flight. A line is durable before what it tells of goes on.
///
///   posix_tree <seed>
///   begin <step>
///   end <number> <errno>
class JournalWriter {
 public:
  /// Makes the file, which must not exist; throws Failure.
  JournalWriter(const std::string& path, std::uint64_t seed);
  void begin(const Step& step);
  void end(const Step& step, int error);

 private:
  void append(const std::string& line);

  Fd file_;
};

struct Journal {
  struct Done {
    Step step;
    int error = 0;
  };
  std::uint64_t seed = 0;
  std::vector<Done> done{};
  std::optional<Step> in_flight{};
};

/// A last line without its end was never durable and counts for nothing. Throws Failure when it is no journal.
Journal read_journal(const std::string& path);

}  // namespace cenote::posix_tests
