// What only an etcd can do, and have done to it: lost answers, silence, other members. What every coordinator promises
// is in conformance_test.cc.

#include "cenote/etcd/etcd_coordinator.h"

#include <gtest/gtest.h>

#include <cstdlib>
#include <optional>
#include <set>

#include "cenote/etcd/etcd_cluster.h"
#include "cenote/runtime/scope.h"
#include "conformance_world.h"

namespace cenote::etcd {
namespace {

using cluster::Coordinator;
using cluster::Revision;
using cluster::Transaction;
using cluster::WatchEvent;

/// All tests share one member, but for those that need more; each has a root of its own.
class EtcdTest : public testing::Test {
 protected:
  void start(std::size_t members) {
    if (members > 1) {
      own_ = std::make_unique<EtcdWorld>(members);
    } else if (shared == nullptr) {
      shared = std::make_unique<EtcdWorld>(1);
    }
    world_ = members > 1 ? own_.get() : shared.get();
    ASSERT_FALSE(HasFailure());
    failed_ = std::make_unique<Condition>(world_->reactor());
  }
  void TearDown() override {
    for (auto& client : clients_) EXPECT_TRUE(wait(client->close()));
  }
  static void TearDownTestSuite() { shared.reset(); }

  EtcdMember& member() { return *world_->cluster.members.front(); }
  Until within(Duration time) { return Until::at(world_->reactor().now() + time); }
  /// Only a hang lasts so long.
  Until soon() { return within(120s); }
  template <typename T>
  T wait(Task<T> task) {
    return world_->wait(std::move(task));
  }
  /// A client that says when an endpoint has failed it.
  EtcdCoordinator& connect(EtcdOptions options) {
    auto made = wait(EtcdCoordinator::open(world_->reactor(), std::move(options), Logger(*log_, "etcd")));
    EXPECT_TRUE(made) << made.error().to_string();
    clients_.push_back(*std::move(made));
    return *clients_.back();
  }
  EtcdOptions options() {
    return world_->options(fmt::format("cenote/{}/", testing::UnitTest::GetInstance()->current_test_info()->name()));
  }
  /// Until the client has met another failure of an endpoint.
  void await_failure() { EXPECT_TRUE(wait(wait_for(*failed_, soon()))); }
  static Task<Result<>> wait_for(Condition& condition, Until until) { co_return co_await condition.wait(until); }
  static Task<> commit_later(Coordinator& coordinator, Transaction transaction, Until until,
                             std::optional<Result<Revision>>& outcome) {
    outcome = co_await coordinator.commit(std::move(transaction), until);
  }
  static Task<> read_later(cluster::Watch& watch, Until until,
                           std::optional<Result<std::vector<WatchEvent>>>& outcome) {
    outcome = co_await watch.next(until);
  }
  EtcdOptions impatient() {
    EtcdOptions with = options();
    with.attempt_timeout = 150ms;
    return with;
  }

  EtcdWorld* world_ = nullptr;
  std::vector<std::unique_ptr<EtcdCoordinator>> clients_;
  // The log is written where the failure is met: on the reactor.
  std::unique_ptr<Condition> failed_;
  std::unique_ptr<LogOutput> log_ = *LogOutput::open(
      {.to_stderr = false, .lines_per_second = 0, .capture = [this](std::string_view) { failed_->notify_all(); }});

