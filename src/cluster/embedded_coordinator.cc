#include "cenote/cluster/embedded_coordinator.h"

#include "cenote/base/format.h"
#include "cenote/runtime/scope.h"
#include "event_history.h"
#include "lease_table.h"
#include "state_tree.h"

namespace cenote::cluster {
namespace {

using store::Batch;
using store::Lsn;
using store::Store;
using store::TreeId;
using store::View;

/// What an attempt found and up to where it must be durable before anyone hears of it (I4).
template <typename T>
struct Seen {
  T value;
  Lsn seen;
};

}  // namespace

/// Invariants: `leases` knows the holder of every key that the tree says is leased; `history` was told of every
/// transaction since `open`, in their order. Both change in the same step as the tree.
struct EmbeddedCoordinator::Impl {
  Impl(std::unique_ptr<Store> s, TreeId t, Revision floor, const EmbeddedOptions& options)
      : store(std::move(s)),
        tree(t),
        history(store->reactor(), floor, {.events = options.history_events, .bytes = options.history_bytes}),
        leases_changed(store->reactor()),
        background(store->reactor()) {}

  Instant now() const { return store->reactor().now(); }

  /// Runs `attempt(view)` and returns its value when all that it saw is durable.
  template <typename Attempt>
  auto answer(Attempt attempt, Until until) -> Task<std::invoke_result_t<Attempt&, View&>> {
    using T = typename std::invoke_result_t<Attempt&, View&>::value_type;
    const auto seeing = [&attempt](View& view) -> Result<Seen<T>> {
      TRY(T value, attempt(view));
      return Seen<T>{std::move(value), view.seen()};
    };
    CO_TRY(Seen<T> found, co_await store->run(seeing, until));
    CO_CHECK_OK(co_await store->durable(found.seen));
    co_return std::move(found.value);
  }

  Result<Seen<Result<Revision>>> try_commit(View& view, const Transaction& transaction);
  Result<Seen<Revision>> apply(View& view, const std::vector<Transaction::Change>& changes, store::SpaceClass space);
  Task<Result<>> show_when_durable(Lsn lsn);
  Task<Result<>> end_lease(LeaseId lease);
  static Task<> end_leases(Impl& self);

