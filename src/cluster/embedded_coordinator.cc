#include "cenote/cluster/embedded_coordinator.h"

#include "cenote/base/format.h"
#include "state_format.h"

namespace cenote::cluster {
namespace {

using store::Batch;
using store::Cursor;
using store::Lsn;
using store::Store;
using store::TreeId;
using store::View;

constexpr std::string_view kTreeName = "coordinator";
// State keys are prefixed so that the revision counter cannot collide with one.
constexpr std::string_view kRevisionKey = "r";
constexpr std::string_view kStatePrefix = "k";

std::string stored_key(std::string_view key) { return std::string(kStatePrefix).append(key); }

Result<> check_limits(const Transaction& transaction) {
  if (transaction.comparisons().size() + transaction.changes().size() > kMaxTransactionOperations) {
    return failf(Code::kOutOfRange, "coordinator transaction has more than {} operations", kMaxTransactionOperations);
  }
  for (const auto& change : transaction.changes()) {
    if (change.key.size() > kMaxStateKeyBytes) {
      return failf(Code::kOutOfRange, "coordinator key '{}' is longer than {} bytes", change.key, kMaxStateKeyBytes);
    }
    if (change.value && change.value->size() > kMaxStateValueBytes) {
      return failf(Code::kOutOfRange, "value of coordinator key '{}' is {} bytes, over the limit of {}", change.key,
                   change.value->size(), kMaxStateValueBytes);
    }
  }
  return {};
}

Result<Revision> current_revision(View& view, TreeId tree) {
  TRY(const auto stored, view.get(tree, as_bytes(kRevisionKey)));
  if (!stored) return Revision(0);
  return decode_revision(*stored);
}

Result<> check_comparison(View& view, TreeId tree, const Transaction::Comparison& comparison) {
  TRY(const auto stored, view.get(tree, as_bytes(stored_key(comparison.key))));
  Revision actual(0);
  if (stored) {
    TRY(const KeyValue entry, decode_value(comparison.key, *stored));
    actual = entry.modified;
  }
  if (actual != comparison.revision) {
    return failf(Code::kConditionFailed, "'{}' changed meanwhile (revision {}, expected {})", comparison.key,
                 actual.value(), comparison.revision.value());
  }
  return {};
}

// What an attempt found and up to where it must be durable before anyone hears of it (I4).
template <typename T>
struct Seen {
  T value;
  Lsn seen;
};

template <typename T>
Task<Result<T>> when_durable(Store& store, Seen<T> found) {
  CO_CHECK_OK(co_await store.durable(found.seen));
  co_return std::move(found.value);
}

}  // namespace

Task<Result<std::unique_ptr<EmbeddedCoordinator>>> EmbeddedCoordinator::open(std::unique_ptr<Store> store) {
  auto tree = store->find_tree(kTreeName);
  if (!tree) {
    tree = store->next_tree_id();
    Batch batch;
    batch.create_tree(*tree, kTreeName);
    if (auto created = co_await store->commit(std::move(batch)); !created) {
      // The first failure is the one to report; a close that fails after it adds nothing.
      static_cast<void>(co_await store->close());
      co_return fail(created.error().with_context("creating the coordinator's state"));
    }
  }
  co_return std::unique_ptr<EmbeddedCoordinator>(new EmbeddedCoordinator(std::move(store), *tree));
}

EmbeddedCoordinator::EmbeddedCoordinator(std::unique_ptr<Store> store, TreeId tree)
    : store_(std::move(store)), tree_(tree) {}

EmbeddedCoordinator::~EmbeddedCoordinator() = default;

Task<Result<std::optional<KeyValue>>> EmbeddedCoordinator::get(std::string key) {
  using Found = Seen<std::optional<KeyValue>>;
  const auto attempt = [this, &key](View& view) -> Result<Found> {
    TRY(const auto stored, view.get(tree_, as_bytes(stored_key(key))));
    Found found{std::nullopt, view.seen()};
    if (stored) {
      TRY(found.value, decode_value(key, *stored));
    }
    return found;
  };
  CO_TRY(Found found, co_await store_->run(attempt));
  co_return co_await when_durable(*store_, std::move(found));
}

Task<Result<std::vector<KeyValue>>> EmbeddedCoordinator::range(std::string prefix, std::string after,
                                                               std::size_t limit) {
  using Found = Seen<std::vector<KeyValue>>;
  const std::string first = stored_key(std::max(prefix, after));
  const std::string wanted = stored_key(prefix);
  const auto attempt = [&](View& view) -> Result<Found> {
    Found found;
    Cursor cursor(view, tree_);
    TRY(bool more, cursor.seek(as_bytes(first)));
    while (more && found.value.size() < limit && as_text(cursor.key()).starts_with(wanted)) {
      const std::string_view key = as_text(cursor.key()).substr(kStatePrefix.size());
      if (key > after || after.empty()) {
        TRY(auto entry, decode_value(std::string(key), cursor.value()));
        found.value.push_back(std::move(entry));
      }
      TRY(more, cursor.next());
    }
    found.seen = view.seen();
    return found;
  };
  CO_TRY(Found found, co_await store_->run(attempt));
  co_return co_await when_durable(*store_, std::move(found));
}

Task<Result<Revision>> EmbeddedCoordinator::commit(Transaction transaction) {
  CO_CHECK_OK(check_limits(transaction));
  struct Outcome {
    Result<Revision> revision;
    Lsn seen;
  };
  const auto attempt = [this, &transaction](View& view) -> Result<Outcome> {
    for (const auto& comparison : transaction.comparisons()) {
      auto holds = check_comparison(view, tree_, comparison);
      if (holds) continue;
      // A refusal is an answer: what it was decided on must be durable before it is given.
      if (holds.error() == Code::kConditionFailed) return Outcome{fail(std::move(holds).error()), view.seen()};
      return fail(std::move(holds).error());
    }
    TRY(const Revision last, current_revision(view, tree_));
    const Revision next(last.value() + 1);
    Batch batch;
    batch.put(tree_, as_bytes(kRevisionKey), encode_revision(next));
    for (const auto& change : transaction.changes()) {
      const std::string key = stored_key(change.key);
      if (change.value) {
        batch.put(tree_, as_bytes(key), encode_value(next, *change.value));
      } else {
        batch.erase(tree_, as_bytes(key));
      }
    }
    TRY(const Lsn lsn, view.apply(batch));
    return Outcome{next, lsn};
  };
  CO_TRY(Outcome outcome, co_await store_->run(attempt));
  CO_CHECK_OK(co_await store_->durable(outcome.seen));
  co_return std::move(outcome.revision);
}

std::string EmbeddedCoordinator::trouble() const {
  const store::StoreStatus status = store_->status();
  return status.fenced ? status.fenced_by : "";
}

Task<Result<>> EmbeddedCoordinator::close() { co_return co_await store_->close(); }

}  // namespace cenote::cluster