 private:
  std::unique_ptr<EtcdWorld> own_;
  static std::unique_ptr<EtcdWorld> shared;
};

std::unique_ptr<EtcdWorld> EtcdTest::shared;

TEST_F(EtcdTest, MembersComeAndGo) {
  start(2);  // a cluster of its own
  auto made = EtcdCluster::open(world_->reactor(), options(), Logger(*log_, "cluster"));
  ASSERT_TRUE(made) << made.error().to_string();
  EtcdCluster& cluster = **made;
  const auto members = [&] { return wait(cluster.members(soon())); };
  const auto before = members();
  ASSERT_TRUE(before) << before.error().to_string();
  ASSERT_EQ(before->size(), 2u);
  for (const ClusterMember& member : *before) {
    EXPECT_TRUE(member.name.starts_with('m'));
    EXPECT_EQ(member.client_urls.size(), 1u);
    EXPECT_FALSE(member.learner);
  }
  // Repeated, since etcd takes changes only when its members have been well for some seconds.
  const std::string url = fmt::format("http://127.0.0.1:{}", free_port());
  Result<> added;
  do added = wait(cluster.add_learner(url, soon()));
  while (!added && added.error() == Code::kUnreachable);
  ASSERT_TRUE(added) << added.error().to_string();
  const auto with = members();
  ASSERT_TRUE(with && with->size() == 3);
  const auto learner = std::ranges::find_if(*with, &ClusterMember::learner);
  ASSERT_TRUE(learner != with->end());
  EXPECT_EQ(learner->peer_urls, std::vector<std::string>{url});
  EXPECT_TRUE(learner->name.empty() && learner->client_urls.empty());
  // One at a time, and with a vote only when it has caught up.
  const auto second = wait(cluster.add_learner(fmt::format("http://127.0.0.1:{}", free_port()), soon()));
  ASSERT_FALSE(second);
  EXPECT_EQ(second.error().code(), Code::kConditionFailed) << second.error().to_string();
  const auto promoted = wait(cluster.promote(learner->id, soon()));
  ASSERT_FALSE(promoted);
  EXPECT_EQ(promoted.error().code(), Code::kConditionFailed) << promoted.error().to_string();
  EXPECT_TRUE(wait(cluster.remove(learner->id, soon())));
  const auto again = wait(cluster.remove(learner->id, soon()));
  ASSERT_FALSE(again);
  EXPECT_EQ(again.error().code(), Code::kNotFound);
  EXPECT_EQ(*members(), *before);
  wait(cluster.close());
}

TEST_F(EtcdTest, ClientsFollowWhereMembersAre) {
  start(2);
  EtcdOptions followed = impatient();
  const auto list = std::make_shared<EndpointList>(std::vector<std::string>{"http://127.0.0.1:1"});
  followed.changing = list;
  // It knows of nothing that answers, until somebody has found out.
  EXPECT_FALSE(wait(EtcdCoordinator::open(world_->reactor(), followed, Logger(*log_, "etcd"), within(300ms))));
  list->set(world_->cluster.endpoints);
  EtcdCoordinator& client = connect(followed);
  EXPECT_TRUE(wait(client.commit(Transaction().put("a", "1"), soon())));
  list->set({world_->cluster.endpoints.back()});
  EXPECT_TRUE(wait(client.get("a", soon())));
}

/// Counts with comparisons: one that took effect twice, or for which somebody was told wrongly, breaks the chain.
Task<> count(Coordinator& coordinator, int times, std::vector<Result<Revision>>& outcomes, Until until) {
  Revision last(0);
  for (int i = 0; i < times; ++i) {
    Transaction change;
    change.require("count", last).put("count", std::to_string(i)).put("log/" + std::to_string(i), "");
    outcomes.push_back(co_await coordinator.commit(std::move(change), until));
    if (!outcomes.back()) co_return;
    last = *outcomes.back();
  }
}

TEST_F(EtcdTest, ACommitWhoseAnswersAreLateTakesEffectOnce) {
  start(1);
  EtcdCoordinator& client = connect(impatient());
  std::vector<Result<Revision>> outcomes;
  Scope scope(world_->reactor());
  scope.spawn(count(client, 4, outcomes, soon()));
  // Frozen while a request is on its way or just before; several attempts wait at the socket and are all executed.
  member().freeze();
  await_failure();
  await_failure();
  member().thaw();
  wait(scope.drain());
  for (const auto& outcome : outcomes) EXPECT_TRUE(outcome) << outcome.error().to_string();
  EXPECT_EQ(outcomes.size(), 4u);
}

TEST_F(EtcdTest, ARefusalWhoseAnswerIsLateStaysOne) {
  start(1);
  EtcdCoordinator& client = connect(impatient());
  ASSERT_TRUE(wait(client.commit(Transaction().put("taken", "1"), soon())));
  std::optional<Result<Revision>> outcome;
  Scope scope(world_->reactor());
  member().freeze();
  Transaction change;
  change.require("taken", Revision(0)).put("taken", "2").put("other", "2");
  scope.spawn(commit_later(client, std::move(change), soon(), outcome));
  await_failure();
  member().thaw();
  wait(scope.drain());
  ASSERT_TRUE(outcome && !*outcome);
  EXPECT_EQ(outcome->error().code(), Code::kConditionFailed);
  // The comparison would hold now; copies of the refused transaction that come late must not.
  ASSERT_TRUE(wait(client.commit(Transaction().erase("taken"), soon())));
  EXPECT_FALSE(*wait(client.get("other", soon())));
  EXPECT_FALSE(*wait(connect(impatient()).get("other", soon())));
}

TEST_F(EtcdTest, ASessionThatEtcdHasEndedIsReplaced) {
  start(1);
  EtcdCoordinator& client = connect(impatient());
  const auto first = wait(client.commit(Transaction().put("a", "1"), soon()));
  ASSERT_TRUE(first);
  for (int round = 0; round < 3; ++round) {
    const Json leases = world_->ask("/v3/lease/leases", Json::object());
    ASSERT_TRUE(leases.contains("leases"));
    for (const Json& lease : leases["leases"]) world_->ask("/v3/lease/revoke", Json{{"ID", text_of(lease, "ID")}});
    EXPECT_EQ(wait(client.commit(Transaction().put("a", "never", cluster::LeaseId(12345)), soon())).error().code(),
              Code::kLeaseExpired);
    EXPECT_TRUE(wait(client.commit(Transaction().put("a", std::to_string(round)), soon())));
    EXPECT_EQ(wait(client.get("a", soon())).value()->value, std::to_string(round));
  }
}

// What is said is so, whatever became of the session meanwhile.
TEST_F(EtcdTest, ACommitThatOutlivesItsSessionIsNotGuessed) {
  start(1);
  EtcdOptions with = impatient();
  with.session_ttl = 1s;
  EtcdCoordinator& client = connect(with);
  const auto before = wait(client.commit(Transaction().put("a", "1"), soon()));
  ASSERT_TRUE(before);
  std::optional<Result<Revision>> outcome;
  Scope scope(world_->reactor());
  member().freeze();
  const Instant frozen = world_->reactor().now();
  Transaction change;
  change.require("a", *before).put("a", "2");
  scope.spawn(commit_later(client, std::move(change), soon(), outcome));
  while (world_->reactor().now() < frozen + 1200ms) await_failure();
  member().thaw();
  wait(scope.drain());
  ASSERT_TRUE(outcome);
  const auto found = wait(client.get("a", soon()));
  ASSERT_TRUE(found && *found);
  if (*outcome) {
    EXPECT_EQ((*found)->modified, **outcome);
  } else {
    EXPECT_EQ(outcome->error().code(), Code::kOutcomeUnknown) << outcome->error().to_string();
  }
}

TEST_F(EtcdTest, SaysWhenItDoesNotKnowAndWhenItDoes) {
  start(1);
  EtcdCoordinator& client = connect(impatient());
  const auto made = wait(client.commit(Transaction().put("a", "1"), soon()));
  ASSERT_TRUE(made);
  member().freeze();
  const auto unknown = wait(client.commit(Transaction().require("a", *made).put("a", "2"), within(1s)));
  EXPECT_EQ(unknown.error().code(), Code::kOutcomeUnknown) << unknown.error().to_string();
  EXPECT_EQ(wait(client.get("a", within(300ms))).error().code(), Code::kDeadlineExceeded);
  EXPECT_EQ(wait(client.keep_alive(cluster::LeaseId(1), within(300ms))).error().code(), Code::kDeadlineExceeded);
  CancelSource cancel;
  cancel.cancel();
  const auto cancelled = wait(client.commit(Transaction().put("b", "1"), Until{kNoDeadline, &cancel}));
  EXPECT_TRUE(cancelled.error() == Code::kCancelled || cancelled.error() == Code::kOutcomeUnknown);
  member().thaw();
  // What was unknown is seen by reading; the same transaction again does no harm.
  const auto again = wait(client.commit(Transaction().require("a", *made).put("a", "2"), soon()));
  const auto found = wait(client.get("a", soon()));
  ASSERT_TRUE(found && *found);
  EXPECT_EQ((*found)->value, "2");
  if (again) {
    EXPECT_EQ((*found)->modified, *again);
  } else {
    EXPECT_EQ(again.error().code(), Code::kConditionFailed);
  }
  // Nobody there: nothing went out, nothing happened.
  member().kill();
  const auto nowhere = wait(client.commit(Transaction().put("b", "1"), within(300ms)));
  EXPECT_EQ(nowhere.error().code(), Code::kDeadlineExceeded) << nowhere.error().to_string();
  ASSERT_EQ(member().start(), "");
}

TEST_F(EtcdTest, CommitsGoOnOverAKill) {
  start(1);
  EtcdCoordinator& client = connect(impatient());
  Scope scope(world_->reactor());
  std::vector<Result<Revision>> outcomes;
  constexpr int kTimes = 20;
  scope.spawn(count(client, kTimes, outcomes, soon()));
  const auto watching = *client.watch("log/", Revision(0));

  std::set<std::string> seen;
  std::size_t kills = 0;
  Revision last(0);
  while (seen.size() < kTimes) {
    const auto events = wait(watching->next(soon()));
    EXPECT_TRUE(events) << events.error().to_string();
    if (!events) break;
    for (const WatchEvent& event : *events) {
      EXPECT_GT(event.revision, last);
      last = event.revision;
      EXPECT_TRUE(seen.insert(event.key).second) << event.key << " came twice";
    }
    if (kills == 0 && seen.size() > 5) {
      world_->restart();
      ++kills;
    }
  }
  wait(scope.drain());
  for (const auto& outcome : outcomes) EXPECT_TRUE(outcome) << outcome.error().to_string();
  EXPECT_EQ(outcomes.size(), std::size_t(kTimes));
  EXPECT_EQ(kills, 1u);
}

TEST_F(EtcdTest, AWatchFindsOutThatItsEndpointIsSilent) {
  start(1);
  EtcdCoordinator& client = connect(impatient());
  auto watching = *client.watch("", *wait(client.revision(soon())));
  EXPECT_EQ(wait(watching->next(within(50ms))).error().code(), Code::kDeadlineExceeded);
  member().freeze();
  std::optional<Result<std::vector<WatchEvent>>> events;
  Scope scope(world_->reactor());
  scope.spawn(read_later(*watching, soon(), events));
  await_failure();
  member().thaw();
  const auto made = wait(connect(impatient()).commit(Transaction().put("a", "1"), soon()));
  wait(scope.drain());
  ASSERT_TRUE(made);
  ASSERT_TRUE(events && *events) << events->error().to_string();
  EXPECT_EQ((*events)->front().revision, *made);
  watching.reset();
}

// More than is kept for it, in messages that etcd cuts to pieces.
TEST_F(EtcdTest, AReaderThatIsSlowMissesNothing) {
  start(1);
  EtcdCoordinator& client = connect(options());
  const auto before = wait(client.revision(soon()));
  auto early = *client.watch("", *before);
  EXPECT_EQ(wait(early->next(within(50ms))).error().code(), Code::kDeadlineExceeded);
  std::vector<std::pair<std::string, Revision>> written;
  for (int i = 0; i < 10; ++i) {
    Transaction large;
    for (std::size_t key = 0; key < cluster::kMaxTransactionOperations; ++key) {
      large.put(fmt::format("{:03}", key), std::string(cluster::kMaxStateValueBytes, static_cast<char>('a' + i)));
    }
    const auto done = wait(client.commit(std::move(large), soon()));
    ASSERT_TRUE(done) << done.error().to_string();
    for (std::size_t key = 0; key < cluster::kMaxTransactionOperations; ++key) {
      written.emplace_back(fmt::format("{:03}", key), *done);
    }
  }
  auto late = *client.watch("", *before);
  for (auto* watching : {&early, &late}) {
    std::vector<std::pair<std::string, Revision>> seen;
    while (seen.size() < written.size()) {
      const auto events = wait((*watching)->next(soon()));
      ASSERT_TRUE(events) << events.error().to_string();
      // Whole transactions only.
      EXPECT_EQ(events->size() % cluster::kMaxTransactionOperations, 0u);
      for (const WatchEvent& event : *events) seen.emplace_back(event.key, event.revision);
    }
    EXPECT_TRUE(seen == written);
  }
}

TEST_F(EtcdTest, ALeaseThatCannotBeRenewedIsNotReliedOn) {
  start(1);
  EtcdCoordinator& client = connect(impatient());
  const auto lease = wait(client.grant_lease(1s, soon()));
  ASSERT_TRUE(lease);
  member().freeze();
  while (world_->reactor().now() < lease->valid_until) {
    EXPECT_FALSE(wait(client.keep_alive(lease->id, Until::at(lease->valid_until))));
  }
  member().thaw();
  // A copy of the renewal may be the first thing that etcd reads; if not, the lease is gone.
  const auto after = wait(client.keep_alive(lease->id, soon()));
  if (after) {
    EXPECT_GT(after->valid_until, lease->valid_until);
  } else {
    EXPECT_EQ(after.error().code(), Code::kLeaseExpired);
  }
}

TEST_F(EtcdTest, RefusesEndpointsThatLeadNowhere) {
  start(1);
  const auto code_of = [&](std::vector<std::string> endpoints, std::string root = "cenote/x/", Duration time = 60s) {
    EtcdOptions options = impatient();
    options.endpoints = std::move(endpoints);
    options.root = std::move(root);
    options.request_timeout = time;
    const auto made = wait(EtcdCoordinator::open(world_->reactor(), std::move(options), Logger()));
    return made ? Code::kOk : made.error().code();
  };
  EXPECT_EQ(code_of({}), Code::kInvalidArgument);
  EXPECT_EQ(code_of({"127.0.0.1:2379"}), Code::kInvalidArgument);
  EXPECT_EQ(code_of({"http://127.0.0.1:2379/"}), Code::kInvalidArgument);
  EXPECT_EQ(code_of(world_->cluster.endpoints, "cenote"), Code::kInvalidArgument);
  EXPECT_EQ(code_of({fmt::format("http://127.0.0.1:{}", free_port())}, "cenote/x/", 300ms), Code::kUnreachable);
  EXPECT_EQ(code_of({world_->cluster.endpoints[0] + "/v2"}), Code::kProtocolError);
}

TEST_F(EtcdTest, SystemsDoNotSeeEachOther) {
  start(1);
  EtcdOptions other = options();
  other.root = "cenote/other/";
  EtcdCoordinator& client = connect(std::move(other));
  ASSERT_TRUE(wait(client.commit(Transaction().put("a", "1"), soon())));
  EXPECT_FALSE(*wait(connect(impatient()).get("a", soon())));
  EXPECT_EQ(wait(cluster::range_all(connect(impatient()), "", soon()))->size(), 0u);
}

TEST_F(EtcdTest, OfThreeMembersTheLeaderMayDie) {
  start(3);
  EtcdOptions with = options();
  with.attempt_timeout = 500ms;
  EtcdCoordinator& client = connect(with);
  auto watching = *client.watch("log/", *wait(client.revision(soon())));
  Scope scope(world_->reactor());
  std::vector<Result<Revision>> outcomes;
  constexpr std::size_t kTimes = 40;
  scope.spawn(count(client, kTimes, outcomes, soon()));
  std::set<std::string> seen;
  bool killed = false;
  while (seen.size() < kTimes) {
    const auto events = wait(watching->next(soon()));
    EXPECT_TRUE(events) << events.error().to_string();
    if (!events) break;
    for (const WatchEvent& event : *events) EXPECT_TRUE(seen.insert(event.key).second);
    if (killed || seen.size() < 5) continue;
    const Json status = world_->ask("/v3/maintenance/status", Json::object());
    const std::string leader = text_of(status, "leader");
    for (std::size_t i = 0; i < 3; ++i) {
      const Json member = world_->ask("/v3/maintenance/status", Json::object(), i);
      if (text_of(member_of(member, "header"), "member_id") != leader) continue;
      world_->cluster.members[i]->kill();
      killed = true;
    }
    EXPECT_TRUE(killed);
    if (!killed) break;
  }
  wait(scope.drain());
  ASSERT_EQ(outcomes.size(), kTimes);
  for (const auto& outcome : outcomes) EXPECT_TRUE(outcome) << outcome.error().to_string();
  watching.reset();
}

/// A certificate that is its own authority, for servers and clients at once.
struct TestCertificate {
  TestCertificate() {
    std::string pattern = (std::filesystem::temp_directory_path() / "cenote-tls-XXXXXX").string();
    folder = ::mkdtemp(pattern.data());
    made = std::system(fmt::format("openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 2 "
                                   "-subj /CN=cenote -addext subjectAltName=IP:127.0.0.1 "
                                   "-keyout {0}/key -out {0}/certificate 2>{0}/log",
                                   folder)
                           .c_str()) == 0;
  }
  ~TestCertificate() { std::filesystem::remove_all(folder); }
  std::string certificate() const { return folder + "/certificate"; }
  std::string key() const { return folder + "/key"; }