  std::unique_ptr<Store> store;
  TreeId tree;
  EventHistory history;
  LeaseTable leases;
  Condition leases_changed;
  Scope background;
  std::size_t watches = 0;
};

namespace {

// The holders of these leases were of this process's predecessors, which are gone.
Task<Result<Revision>> erase_leased_keys(Store& store, TreeId tree) {
  for (;;) {
    struct Step {
      Revision revision;
      bool more;
    };
    const auto attempt = [tree](View& view) -> Result<Seen<Step>> {
      TRY(const Revision last, last_revision(view, tree));
      TRY(const auto keys, leased_keys(view, tree, kMaxTransactionOperations));
      if (keys.empty()) return Seen<Step>{{last, false}, view.seen()};
      const Revision next(last.value() + 1);
      StateChange change(tree, next);
      for (const std::string& key : keys) {
        change.erase(key);
        change.unmark_leased(key);
      }
      change.batch().set_space_class(store::SpaceClass::kReclaim);
      TRY(const Lsn lsn, view.apply(change.batch()));
      return Seen<Step>{{next, true}, lsn};
    };
    CO_TRY(const Seen<Step> done, co_await store.run(attempt));
    CO_CHECK_OK(co_await store.durable(done.seen));
    if (!done.value.more) co_return done.value.revision;
  }
}

Task<Result<TreeId>> find_or_create_tree(Store& store) {
  if (const auto tree = store.find_tree(kStateTreeName)) co_return *tree;
  const TreeId tree = store.next_tree_id();
  Batch batch;
  batch.create_tree(tree, kStateTreeName);
  CO_CHECK_OK(co_await store.commit(std::move(batch)));
  co_return tree;
}

Task<Result<>> check_not_moved(Store& store, TreeId tree) {
  CO_TRY(const auto moved, co_await store.run([tree](View& view) { return moved_to(view, tree); }));
  if (!moved) co_return Result<>();
  co_return failf(Code::kForeign, "the control state that was here is at {} now: this copy is out of date", *moved);
}

}  // namespace

Task<Result<std::unique_ptr<EmbeddedCoordinator>>> EmbeddedCoordinator::open(std::unique_ptr<Store> store,
                                                                             EmbeddedOptions options) {
  auto tree = co_await find_or_create_tree(*store);
  Result<Revision> revision;
  Result<> valid;
  if (tree) valid = co_await check_not_moved(*store, *tree);
  if (tree && valid) revision = co_await erase_leased_keys(*store, *tree);
  if (!tree || !valid || !revision) {
    // The first failure is the one to report; a close that fails after it adds nothing.
    static_cast<void>(co_await store->close());
    if (!tree) co_return fail(tree.error().with_context("creating the coordinator's state"));
    if (!valid) co_return fail(std::move(valid).error());
    co_return fail(revision.error().with_context("ending the leases of an earlier start"));
  }
  auto impl = std::make_unique<Impl>(std::move(store), *tree, *revision, options);
  impl->background.spawn(Impl::end_leases(*impl));
  co_return std::unique_ptr<EmbeddedCoordinator>(new EmbeddedCoordinator(std::move(impl)));
}

EmbeddedCoordinator::EmbeddedCoordinator(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}

EmbeddedCoordinator::~EmbeddedCoordinator() { ASSERT(impl_->watches == 0); }

Task<Result<std::optional<KeyValue>>> EmbeddedCoordinator::get(std::string key, Until until) {
  const auto attempt = [this, &key](View& view) -> Result<std::optional<KeyValue>> {
    TRY(auto entry, find_entry(view, impl_->tree, key));
    if (entry) entry->lease = impl_->leases.holder(key);
    return entry;
  };
  co_return co_await impl_->answer(attempt, until);
}

Task<Result<std::vector<KeyValue>>> EmbeddedCoordinator::range(std::string prefix, std::string after, std::size_t limit,
                                                               Until until) {
  const auto attempt = [&](View& view) -> Result<std::vector<KeyValue>> {
    TRY(auto found, find_entries(view, impl_->tree, prefix, after, std::min(limit, kMaxRangeEntries)));
    for (KeyValue& entry : found) entry.lease = impl_->leases.holder(entry.key);
    return found;
  };
  co_return co_await impl_->answer(attempt, until);
}

Task<Result<Revision>> EmbeddedCoordinator::revision(Until until) {
  const auto attempt = [this](View& view) { return last_revision(view, impl_->tree); };
  co_return co_await impl_->answer(attempt, until);
}

// Everything or nothing, and the tree, leases and history at once: no suspension in here.
Result<Seen<Revision>> EmbeddedCoordinator::Impl::apply(View& view, const std::vector<Transaction::Change>& changes,
                                                        store::SpaceClass space) {
  TRY(const Revision last, last_revision(view, tree));
  const Revision next(last.value() + 1);
  StateChange change(tree, next);
  change.batch().set_space_class(space);
  std::vector<WatchEvent> events;
  for (const auto& [key, value, lease] : changes) {
    if (value) {
      change.put(key, *value);
    } else {
      // Nobody is told of the end of what was not there.
      TRY(const auto there, find_entry(view, tree, key));
      if (!there) continue;
      change.erase(key);
    }
    if (lease != kNoLease) {
      change.mark_leased(key);
    } else if (leases.holder(key) != kNoLease) {
      change.unmark_leased(key);
    }
    events.push_back({key, value, next, value ? lease : kNoLease});
  }
  TRY(const Lsn lsn, view.apply(change.batch()));
  for (const WatchEvent& event : events) leases.attach(event.key, kNoLease);
  for (const auto& changed : changes) {
    if (changed.value) leases.attach(changed.key, changed.lease);
  }
  history.note(next, lsn, std::move(events));
  return Seen<Revision>{next, lsn};
}

Result<Seen<Result<Revision>>> EmbeddedCoordinator::Impl::try_commit(View& view, const Transaction& transaction) {
  for (const auto& comparison : transaction.comparisons()) {
    auto holds = check_comparison(view, tree, comparison);
    if (holds) continue;
    // A refusal is an answer: what it was decided on must be durable before it is given.
    if (holds.error() == Code::kConditionFailed) return Seen<Result<Revision>>{fail(holds.error()), view.seen()};
    return fail(std::move(holds).error());
  }
  for (const auto& change : transaction.changes()) {
    if (change.lease == kNoLease) continue;
    if (auto alive = leases.check(change.lease, now()); !alive) {
      return Seen<Result<Revision>>{fail(std::move(alive).error()), view.seen()};
    }
  }
  TRY(const Seen<Revision> applied, apply(view, transaction.changes(), store::SpaceClass::kForeground));
  return Seen<Result<Revision>>{applied.value, applied.seen};
}

// Whatever is durable is shown, in order, also by those who only waited for something later.
Task<Result<>> EmbeddedCoordinator::Impl::show_when_durable(Lsn lsn) {
  auto durable = co_await store->durable(lsn);
  if (durable) {
    history.show(lsn);
  } else {
    history.end(durable.error());
  }
  co_return durable;
}

Task<Result<Revision>> EmbeddedCoordinator::commit(Transaction transaction, Until until) {
  CO_CHECK_OK(check_transaction(transaction));
  const auto attempt = [this, &transaction](View& view) { return impl_->try_commit(view, transaction); };
  CO_TRY(auto outcome, co_await impl_->store->run(attempt, until));
  CO_CHECK_OK(co_await impl_->show_when_durable(outcome.seen));
  co_return std::move(outcome.value);
}

namespace {

class EmbeddedWatch final : public Watch {
 public:
  EmbeddedWatch(EventHistory& history, std::size_t& count, std::string prefix, Revision after)
      : history_(history), count_(count), prefix_(std::move(prefix)), after_(after) {
    ++count_;
  }
  ~EmbeddedWatch() override { --count_; }

