#pragma once

#include <cstdint>
#include <deque>
#include <unordered_map>
#include <vector>

#include "cenote/protocol/transaction_requests.h"
#include "cenote/runtime/sync.h"

namespace cenote::engine {

/// The order in which one leader works on changes of the same dkeys: one at a time, first come first served. Changes of
/// whole objects exclude those of their dkeys. Places are known by their hashes, so two that have nothing to do with
/// each other may wait for each other, which costs time and nothing else. Single reactor.
///
/// Invariant: locks of one change are taken in the order of their hashes, so nobody waits for somebody who waits for
/// him.
class KeyLocks {
 public:
  explicit KeyLocks(Reactor& reactor) : reactor_(reactor) {}
  ~KeyLocks() { ASSERT(locks_.empty()); }

  struct Wanted {
    std::uint64_t place = 0;
    bool alone = false;  ///< else shared with others that share it
    friend auto operator<=>(const Wanted&, const Wanted&) = default;
  };
  /// What a change needs, in order, each place once.
  static std::vector<Wanted> wanted_by(const CommitRequest& request);

  /// All of them, given back with this.
  class Held {
   public:
    Held(KeyLocks& locks, std::vector<Wanted> wanted) : locks_(locks), wanted_(std::move(wanted)) {}
    Held(const Held&) = delete;
    Held& operator=(const Held&) = delete;
    ~Held();
    /// Once. After a failure (of the wait) fewer are held, which is for the destructor to know.
    Task<Result<>> acquire(Until until);

   private:
    KeyLocks& locks_;
    std::vector<Wanted> wanted_;
    std::size_t held_ = 0;
  };

 private:
  struct Request {
    bool alone = false;
    bool granted = false;
  };
  struct Lock {
    explicit Lock(Reactor& reactor) : changed(reactor) {}
    bool alone = false;
    std::uint32_t shared = 0;
    std::deque<Request*> waiting;
    Condition changed;
    bool fits(bool wants_alone) const { return !alone && (!wants_alone || shared == 0); }
    bool idle() const { return !alone && shared == 0 && waiting.empty() && !changed.has_waiters(); }
  };
  Task<Result<>> acquire(Wanted wanted, Until until);
  void release(Wanted wanted);
  static void take(Lock& lock, bool alone);
  static void grant(Lock& lock);
  void drop_if_idle(std::uint64_t place);

  Reactor& reactor_;
  std::unordered_map<std::uint64_t, Lock> locks_;
};

}  // namespace cenote::engine
