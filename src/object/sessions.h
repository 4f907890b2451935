#pragma once

#include <deque>
#include <unordered_map>

#include "cenote/protocol/object_requests.h"
#include "cenote/store/batch.h"
#include "records.h"

namespace cenote::object {

/// Results of requests that may be resent, so that each takes effect at most once: the memory image of the tree of
/// request results, loaded when the store opens and changed together with it.
///
/// Invariants: every entry is in the tree and the other way round, as of the last applied batch; entries of a session
/// are ascending; the entry `last_put` carries the session's highest acknowledged sequence and latest expiry, so the
/// tree alone restores both; it is removed only when no request of the session can still be executed.
class Sessions {
 public:
  struct Limits {
    /// Results kept per session; a client that acknowledges nothing is refused beyond.
    std::uint32_t unacknowledged = 16384;
    Duration clock_offset{};
  };
  explicit Sessions(Limits limits) : limits_(limits) {}

  struct Known {
    Epoch epoch;
    store::Lsn lsn;  ///< the reply waits until this is durable
  };

  /// Whether a request may run now. A value: it ran before, with this result. kRequestExpired, kInvalidArgument,
  /// kOutOfRange, kResourceExhausted. Of no effect.
  Result<std::optional<Known>> check(const RequestId& id, WallTime now) const;

  /// Whether a result of it is kept.
  bool knows(const RequestId& id) const;

  /// Adds the result of `id` to the batch that applies the request, and removes some of what the client has
  /// acknowledged. `applied` follows once the batch is; nothing may come between.
  void record(const RequestId& id, Epoch epoch, store::TreeId tree, store::Batch& batch);
  void applied(const RequestId& id, Epoch epoch, store::Lsn lsn);

  /// Adds removals of expired results to `batch`, at most `limit`, and says which; `reclaimed` follows once it is
  /// applied.
  std::vector<RequestKey> reclaim(WallTime now, std::uint32_t limit, store::TreeId tree, store::Batch& batch) const;
  void reclaimed(const std::vector<RequestKey>& keys);

  /// Takes in one entry of the tree while the store opens.
  void load(const RequestKey& key, const RequestRecord& record);

  // Results from another target.
  /// Nothing is to be done about one: it is kept already, durably from the returned position on, or was acknowledged.
  std::optional<store::Lsn> find_taken(const RequestKey& key) const;
  /// The record to put, which says no less of its session than those that are kept. `take` follows once it is.
  RequestRecord merged(const RequestKey& key, RequestRecord record) const;
  void take(const RequestKey& key, const RequestRecord& record, store::Lsn lsn);

  std::size_t session_count() const { return sessions_.size(); }
  std::size_t result_count() const { return results_; }
  void check_invariants() const;

  /// Entries that one update or punch can add to its batch.
  static constexpr std::uint32_t kErasedPerRequest = 8;
  static constexpr std::uint32_t kBatchEntries = 1 + kErasedPerRequest;

 private:
  struct Kept {
    std::uint64_t sequence = 0;
    WallTime expiry{};
    Epoch epoch;
    store::Lsn lsn;
  };
  struct Session {
    std::deque<Kept> results;
    std::uint64_t acknowledged = 0;
    std::uint64_t last_put = 0;
    WallTime keep_until{};
  };
  const Session* find(std::uint64_t session) const;
  static std::size_t acknowledged_results(const Session& session, std::uint64_t acknowledged);

  Limits limits_;
  std::unordered_map<std::uint64_t, Session> sessions_;
  std::size_t results_ = 0;
};

}  // namespace cenote::object
