#pragma once

#include <cstdint>
#include <unordered_map>
#include <vector>

#include "cenote/protocol/request_places.h"
#include "cenote/runtime/sync.h"

namespace cenote::engine {

/// The order in which one leader works on changes of the same keys: one at a time, first come first served; changes of
/// records of one array that are apart go side by side. Changes of a whole dkey or object exclude those of what is in
/// it. Places are known by their hashes, so two that have nothing to do with each other may wait for each other, which
/// costs time and nothing else. Single reactor.
///
/// Invariant: a change takes its locks in the order of their hashes, and each at once, so nobody waits for somebody who
/// waits for him.
class KeyLocks {
 public:
  explicit KeyLocks(Reactor& reactor) : reactor_(reactor) {}
  ~KeyLocks() { ASSERT(locks_.empty()); }

  /// One place, and what of it.
  struct Wanted {
    std::uint64_t place = 0;
    bool shared = false;      ///< with all others that share it: they want something in it
    RecordSpan records = {};  ///< all, where it is not some records of an array

    bool conflicts(const Wanted& other) const { return !(shared && other.shared) && records.overlaps(other.records); }
    friend bool operator==(const Wanted&, const Wanted&) = default;
  };
  /// Whether the arrays that a change writes to are there already. The birth of one is about all of it.
  enum class Arrays : std::uint8_t { kExist, kMayBeBorn };
  /// What a change needs, in order, each place once.
  static std::vector<Wanted> wanted_by(const CommitRequest& request, Arrays arrays);

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
    Request(Reactor& reactor, const Wanted& what) : wanted(what), granted(reactor) {}
    const Wanted& wanted;
    Event granted;
  };
  struct Lock {
    std::vector<Wanted> held;
    std::vector<Request*> waiting;  ///< in the order in which they came
  };
  using Locks = std::unordered_map<std::uint64_t, Lock>;
  Task<Result<>> acquire(const Wanted& wanted, Until until);
  void release(const Wanted& wanted);
  /// Lets in who has nothing in his way any more, neither what is held nor who came earlier.
  void grant(Locks::iterator at);

  Reactor& reactor_;
  Locks locks_;
};

}  // namespace cenote::engine