  Task<Result<std::vector<WatchEvent>>> next(Until until) override {
    co_return co_await history_.next(prefix_, after_, kMaxWatchBatch, until);
  }

 private:
  EventHistory& history_;
  std::size_t& count_;
  std::string prefix_;
  Revision after_;
};

}  // namespace

Result<std::unique_ptr<Watch>> EmbeddedCoordinator::watch(std::string prefix, Revision after) {
  if (impl_->watches >= kMaxWatches) return failf(Code::kResourceExhausted, "there are {} watches", kMaxWatches);
  return std::make_unique<EmbeddedWatch>(impl_->history, impl_->watches, std::move(prefix), after);
}

Task<Result<Lease>> EmbeddedCoordinator::grant_lease(Duration ttl, Until) {
  CO_CHECK_OK(check_ttl(ttl));
  const Instant now = impl_->now();
  for (;;) {
    const LeaseId id(impl_->store->reactor().random() >> 1);
    auto granted = impl_->leases.grant(id, ttl, now);
    if (!granted && granted.error() == Code::kExists) continue;
    if (!granted) co_return fail(std::move(granted).error());
    impl_->leases_changed.notify_all();
    co_return Lease{id, ttl, now + ttl};
  }
}

Task<Result<Lease>> EmbeddedCoordinator::keep_alive(LeaseId lease, Until) {
  const Instant now = impl_->now();
  CO_TRY(const Duration ttl, impl_->leases.renew(lease, now));
  co_return Lease{lease, ttl, now + ttl};
}

Task<Result<>> EmbeddedCoordinator::revoke_lease(LeaseId lease, Until) { co_return co_await impl_->end_lease(lease); }

// Repeatable, by several at the same time: each step erases what is still there.
Task<Result<>> EmbeddedCoordinator::Impl::end_lease(LeaseId lease) {
  if (!leases.end(lease)) co_return Result<>();
  for (;;) {
    const auto attempt = [this, lease](View& view) -> Result<std::optional<Seen<Revision>>> {
      std::vector<Transaction::Change> changes;
      for (std::string& key : leases.keys(lease, kMaxTransactionOperations)) {
        changes.push_back({std::move(key), std::nullopt, kNoLease});
      }
      if (changes.empty()) return std::optional<Seen<Revision>>();
      TRY(const Seen<Revision> applied, apply(view, changes, store::SpaceClass::kReclaim));
      return std::optional(applied);
    };
    CO_TRY(const auto step, co_await store->run(attempt));
    if (!step) break;
    CO_CHECK_OK(co_await show_when_durable(step->seen));
  }
  leases.drop(lease);
  co_return Result<>();
}

Task<> EmbeddedCoordinator::Impl::end_leases(Impl& self) {
  // A full store has room again some time later.
  constexpr Duration kPause = std::chrono::seconds(1);
  CancelSource& stopping = self.background.cancel_source();
  while (!self.background.stopping()) {
    const LeaseId lease = self.leases.ending(self.now());
    Instant next = self.leases.next_end();
    if (lease != kNoLease) {
      const auto ended = co_await self.end_lease(lease);
      if (ended) continue;
      // A store that takes no changes any more, or is closed, has nothing new to tell anybody.
      if (ended.error() == Code::kStopped || self.store->status().fenced) co_return self.history.end(ended.error());
      next = self.now() + kPause;
    }
    static_cast<void>(co_await self.leases_changed.wait({next, &stopping}));
  }
}

Task<Result<>> EmbeddedCoordinator::retire(std::string where) {
  const auto attempt = [&](View& view) -> Result<Lsn> {
    TRY(const Revision last, last_revision(view, impl_->tree));
    StateChange change(impl_->tree, last);
    change.mark_moved(where);
    change.batch().set_space_class(store::SpaceClass::kReclaim);
    return view.apply(change.batch());
  };
  CO_TRY(const Lsn lsn, co_await impl_->store->run(attempt));
  co_return co_await impl_->store->durable(lsn);
}

std::string EmbeddedCoordinator::trouble() const {
  const store::StoreStatus status = impl_->store->status();
  return status.fenced ? status.fenced_by : "";
}

void EmbeddedCoordinator::check_invariants() const {
  impl_->leases.check_invariants();
  impl_->history.check_invariants();
}

Task<Result<>> EmbeddedCoordinator::close() {
  impl_->history.end(Error(Code::kStopped, "the coordinator is being closed"));
  co_await impl_->background.stop();
  co_return co_await impl_->store->close();
}

}  // namespace cenote::cluster