  std::string folder;
  bool made;
};

TEST(EtcdTls, OnlyThoseWithACertificateAreServed) {
  const TestCertificate own;
  ASSERT_TRUE(own.made);
  TestCluster cluster(1,
                      {"--cert-file", own.certificate(), "--key-file", own.key(), "--trusted-ca-file",
                       own.certificate(), "--client-cert-auth"},
                      "https");
  ASSERT_EQ(cluster.start(), "");
  const auto reactor = *UringReactor::create();
  EtcdOptions options{.endpoints = cluster.endpoints, .root = "cenote/tls/"};
  options.tls = {.authorities = own.certificate(), .certificate = own.certificate(), .key = own.key()};
  auto client = reactor->block_on(EtcdCoordinator::open(*reactor, options, Logger()));
  ASSERT_TRUE(client) << client.error().to_string() << cluster.members[0]->log();
  EXPECT_TRUE(reactor->block_on((*client)->commit(Transaction().put("a", "1"))));
  EXPECT_TRUE(reactor->block_on((*client)->close()));

  options.request_timeout = 300ms;
  EtcdOptions nameless = options, trustless = options;
  nameless.tls.certificate = nameless.tls.key = "";
  trustless.tls.authorities = "";
  for (const EtcdOptions& wrong : {nameless, trustless}) {
    const auto refused = reactor->block_on(EtcdCoordinator::open(*reactor, wrong, Logger()));
    ASSERT_FALSE(refused);
    EXPECT_EQ(refused.error().code(), Code::kUnreachable) << refused.error().to_string();
  }
}

}  // namespace
}  // namespace cenote::etcd
