// What a coordinator promises (cluster/coordinator.h), asked of each implementation. What only etcd can do, and have
// done to it, is in etcd_coordinator_test.cc.

#include <gtest/gtest.h>

#include <map>
#include <set>

#include "cenote/base/format.h"
#include "cenote/cluster/election.h"
#include "cenote/runtime/scope.h"
#include "conformance_world.h"

namespace cenote::etcd {
namespace {

using cluster::Coordinator;
using cluster::Election;
using cluster::KeyValue;
using cluster::Lease;
using cluster::LeaseId;
using cluster::Revision;
using cluster::Transaction;
using cluster::Watch;
using cluster::WatchEvent;
using Events = std::vector<WatchEvent>;

enum class Kind { kEmbedded, kEtcd };

class Conformance : public testing::TestWithParam<Kind> {
 protected:
  void SetUp() override {
    // Of the etcd world there is one for all tests; each has keys of its own.
    if (GetParam() == Kind::kEmbedded) {
      own_ = std::make_unique<EmbeddedWorld>();
    } else if (shared == nullptr) {
      shared = std::make_unique<EtcdWorld>();
    }
    ASSERT_FALSE(HasFailure());
    prefix_ = fmt::format("{}/", testing::UnitTest::GetInstance()->current_test_info()->name());
    start_ = revision();
  }
  static void TearDownTestSuite() { shared.reset(); }

  World& world() { return own_ != nullptr ? *own_ : *shared; }
  Coordinator& first() { return world().first(); }
  Coordinator& second() { return world().second(); }
  template <typename T>
  T wait(Task<T> task) {
    return world().wait(std::move(task));
  }
  Until within(Duration time) { return Until::at(world().reactor().now() + time); }
  /// Only a hang lasts so long.
  Until soon() { return within(120s); }
  std::string key(std::string_view name) const { return prefix_ + std::string(name); }

  Result<Revision> commit(Transaction transaction) { return wait(first().commit(std::move(transaction), soon())); }
  Revision must_commit(Transaction transaction) {
    const auto done = commit(std::move(transaction));
    EXPECT_TRUE(done) << done.error().to_string();
    return done.value_or(Revision(0));
  }
  std::optional<KeyValue> get(const std::string& name) {
    auto found = wait(second().get(key(name), soon()));
    EXPECT_TRUE(found) << found.error().to_string();
    return found.value_or(std::nullopt);
  }
  Revision revision() {
    const auto now = wait(first().revision(soon()));
    EXPECT_TRUE(now) << now.error().to_string();
    return now.value_or(Revision(0));
  }
  std::unique_ptr<Watch> watch(std::string_view name, Revision after) {
    auto made = second().watch(key(name), after);
    EXPECT_TRUE(made);
    return *std::move(made);
  }
  /// The next `count` events.
  Events read(Watch& watch, std::size_t count) {
    Events events;
    while (events.size() < count) {
      auto more = wait(watch.next(soon()));
      EXPECT_TRUE(more) << more.error().to_string();
      if (!more) break;
      events.insert(events.end(), more->begin(), more->end());
    }
    return events;
  }
  Lease grant(Duration ttl) {
    const auto lease = wait(first().grant_lease(ttl, soon()));
    EXPECT_TRUE(lease) << lease.error().to_string();
    return lease.value_or(Lease{});
  }

  /// A lease of a second that holds `keys`. On a machine that is busy with other things it may take several.
  Lease hold_for_a_second(const std::vector<std::string>& keys) {
    for (;;) {
      const Lease lease = grant(1s);
      Transaction change;
      for (const std::string& name : keys) change.put(key(name), "held", lease.id);
      const auto done = commit(std::move(change));
      if (done) return lease;
      EXPECT_EQ(done.error().code(), Code::kLeaseExpired) << done.error().to_string();
      EXPECT_GE(now(), lease.valid_until);
      if (HasFailure()) return lease;
    }
  }
  Instant now() { return world().reactor().now(); }

  std::string prefix_;
  Revision start_;

