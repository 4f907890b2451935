#pragma once

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "cenote/base/error.h"
#include "cenote/base/strong.h"
#include "cenote/base/time.h"
#include "cenote/cluster/watch.h"
#include "cenote/runtime/cancel.h"
#include "cenote/runtime/task.h"

namespace cenote::cluster {

/// Longest key and value of the coordinator's state, and most operations of one transaction: what etcd takes as it
/// comes (128 operations), less what its adapter adds to each transaction.
inline constexpr std::size_t kMaxStateKeyBytes = 512;
inline constexpr std::size_t kMaxStateValueBytes = 2048;
inline constexpr std::size_t kMaxTransactionOperations = 120;
/// Most entries of one answer to `range`.
inline constexpr std::size_t kMaxRangeEntries = 1024;
/// How short and how long a lease may be.
inline constexpr Duration kMinLeaseTtl = std::chrono::seconds(1);
inline constexpr Duration kMaxLeaseTtl = std::chrono::hours(1);

struct KeyValue {
  std::string key;
  std::string value;
  Revision modified;         ///< revision of the transaction that last wrote it
  LeaseId lease = kNoLease;  ///< whose end erases it
};

struct Lease {
  LeaseId id;
  Duration ttl{};  ///< as granted, which may be longer than what was asked for
  /// The holder may rely on the lease until then, on its reactor's monotonic clock: `ttl` after the grant or renewal
  /// was *sent*. The coordinator ends the lease no earlier, as far as the two clocks run equally fast: whoever acts on
  /// its end adds a margin for drift.
  Instant valid_until{};
};

/// A compare-and-swap transaction: applied in full when every comparison holds, else not at all.
class Transaction {
 public:
  /// The key must have been last written at `revision`; Revision(0): it must not exist.
  Transaction& require(std::string key, Revision revision) {
    comparisons_.push_back({std::move(key), revision});
    return *this;
  }
  /// With a lease, the key vanishes with it; without, it belongs to no lease any more. One change of a key in each
  /// transaction.
  Transaction& put(std::string key, std::string value, LeaseId lease = kNoLease) {
    changes_.push_back({std::move(key), std::move(value), lease});
    return *this;
  }
  /// No error when there is no such key.
  Transaction& erase(std::string key) {
    changes_.push_back({std::move(key), std::nullopt, kNoLease});
    return *this;
  }

  struct Comparison {
    std::string key;
    Revision revision;
  };
  struct Change {
    std::string key;
    std::optional<std::string> value;  ///< nullopt: erase
    LeaseId lease;
  };
  const std::vector<Comparison>& comparisons() const { return comparisons_; }
  const std::vector<Change>& changes() const { return changes_; }

 private:
  std::vector<Comparison> comparisons_;
  std::vector<Change> changes_;
};

/// Where the small state lives that a whole system must agree on: pools, containers, properties, object-id ranges,
/// leases. Ordered keys with compare-and-swap transactions, watches and leases; every implementation passes the same
/// conformance test. Used by the control reactor only.
///
/// Every answer is durable and linearizable: it shows all transactions that were answered before the call began, and
/// nothing that can still be lost. Each page of a range is so by itself; several are not one moment.
///
/// Every call ends with `until`, at the latest, and an implementation that asks other machines gives up by itself after
/// a time of its own (kUnreachable). Where nothing else is said, a call that failed has changed nothing.
class Coordinator {
 public:
  virtual ~Coordinator() = default;

  virtual Task<Result<std::optional<KeyValue>>> get(std::string key, Until until = {}) = 0;
  /// Up to `limit` (at most kMaxRangeEntries) entries whose key starts with `prefix` and is greater than `after`, in
  /// key order.
  virtual Task<Result<std::vector<KeyValue>>> range(std::string prefix, std::string after, std::size_t limit,
                                                    Until until = {}) = 0;
  /// The revision of the transaction; it took effect exactly once and is durable. kConditionFailed when a comparison
  /// does not hold, kLeaseExpired when a lease of it is not there any more, kOutOfRange and kInvalidArgument for what
  /// is over a limit or no transaction: then nothing changed, and nothing will.
  ///
  /// kOutcomeUnknown: the answer was lost for good. It took effect once, or never, or yet will, for a short time that
  /// the implementation names. Read again what it was about; comparisons make it safe to give the same transaction
  /// again. No other failure leaves this open, deadline and cancellation included.
  virtual Task<Result<Revision>> commit(Transaction transaction, Until until = {}) = 0;
  /// The revision of the last change, for a watch that begins here: take it, read what is there, then watch.
  virtual Task<Result<Revision>> revision(Until until = {}) = 0;

  /// All changes of keys that start with `prefix` in transactions after revision `after`, which may lie in the past as
  /// far as the coordinator remembers, or in the future. Asks nobody yet. kResourceExhausted when there are
  /// kMaxWatches.
  virtual Result<std::unique_ptr<Watch>> watch(std::string prefix, Revision after) = 0;

  /// A new lease; ended by `revoke_lease`, or when it was not renewed for its time to live. kOutOfRange for a time that
  /// is too short or too long, kResourceExhausted when there are too many leases. One whose answer was lost ends by
  /// itself.
  virtual Task<Result<Lease>> grant_lease(Duration ttl, Until until = {}) = 0;
  /// Renews it for another time to live. kLeaseExpired: it has ended, and its keys are gone or going. After any other
  /// failure the lease may have been renewed, but the holder's `valid_until` is still that of the last success.
  virtual Task<Result<Lease>> keep_alive(LeaseId lease, Until until = {}) = 0;
  /// Ends a lease and erases its keys, durably. No error when it has ended already. May have happened after a failure.
  virtual Task<Result<>> revoke_lease(LeaseId lease, Until until = {}) = 0;

  /// Must be awaited before destruction. All other calls have returned, and watches are gone.
  virtual Task<Result<>> close() = 0;
};

/// kOutOfRange or kInvalidArgument for a transaction that no coordinator takes: over a limit, a key changed twice, or
/// without a name.
Result<> check_transaction(const Transaction& transaction);
/// kOutOfRange for a lease that would be too short or too long.
Result<> check_ttl(Duration ttl);

/// Everything below a prefix, in pages; for listings that are known to be small.
Task<Result<std::vector<KeyValue>>> range_all(Coordinator& coordinator, std::string prefix, Until until = {});

}  // namespace cenote::cluster
