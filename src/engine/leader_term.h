#pragma once

#include <algorithm>
#include <cstdint>

#include "cenote/base/time.h"
#include "cenote/cluster/watch.h"

namespace cenote::engine {

/// What lets this process ask the targets of all engines: that it was elected leader of the control state. One for each
/// election that it won. Control reactor only.
class LeaderTerm {
 public:
  /// `token`: the revision of the election. Calls wait until `valid_until` at most, and none is made after it: what the
  /// lease says when it is granted, and `extend` when it is renewed.
  explicit LeaderTerm(std::uint64_t token, Instant valid_until = kNoDeadline)
      : token_(token), valid_until_(valid_until) {}
  LeaderTerm(const LeaderTerm&) = delete;
  LeaderTerm& operator=(const LeaderTerm&) = delete;

  std::uint64_t token() const { return token_; }
  Instant valid_until() const { return valid_until_; }
  void extend(Instant until) {
    if (!over_) valid_until_ = until;
  }
  /// Nothing is asked any more, neither targets nor the coordinator: what is under way comes to its end soon, however
  /// much of it there is.
  void end() {
    over_ = true;
    valid_until_ = Instant::min();
  }
  bool over() const { return over_; }
  /// Of the next call, to whichever engine.
  std::uint64_t next_number() { return ++last_number_; }
  std::uint64_t last_number() const { return last_number_; }
  /// The latest change of the control state that this leader has made or seen: what it asks is decided on that.
  cluster::Revision decided_at() const { return decided_at_; }
  void note_decided(cluster::Revision revision) { decided_at_ = std::max(decided_at_, revision); }

 private:
  std::uint64_t token_;
  Instant valid_until_;
  std::uint64_t last_number_ = 0;
  cluster::Revision decided_at_;
  bool over_ = false;
};

}  // namespace cenote::engine