 private:
  std::unique_ptr<World> own_;
  static std::unique_ptr<World> shared;  // by all tests of etcd
};

std::unique_ptr<World> Conformance::shared;

TEST_P(Conformance, ATransactionAppliesInFullOrNotAtAll) {
  const Revision made = must_commit(Transaction().require(key("a"), Revision(0)).put(key("a"), "1").put(key("b"), "2"));
  EXPECT_GT(made, start_);
  EXPECT_EQ(get("a")->value, "1");
  EXPECT_EQ(get("a")->modified, made);
  EXPECT_EQ(get("b")->modified, made);
  EXPECT_EQ(get("a")->key, key("a"));
  for (const Revision wrong : {Revision(0), Revision(made.value() + 1)}) {
    const auto refused = commit(Transaction().require(key("a"), wrong).put(key("a"), "3").erase(key("b")));
    ASSERT_FALSE(refused);
    EXPECT_EQ(refused.error().code(), Code::kConditionFailed);
    EXPECT_NE(refused.error().message().find(key("a")), std::string::npos) << refused.error().message();
    EXPECT_EQ(get("a")->value, "1");
    EXPECT_TRUE(get("b"));
  }
  const Revision changed = must_commit(Transaction().require(key("a"), made).put(key("a"), "").erase(key("b")));
  EXPECT_GT(changed, made);
  EXPECT_EQ(get("a")->value, "");
  EXPECT_FALSE(get("b"));
  EXPECT_TRUE(commit(Transaction().require(key("b"), Revision(0)).erase(key("b"))));
  EXPECT_GE(revision(), changed);
}

Task<> increment(Coordinator& coordinator, std::string key, int times, std::set<Revision>& seen, Until until) {
  for (int done = 0; done < times;) {
    const auto before = co_await coordinator.get(key, until);
    if (!before) co_return;
    const int value = *before ? std::stoi((*before)->value) : 0;
    Transaction change;
    change.require(key, *before ? (*before)->modified : Revision(0)).put(key, std::to_string(value + 1));
    const auto committed = co_await coordinator.commit(std::move(change), until);
    if (!committed && committed.error() == Code::kConditionFailed) continue;
    if (!committed) co_return;
    seen.insert(*committed);
    ++done;
  }
}

TEST_P(Conformance, OfARaceOneWins) {
  constexpr int kWriters = 6, kTimes = 5;
  std::set<Revision> seen;
  Scope writers(world().reactor());
  for (int i = 0; i < kWriters; ++i) {
    writers.spawn(increment(i % 2 == 0 ? first() : second(), key("n"), kTimes, seen, soon()));
  }
  wait(writers.drain());
  EXPECT_EQ(get("n")->value, std::to_string(kWriters * kTimes));
  EXPECT_EQ(seen.size(), std::size_t(kWriters * kTimes));
}

TEST_P(Conformance, RangesArePagedByPrefixInTheOrderOfBytes) {
  // Bytes that end ranges, and that text could not hold.
  std::vector<std::string> names{"p",
                                 "p/",
                                 std::string("p/\0", 3),
                                 "p/a",
                                 std::string("p/a\0", 4),
                                 "p/b",
                                 "p/\x7f",
                                 "p/\x80",
                                 "p/\xff",
                                 "p/\xff\xff",
                                 "p0",
                                 "q"};
  Transaction all;
  for (const std::string& name : names) all.put(key(name), name);
  must_commit(std::move(all));
  const auto page = [&](std::string_view prefix, std::string_view after, std::size_t limit) {
    auto found = wait(second().range(key(prefix), after.empty() ? std::string() : key(after), limit, soon()));
    EXPECT_TRUE(found) << found.error().to_string();
    std::vector<std::string> values;
    for (const KeyValue& entry : found.value_or(std::vector<KeyValue>())) values.push_back(entry.value);
    return values;
  };
  const auto some = [&](std::size_t from, std::size_t to) {
    return std::vector<std::string>(names.begin() + std::ptrdiff_t(from), names.begin() + std::ptrdiff_t(to));
  };
  EXPECT_EQ(page("p/", "", 100), some(1, 10));
  EXPECT_EQ(page("p/", "", 3), some(1, 4));
  EXPECT_EQ(page("p/", "p/a", 2), some(4, 6));
  EXPECT_EQ(page("p/", "p/\xff\xff", 5), some(0, 0));
  EXPECT_EQ(page("p/\xff", "", 5), some(8, 10));
  EXPECT_EQ(page("p/", "a", 100), some(1, 10));
  EXPECT_EQ(page("p/", "z", 100), some(0, 0));
  EXPECT_EQ(page("p/", "", 0), some(0, 0));
  const auto everything = wait(cluster::range_all(first(), prefix_, soon()));
  ASSERT_TRUE(everything);
  EXPECT_EQ(everything->size(), names.size());
}

TEST_P(Conformance, EverythingUpToTheLimitsGoesInAndComesBack) {
  const std::string long_key = key(std::string(cluster::kMaxStateKeyBytes - prefix_.size() - 3, 'k'));
  Transaction largest;
  std::string value;
  for (std::size_t i = 0; i < cluster::kMaxStateValueBytes; ++i) value.push_back(static_cast<char>(i * 7));
  for (std::size_t i = 0; i < cluster::kMaxTransactionOperations; ++i) {
    largest.put(fmt::format("{}{:03}", long_key, i), value);
  }
  must_commit(std::move(largest));
  const auto watching = watch("", start_);
  const Events events = read(*watching, cluster::kMaxTransactionOperations);
  EXPECT_EQ(events.size(), cluster::kMaxTransactionOperations);
  EXPECT_EQ(events.back().value, value);
  const auto all = wait(cluster::range_all(second(), prefix_, soon()));
  ASSERT_TRUE(all);
  ASSERT_EQ(all->size(), cluster::kMaxTransactionOperations);
  for (const KeyValue& entry : *all) ASSERT_EQ(entry.value, value);
  Transaction checks;
  for (const KeyValue& entry : *all) checks.require(entry.key, entry.modified);
  EXPECT_TRUE(commit(std::move(checks)));
}

TEST_P(Conformance, WhatIsOverALimitIsRefusedAndChangesNothing) {
  const auto code_of = [&](Transaction transaction) {
    const auto done = commit(std::move(transaction));
    return done ? Code::kOk : done.error().code();
  };
  const std::string name = key("a");
  EXPECT_EQ(code_of(Transaction().put(name, "1").put(std::string(cluster::kMaxStateKeyBytes + 1, 'k'), "")),
            Code::kOutOfRange);
  EXPECT_EQ(code_of(Transaction().put(name, std::string(cluster::kMaxStateValueBytes + 1, 'v'))), Code::kOutOfRange);
  Transaction many;
  for (std::size_t i = 0; i <= cluster::kMaxTransactionOperations; ++i) many.put(key(std::to_string(i)), "");
  EXPECT_EQ(code_of(std::move(many)), Code::kOutOfRange);
  EXPECT_EQ(code_of(Transaction().put(name, "1").erase(name)), Code::kInvalidArgument);
  EXPECT_EQ(code_of(Transaction().put("", "1")), Code::kInvalidArgument);
  EXPECT_EQ(code_of(Transaction().put(name, "1", LeaseId(12345))), Code::kLeaseExpired);
  EXPECT_EQ(wait(first().grant_lease(cluster::kMaxLeaseTtl + 1s)).error().code(), Code::kOutOfRange);
  EXPECT_EQ(wait(first().grant_lease(Duration(0))).error().code(), Code::kOutOfRange);
  EXPECT_EQ(wait(cluster::range_all(second(), prefix_, soon()))->size(), 0u);
}

TEST_P(Conformance, AWatchShowsEveryChangeOnceInOrder) {
  const auto watching = watch("w/", start_);
  Events expected;
  for (int i = 0; i < 20; ++i) {
    const std::string one = key(fmt::format("w/{}", i % 3)), two = key(fmt::format("w/{}", 3 + i % 2));
    Transaction change;
    change.put(one, std::to_string(i)).put(key("elsewhere"), "x");
    if (i % 4 == 3) {
      change.erase(two).erase(key("w/never there"));
    } else {
      change.put(two, std::to_string(-i));
    }
    const bool there = get(two.substr(prefix_.size())).has_value();
    const Revision made = must_commit(std::move(change));
    expected.push_back({one, std::to_string(i), made});
    if (i % 4 != 3) expected.push_back({two, std::to_string(-i), made});
    if (i % 4 == 3 && there) expected.push_back({two, std::nullopt, made});
  }
  EXPECT_EQ(read(*watching, expected.size()), expected);
  // From the middle, and from the end.
  const Revision middle = expected[9].revision;
  std::erase_if(expected, [&](const WatchEvent& event) { return event.revision <= middle; });
  EXPECT_EQ(read(*watch("w/", middle), expected.size()), expected);
  const auto late = watch("w/", revision());
  const Revision last = must_commit(Transaction().put(key("w/last"), "1"));
  EXPECT_EQ(read(*late, 1), (Events{{key("w/last"), "1", last}}));
  EXPECT_EQ(read(*watching, 1).front().revision, last);
}

TEST_P(Conformance, AWatchFollowsManyWriters) {
  const auto watching = watch("n", start_);
  std::set<Revision> written, seen;
  Scope writers(world().reactor());
  for (int i = 0; i < 4; ++i) writers.spawn(increment(i % 2 == 0 ? first() : second(), key("n"), 8, written, soon()));
  Revision last(0);
  int value = 0;
  while (seen.size() < 32) {
    const auto events = wait(watching->next(soon()));
    EXPECT_TRUE(events) << events.error().to_string();
    if (!events) break;
    for (const WatchEvent& event : *events) {
      EXPECT_GT(event.revision, last);
      last = event.revision;
      seen.insert(last);
      EXPECT_EQ(event.value, std::to_string(++value));
    }
  }
  wait(writers.drain());
  EXPECT_EQ(seen, written);
}

TEST_P(Conformance, AWaitThatEndsLosesNothing) {
  const auto watching = watch("", start_);
  EXPECT_EQ(wait(watching->next(within(10ms))).error().code(), Code::kDeadlineExceeded);
  CancelSource cancel;
  cancel.cancel();
  EXPECT_EQ(wait(watching->next(Until{kNoDeadline, &cancel})).error().code(), Code::kCancelled);
  const Revision made = must_commit(Transaction().put(key("a"), "1"));
  EXPECT_EQ(read(*watching, 1), (Events{{key("a"), "1", made}}));
  EXPECT_EQ(wait(watching->next(within(10ms))).error().code(), Code::kDeadlineExceeded);
  const Revision next = must_commit(Transaction().put(key("a"), "2"));
  EXPECT_EQ(read(*watching, 1), (Events{{key("a"), "2", next}}));
}

TEST_P(Conformance, AWatchThatIsTooLateSaysSo) {
  must_commit(Transaction().put(key("a"), "1"));
  must_commit(Transaction().put(key("a"), "2"));
  const auto early = watch("", start_);
  world().compact();
  must_commit(Transaction().put(key("a"), "3"));
  const auto lost = wait(early->next(soon()));
  ASSERT_FALSE(lost);
  EXPECT_EQ(lost.error().code(), Code::kCompacted) << lost.error().to_string();
  EXPECT_EQ(wait(early->next(soon())).error().code(), Code::kCompacted);
  // What a reader does then.
  const auto again = watch("", revision());
  EXPECT_EQ(get("a")->value, "3");
  const Revision made = must_commit(Transaction().put(key("a"), "4"));
  EXPECT_EQ(read(*again, 1), (Events{{key("a"), "4", made}}));
}

TEST_P(Conformance, AKeyBelongsToTheLeaseItWasLastWrittenWith) {
  const Lease one = grant(60s), two = grant(60s);
  must_commit(Transaction().put(key("a"), "1", one.id).put(key("b"), "1", one.id).put(key("c"), "1", one.id));
  EXPECT_EQ(get("a")->lease, one.id);
  must_commit(Transaction().put(key("b"), "2").put(key("c"), "2", two.id));
  EXPECT_EQ(get("b")->lease, cluster::kNoLease);
  EXPECT_EQ(get("c")->lease, two.id);
  ASSERT_TRUE(wait(first().revoke_lease(one.id, soon())));
  EXPECT_FALSE(get("a"));
  EXPECT_EQ(get("b")->value, "2");
  EXPECT_EQ(get("c")->value, "2");
  EXPECT_EQ(wait(second().keep_alive(one.id, soon())).error().code(), Code::kLeaseExpired);
  ASSERT_TRUE(wait(first().revoke_lease(two.id, soon())));
  EXPECT_FALSE(get("c"));
}

TEST_P(Conformance, ALeaseThatIsKeptAliveStays) {
  // Until one was kept beyond its first end; whoever renews too late gets another.
  for (bool outlived = false; !outlived && !HasFailure();) {
    const Lease lease = hold_for_a_second({"a"});
    Instant valid_until = lease.valid_until;
    while (!outlived) {
      const auto kept = wait(second().keep_alive(lease.id, soon()));
      if (!kept) {
        EXPECT_EQ(kept.error().code(), Code::kLeaseExpired) << kept.error().to_string();
        EXPECT_GE(now(), valid_until);
        break;
      }
      EXPECT_GE(kept->valid_until, valid_until);
      valid_until = kept->valid_until;
      const auto found = get("a");
      outlived = now() > lease.valid_until + 100ms && now() < valid_until;
      if (outlived) EXPECT_TRUE(found);
    }
  }
}

Task<> run_for(Election& election, std::string value, LeaseId lease, Until until,
               std::vector<std::pair<std::string, Result<cluster::Leader>>>& won) {
  auto leader = co_await election.campaign(value, lease, until);
  won.emplace_back(std::move(value), std::move(leader));
}

TEST_P(Conformance, ALeaderHandsOver) {
  Election one(first(), key("leader")), two(second(), key("leader"));
  const Lease first_lease = grant(60s), second_lease = grant(60s);
  EXPECT_FALSE(*wait(two.current(soon())));
  const auto leader = wait(one.campaign("one", first_lease.id, soon()));
  ASSERT_TRUE(leader) << leader.error().to_string();
  EXPECT_EQ(wait(one.campaign("one", first_lease.id, soon()))->revision, leader->revision);
  EXPECT_EQ(wait(two.current(soon())).value()->value, "one");
  EXPECT_EQ(wait(two.campaign("two", second_lease.id, within(50ms))).error().code(), Code::kDeadlineExceeded);

  std::vector<std::pair<std::string, Result<cluster::Leader>>> won;
  Scope candidates(world().reactor());
  candidates.spawn(run_for(two, "two", second_lease.id, soon(), won));
  EXPECT_TRUE(wait(one.resign(*leader, soon())));
  auto seen = wait(one.changed(leader->revision, soon()));
  if (seen && !*seen) seen = wait(one.changed(Revision(0), soon()));
  wait(candidates.drain());
  ASSERT_TRUE(seen && *seen);
  EXPECT_EQ((*seen)->value, "two");
  ASSERT_EQ(won.size(), 1u);
  ASSERT_TRUE(won.front().second);
  EXPECT_GT(won.front().second->revision, leader->revision);

  // The old leader does no harm any more.
  const auto late = commit(Transaction().require(one.key(), leader->revision).put(key("state"), "of one"));
  EXPECT_EQ(late.error().code(), Code::kConditionFailed);
  EXPECT_TRUE(wait(one.resign(*leader, soon())));
  EXPECT_EQ(wait(one.current(soon())).value()->value, "two");
  must_commit(Transaction().require(one.key(), won.front().second->revision).put(key("state"), "of two"));
}

TEST_P(Conformance, ALeaseTakesItsKeysAndItsLeadershipWithItNoEarlierThanPromised) {
  Election election(second(), key("leader"));
  const Lease heirs = grant(60s);
  const Instant before = now();
  const Lease lease = hold_for_a_second({"a", "b", "leader"});
  EXPECT_GE(lease.ttl, 1s);
  EXPECT_GE(lease.valid_until, before + lease.ttl);
  const auto watching = watch("", revision());
  const auto next = wait(election.campaign("the next", heirs.id, soon()));
  EXPECT_GE(now(), lease.valid_until);
  ASSERT_TRUE(next) << next.error().to_string();
  std::set<std::string> gone;
  for (const WatchEvent& event : read(*watching, 4)) {
    if (!event.value) gone.insert(event.key);
  }
  EXPECT_EQ(gone, (std::set{key("a"), key("b"), key("leader")}));
  EXPECT_FALSE(get("a"));
  EXPECT_EQ(wait(first().keep_alive(lease.id, soon())).error().code(), Code::kLeaseExpired);
  EXPECT_EQ(commit(Transaction().put(key("a"), "5", lease.id)).error().code(), Code::kLeaseExpired);
  EXPECT_TRUE(wait(first().revoke_lease(lease.id, soon())));
  // Nor does who has no lease win what is free.
  ASSERT_TRUE(wait(election.resign(*next, soon())));
  EXPECT_EQ(wait(election.campaign("the last", lease.id, soon())).error().code(), Code::kLeaseExpired);
}

TEST_P(Conformance, AWatchSaysWhichKeysBelongToALease) {
  const Lease lease = grant(60s);
  const auto watching = watch("", revision());
  const Revision made = must_commit(Transaction().put(key("a"), "1", lease.id).put(key("b"), "2"));
  const Revision later = must_commit(Transaction().put(key("a"), "3").put(key("b"), "4", lease.id));
  EXPECT_EQ(read(*watching, 4), (Events{{key("a"), "1", made, lease.id},
                                        {key("b"), "2", made},
                                        {key("a"), "3", later},
                                        {key("b"), "4", later, lease.id}}));
  ASSERT_TRUE(wait(first().revoke_lease(lease.id, soon())));
  const auto gone = read(*watching, 1);
  EXPECT_EQ(gone.front().key, key("b"));
  EXPECT_EQ(gone.front().lease, cluster::kNoLease);
}

TEST_P(Conformance, WhatWasCommittedIsThereAfterARestart) {
  const Lease lease = grant(60s);
  const Revision made = must_commit(Transaction().put(key("a"), "1").put(key("leased"), "2", lease.id));
  auto watching = watch("", start_);
  EXPECT_EQ(read(*watching, 2).size(), 2u);
  if (!world().survives_restart()) watching.reset();
  world().restart();
  EXPECT_EQ(get("a")->value, "1");
  EXPECT_EQ(get("a")->modified, made);
  const auto refused = commit(Transaction().require(key("a"), Revision(0)).put(key("a"), "2"));
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code(), Code::kConditionFailed);
  const Revision next = must_commit(Transaction().require(key("a"), made).put(key("a"), "3"));
  EXPECT_GT(next, made);
  if (world().survives_restart()) {
    EXPECT_EQ(read(*watching, 1), (Events{{key("a"), "3", next}}));
    EXPECT_TRUE(wait(first().keep_alive(lease.id, soon())));
    EXPECT_EQ(get("leased")->value, "2");
  } else {
    EXPECT_EQ(wait(first().keep_alive(lease.id, soon())).error().code(), Code::kLeaseExpired);
    EXPECT_FALSE(get("leased"));
  }
  // From before the restart: everything, or a word that something is missing.
  const auto from_before = wait(watch("a", start_)->next(soon()));
  if (from_before) {
    EXPECT_EQ(from_before->front().revision, made);
  } else {
    EXPECT_EQ(from_before.error().code(), Code::kCompacted);
  }
}

INSTANTIATE_TEST_SUITE_P(Coordinators, Conformance, testing::Values(Kind::kEmbedded, Kind::kEtcd),
                         [](const auto& info) { return info.param == Kind::kEmbedded ? "embedded" : "etcd"; });

}  // namespace
}  // namespace cenote::etcd
