#pragma once

#include <optional>
#include <string>
#include <vector>

#include "cenote/base/error.h"
#include "cenote/base/strong.h"
#include "cenote/runtime/task.h"

namespace cenote::cluster {

/// Number of a change to the coordinator's state; every committed transaction has a higher one than all before it.
using Revision = Strong<struct RevisionTag>;

/// Longest key and value of the coordinator's state, and most operations of one transaction.
inline constexpr std::size_t kMaxStateKeyBytes = 512;
inline constexpr std::size_t kMaxStateValueBytes = 2048;
inline constexpr std::size_t kMaxTransactionOperations = 128;

struct KeyValue {
  std::string key;
  std::string value;
  Revision modified;  ///< revision of the transaction that last wrote it
};

/// A compare-and-swap transaction: applied in full when every comparison holds, else not at all.
class Transaction {
 public:
  /// The key must have been last written at `revision`; Revision(0): it must not exist.
  Transaction& require(std::string key, Revision revision) {
    comparisons_.push_back({std::move(key), revision});
    return *this;
  }
  Transaction& put(std::string key, std::string value) {
    changes_.push_back({std::move(key), std::move(value)});
    return *this;
  }
  Transaction& erase(std::string key) {
    changes_.push_back({std::move(key), std::nullopt});
    return *this;
  }

  struct Comparison {
    std::string key;
    Revision revision;
  };
  struct Change {
    std::string key;
    std::optional<std::string> value;  ///< nullopt: erase
  };
  const std::vector<Comparison>& comparisons() const { return comparisons_; }
  const std::vector<Change>& changes() const { return changes_; }

 private:
  std::vector<Comparison> comparisons_;
  std::vector<Change> changes_;
};

/// Where the small state lives that a whole system must agree on: pools, containers, properties, object-id ranges.
/// Ordered keys with compare-and-swap transactions; every answer is durable and linearizable. Used by the control
/// reactor only.
class Coordinator {
 public:
  virtual ~Coordinator() = default;

  virtual Task<Result<std::optional<KeyValue>>> get(std::string key) = 0;
  /// Up to `limit` entries whose key starts with `prefix` and is greater than `after`, in key order.
  virtual Task<Result<std::vector<KeyValue>>> range(std::string prefix, std::string after, std::size_t limit) = 0;
  /// kConditionFailed when a comparison does not hold; then nothing changed.
  virtual Task<Result<Revision>> commit(Transaction transaction) = 0;
  /// Must be awaited before destruction.
  virtual Task<Result<>> close() = 0;
};

/// Everything below a prefix, in pages; for listings that are known to be small.
Task<Result<std::vector<KeyValue>>> range_all(Coordinator& coordinator, std::string prefix);

}  // namespace cenote::cluster
