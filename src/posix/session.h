#pragma once

#include <map>
#include <set>

#include "cenote/runtime/scope.h"
#include "records.h"

namespace cenote::posix {

/// What a FileSystem leaves on record about itself, so that others clear away after it when it is no more: in which
/// directories things that it removed may wait to be freed, and which files it keeps open that have no name.
///
/// Invariant: a record is durable before the transaction that makes it necessary, and goes after what it told of is
/// gone. A session that has removed nothing has no record at all.
class Session {
 public:
  explicit Session(const async::Container& container);

  /// A session that has given no sign of life for so long is dead for the others.
  static constexpr Duration kDeadAfter = std::chrono::seconds(60);

  /// Begins the session, unless it has begun, and puts the directory on record. What is removed is named by the number,
  /// in a transaction that ends before `lease_end`.
  Task<Result<std::uint64_t>> enter(ObjectId directory, Until until);
  /// Until when no other client takes the session for dead.
  Instant lease_end() const { return alive_at_ + kDeadAfter - kMargin; }
  /// The record of a file that is open in some session and has lost the directory it waited in.
  static Task<Result<>> put_open(Records records, std::uint64_t session, ObjectId object, Until until);
  /// `put_open` undone, for one of this session.
  Task<Result<>> forget_open(ObjectId object, Until until);
  /// Something could not be freed now: the records stay when the session ends.
  void leave_behind() { leaves_behind_ = true; }
  /// Ends the background work, and takes the records away, unless something is left behind.
  Task<> close(Until until);

  /// A session as others see it.
  struct Other {
    std::uint64_t number = 0;
    std::uint64_t beats = 0;
  };
  /// Whether a session has records.
  static Task<Result<bool>> is_known(Records records, std::uint64_t session, Until until);
  static Task<Result<std::vector<Other>>> list(Records records, Until until);
  /// What is on record of a session.
  struct Journal {
    std::vector<ObjectId> directories, open_files;
  };
  static Task<Result<Journal>> read(Records records, std::uint64_t session, Until until);
  static Task<Result<>> erase(Records records, std::uint64_t session, Until until);
  /// Where a session has it on record that something may wait in a directory.
  static Place directory_mark(std::uint64_t session, const ObjectId& directory, std::uint32_t redundancy);
  static Task<Result<>> put_directory(Records records, std::uint64_t session, ObjectId directory, Until until);
  /// Whether a dkey is one of a journal.
  static bool is_mark(std::string_view dkey);
  static constexpr std::string_view kMarkAkey = "m";

  std::uint64_t number() const { return number_; }

 private:
  static constexpr Duration kMargin = std::chrono::seconds(10);

  Task<Result<>> renew(Until until);
  Task<Result<>> begin(Until until);
  Task<Result<>> beat(Until until);
  static Task<> keep_beating(Session* self);

  Records records_;
  Semaphore beginning_;  // one at a time
  Scope scope_;
  std::uint64_t number_ = 0;  // 0: has not begun
  std::uint64_t beats_ = 0;
  Instant alive_at_{};  // when the last beat that came through was begun
  std::set<ObjectId> directories_;
  bool leaves_behind_ = false;
};

}  // namespace cenote::posix
