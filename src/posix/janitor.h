#pragma once

#include <functional>
#include <map>

#include "cenote/runtime/scope.h"
#include "session.h"

namespace cenote::posix {

/// Clears away after sessions that have given no sign of life for Session::kDeadAfter: the programs behind them are no
/// more. Several clients may do so at a time, since all of it can be done twice.
class Janitor {
 public:
  /// Frees what is removed: its inode, and where that waits.
  using Free = std::function<Task<Result<>>(Inode inode, Place place, Until until)>;

  /// What this session has to do for itself.
  using Own = std::function<Task<Result<>>(Until until)>;

  Janitor(Records records, const Session& own, Free free, Own settle_own);
  /// Looks round from time to time from now on.
  void start();
  Task<> stop() { return scope_.stop(); }

 private:
  struct Seen {
    std::uint64_t beats = 0;
    Instant since{};
  };
  static Task<> keep_looking(Janitor* self);
  Task<Result<>> look(Until until);
  Task<Result<>> clear_away_after(std::uint64_t session, Until until);
  Task<Result<>> clear_directory(ObjectId directory, std::uint64_t session, Until until);

  Records records_;
  const Session& own_;
  Free free_;
  Own settle_own_;
  Scope scope_;
  std::map<std::uint64_t, Seen> seen_;
};

}  // namespace cenote::posix
