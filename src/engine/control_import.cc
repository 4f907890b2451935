// Invariants: where the marker is, there is no record of a system, and everything else was written under a marker of
// the same system; where the record is that an import wrote, everything of the import is there, and no marker.

#include "control_import.h"

#include <algorithm>
#include <string>
#include <vector>

#include "cenote/base/format.h"
#include "control_records.h"

namespace cenote::engine {

using cluster::KeyValue;
using cluster::Revision;
using cluster::Transaction;

namespace {

/// Each key is required to be absent and then written; one operation is for the marker.
constexpr std::size_t kKeysOfOneTransaction = (cluster::kMaxTransactionOperations - 1) / 2;
constexpr std::size_t kErasedKeysOfOneTransaction = cluster::kMaxTransactionOperations - 1;

bool is_carried(const KeyValue& entry) {
  return entry.lease == cluster::kNoLease && entry.key != kSystemKey && entry.key != kImportKey;
}

/// The import of a system into a coordinator, from the marker on.
class Import {
 public:
  Import(cluster::Coordinator& to, const SystemIdentity& system, Until until)
      : to_(to), system_(system), until_(until) {}

  /// The marker, if there is one; what else is there it allows.
  Task<Result<std::optional<KeyValue>>> look() {
    CO_TRY(auto marker, co_await to_.get(kImportKey, until_));
    if (marker) {
      CO_TRY(const SystemIdentity begun, decode_system(marker->value));
      if (begun.id != system_.id)
        co_return failf(Code::kForeign,
                        "the coordinator holds the beginnings of another system, '{}' ({}): finish that, or name "
                        "another root",
                        begun.name, begun.id.to_string());
      co_return marker;
    }
    CO_TRY(const auto there, co_await to_.range("", "", 1, until_));
    if (there.empty()) co_return marker;
    CO_TRY(const auto record, co_await to_.get(kSystemKey, until_));
    if (!record) co_return fail(Code::kExists, "the coordinator is not empty: name another root");
    CO_TRY(const SystemIdentity found, decode_system(record->value));
    if (found.id == system_.id)
      co_return failf(Code::kExists, "the coordinator has system '{}' ({}) already", found.name, found.id.to_string());
    co_return failf(Code::kExists, "the coordinator belongs to another system, '{}' ({}): name another root",
                    found.name, found.id.to_string());
  }

  Task<Result<>> mark(std::optional<KeyValue> found) {
    Transaction change;
    change.require(kImportKey, found ? found->modified : Revision(0))
        .require(kSystemKey, Revision(0))
        .put(kImportKey, encode(system_));
    CO_TRY(marker_, co_await commit(std::move(change)));
    co_return Result<>();
  }

  Task<Result<>> erase_leftovers() {
    for (;;) {
      CO_TRY(const auto found, co_await to_.range("", "", kErasedKeysOfOneTransaction, until_));
      Transaction change = under_marker();
      for (const KeyValue& entry : found)
        if (entry.key != kImportKey) change.erase(entry.key);
      if (change.changes().empty()) co_return Result<>();
      CO_CHECK_OK(co_await commit(std::move(change)));
    }
  }

  Task<Result<>> write(std::span<const KeyValue> state) {
    Transaction change = under_marker();
    for (const KeyValue& entry : state) {
      if (!is_carried(entry)) continue;
      change.require(entry.key, Revision(0)).put(entry.key, entry.value);
      if (change.changes().size() < kKeysOfOneTransaction) continue;
      CO_CHECK_OK(co_await commit(std::exchange(change, under_marker())));
    }
    if (!change.changes().empty()) CO_CHECK_OK(co_await commit(std::move(change)));
    co_return Result<>();
  }

  Task<Result<>> end() {
    Transaction change = under_marker();
    change.require(kSystemKey, Revision(0)).put(kSystemKey, encode(system_)).erase(kImportKey);
    CO_CHECK_OK(co_await commit(std::move(change)));
    co_return Result<>();
  }

 private:
  Transaction under_marker() const {
    Transaction change;
    change.require(kImportKey, marker_);
    return change;
  }
  Task<Result<Revision>> commit(Transaction change) {
    auto done = co_await to_.commit(std::move(change), until_);
    if (!done && done.error() == Code::kConditionFailed)
      co_return fail(Code::kBusy,
                     "somebody else changes the coordinator at the same time: see that no engine and no "
                     "other import uses it, and try again");
    co_return done;
  }

  cluster::Coordinator& to_;
  const SystemIdentity& system_;
  const Until until_;
  Revision marker_;
};

}  // namespace

Task<Result<>> check_importable(cluster::Coordinator& to, const SystemIdentity& system, Until until) {
  Import import(to, system, until);
  CO_CHECK_OK(co_await import.look());
  co_return Result<>();
}

Task<Result<>> import_control_state(std::span<const cluster::KeyValue> state, cluster::Coordinator& to,
                                    const SystemIdentity& system, Until until) {
  Import import(to, system, until);
  CO_TRY(auto marker, co_await import.look());
  CO_CHECK_OK(co_await import.mark(std::move(marker)));
  CO_CHECK_OK(co_await import.erase_leftovers());
  CO_CHECK_OK(co_await import.write(state));
  co_return co_await import.end();
}

}  // namespace cenote::engine
