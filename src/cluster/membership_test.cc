#include <gtest/gtest.h>

#include <algorithm>
#include <list>
#include <set>

#include "cenote/base/format.h"
#include "cenote/cluster/embedded_coordinator.h"
#include "cenote/cluster/member.h"
#include "cenote/cluster/pool_losses.h"
#include "cenote/cluster/supervisor.h"
#include "cenote/media/sim_device.h"
#include "map_examples.h"
#include "membership_sim.h"

namespace cenote::cluster {
namespace {

using namespace std::chrono_literals;
using membership_sim::DriftingReactor;
using membership_sim::RemoteCoordinator;
using membership_sim::Truth;
using membership_sim::Weather;

constexpr std::uint64_t kBlocks = 128ull << 20 >> 12;
const Uuid kPool = map_examples::id(0);

/// Takes a while to switch. Of one pool.
class SlowUser final : public MapUser {
 public:
  SlowUser(SimWorld& world, Reactor& reactor) : world_(world), reactor_(reactor) {}
  Task<Result<Epoch>> switch_to(std::shared_ptr<const PoolMap>, std::uint32_t, Until until) override {
    serving = false;
    Event never(reactor_);
    const auto passed =
        co_await never.wait(until.no_later_than(reactor_.now() + Duration(world_.random_below(50'000'000))));
    if (passed.error() == Code::kCancelled) co_return fail(passed.error());
    co_return used;
  }
  void serve(Uuid, Epoch before) override {
    serving = true;
    closed = before;
  }
  Task<Result<>> hold_clients(bool hold) override {
    held = hold;
    co_return Result<>();
  }
  Task<Result<>> await_quiet(Until until) override {
    Event never(reactor_);
    while (busy) {
      const auto passed = co_await never.wait(until.no_later_than(reactor_.now() + 10ms));
      if (passed.error() == Code::kCancelled) co_return passed;
    }
    co_return Result<>();
  }
  void pause_moves(Uuid, bool is_paused) override { paused = is_paused; }
  void serve_nothing() override { serving = false; }
  void drop(Uuid) override { serving = false; }

  bool serving = false;  ///< as it was told
  bool held = false, paused = false;
  bool busy = false;  ///< with what clients have asked for
  Epoch used;
  Epoch closed;

 private:
  SimWorld& world_;
  Reactor& reactor_;
};

/// One process of an engine: its membership, and its candidate for the post of supervisor.
struct Process {
  Process(SimWorld& world, SimReactor& node, Coordinator& coordinator, Truth& truth, double rate)
      : clock(node, rate), way(world, clock, coordinator, truth), user(world, clock) {}

  bool used_in(const PoolMap& map) const {
    for (const MapTarget& target : map.targets()) {
      const bool used = target.state == ComponentState::kUp || PoolMap::is_complete(target);
      if (used && map.engines()[target.engine].rank == rank) return true;
    }
    return false;
  }

  DriftingReactor clock;
  RemoteCoordinator way;
  SlowUser user;
  Rank rank;
  Uuid id;
  bool alive = true;
  bool fit = true;  ///< to be a member
  std::unique_ptr<Member> member;
  std::unique_ptr<Supervisor> supervisor;
};

class Cluster {
 public:
  struct Options {
    Duration margin = 2500ms;
    double drift = 0;  ///< clocks run up to this much faster or slower
  };

  Cluster(std::uint64_t seed, std::uint32_t engines, std::uint32_t redundancy, Options options)
      : world(seed), options_(options) {
    {
      media::SimDevice device(node, "new", medium_);
      EXPECT_TRUE(
          world.block_on(node, store::Store::format(node, store::Devices::one(device), {.log_bytes = 4u << 20})));
      world.block_on(node, device.close());
    }
    device_ = std::make_unique<media::SimDevice>(node, "coordinator", medium_);
    store::OpenOptions open;
    open.cache_bytes = store::kMinCacheBytes;
    auto store = world.block_on(node, store::Store::open(node, store::Devices::one(*device_), open));
    coordinator_ = *world.block_on(node, EmbeddedCoordinator::open(*std::move(store)));
    operator_ = std::make_unique<RemoteCoordinator>(world, node, *coordinator_, truth);
    truth.on_map = [this](const PoolMap* before, const PoolMap& now) { check_exclusions(before, now); };
    std::vector<EngineSpec> specs;
    for (std::uint32_t i = 0; i < engines; ++i) specs.push_back(map_examples::engine(fmt::format("r{}/n", i), i, 2));
    EXPECT_TRUE(world.block_on(node, create_stored_map(*operator_, map_examples::map_of(specs), redundancy)));
    for (std::uint32_t i = 0; i < engines; ++i) start(Rank(i));
  }

  ~Cluster() {
    for (Process& process : processes) end(process, process.alive);
    static_cast<void>(world.block_on(node, operator_->close()));
    static_cast<void>(world.block_on(node, coordinator_->close()));
    world.block_on(node, device_->close());
  }

  /// A rate of 0: drawn.
  Process& start(Rank rank, bool predecessor_gone = false, double rate = 0) {
    if (rate == 0) rate = 1 + options_.drift * (static_cast<double>(world.random_below(2001)) / 1000 - 1);
    Process& process = processes.emplace_back(world, node, *coordinator_, truth, rate);
    process.rank = rank;
    process.id = Uuid::from_random(world.random(), world.random());
    const auto is_fit = [&process] { return process.fit ? Result<>() : Result<>(fail(Code::kClockOff)); };
    process.way.weather = weather_;
    process.member = std::make_unique<Member>(process.clock, process.way, process.user,
                                              MemberOptions{.rank = rank,
                                                            .engine = map_examples::id(rank.value()),
                                                            .process = process.id,
                                                            .drift_margin = options_.margin,
                                                            .predecessor_gone = predecessor_gone,
                                                            .may_register = is_fit});
    process.supervisor = std::make_unique<Supervisor>(
        process.clock, process.way,
        SupervisorOptions{.name = fmt::format("{}", rank.value()),
                          .drift_margin = options_.margin,
                          .may_lead = is_fit,
                          .on_suspicion = [this](Rank, const std::string&) { ++suspicions; }});
    process.member->start();
    process.supervisor->start();
    return process;
  }

  /// For all processes, those to come included.
  void set_weather(Weather weather) {
    weather_ = weather;
    for (Process& process : processes) process.way.weather = weather;
  }

  /// The present process of an engine; nullptr: none.
  Process* find(Rank rank) {
    for (auto process = processes.rbegin(); process != processes.rend(); ++process) {
      if (process->rank == rank && process->alive) return &*process;
    }
    return nullptr;
  }

  /// Ends the process: cleanly, or as a crash does, without a word to anybody.
  void end(Process& process, bool cleanly = false) {
    if (!process.member) return;
    if (!cleanly) process.alive = process.way.reachable = false;
    run(process.supervisor->stop(Until::at(process.clock.now() + 2s)));
    run(process.member->stop(Until::at(process.clock.now() + 2s)));
    process.alive = false;
    process.supervisor.reset();
    process.member.reset();
    run(finish(process.way));
  }

  /// False: it had not registered yet.
  Result<bool> attest(const Process& process) { return world.block_on(node, attest_exit(*operator_, process.id)); }

  Result<> report(MapVersion version, TargetId target) {
    return world.block_on(node, report_moved(*operator_, kPool, version, target));
  }
  StoredMap stored() { return **world.block_on(node, load_stored_map(*operator_, kPool)); }

  /// What an operator asks for. False: it was not legal, or something else came first.
  bool change(MapOperation operation, Rank rank) {
    StoredMap from = stored();
    PoolMap next = from.map;
    std::vector<TargetId> targets;
    for (std::uint32_t i = 0; i < next.targets().size(); ++i) {
      if (next.engines()[next.targets()[i].engine].rank == rank) targets.emplace_back(i);
    }
    if (!next.apply(operation, targets)) return false;
    return publish(std::move(from), std::move(next));
  }
  void stop_system() { EXPECT_TRUE(world.block_on(node, save_stop(*operator_, node.wall_now())).has_value()); }
  void start_system() {
    const auto stopped = *world.block_on(node, load_stop(*operator_));
    EXPECT_TRUE(world.block_on(node, erase_stop(*operator_, *stopped)).has_value());
  }
  /// How many engines have said that they are at rest.
  std::size_t quiet() {
    const auto stopped = *world.block_on(node, load_stop(*operator_));
    return world.block_on(node, list_quiet(*operator_, *stopped))->size();
  }
  bool settle() {
    StoredMap from = stored();
    PoolMap next = from.map;
    if (from.active != next.version() || !next.settle(next.version())) return false;
    return publish(std::move(from), std::move(next));
  }

  /// Every invariant is checked after every step.
  bool run_until(const std::function<bool()>& done, Duration limit) {
    const auto checked = [&] {
      check();
      return !violation.empty() || done();
    };
    return world.run_until(checked, limit) && violation.empty();
  }
  void let_pass(Duration time) {
    run_until([this, end = world.now() + time] { return world.now() >= end; }, time);
  }
  bool serves(Rank rank) {
    Process* process = find(rank);
    return process != nullptr && process->member->may_serve(kPool, truth.active());
  }
  bool all_serve(std::uint32_t engines) {
    for (std::uint32_t i = 0; i < engines; ++i) {
      if (!serves(Rank(i))) return false;
    }
    return truth.active() == truth.wanted();
  }
  bool is_excluded(Rank rank) {
    Process* process = &*std::ranges::find_if(processes, [rank](const Process& one) { return one.rank == rank; });
    return !process->used_in(*truth.map(truth.wanted()));
  }

  SimWorld world;
  SimReactor& node = world.add_node("all");
  Truth truth;
  std::list<Process> processes;
  std::string violation;
  int suspicions = 0;

 private:
  static Task<> flag(Task<> task, bool& done) {
    co_await std::move(task);
    done = true;
  }
  static Task<> finish(RemoteCoordinator& way) { static_cast<void>(co_await way.close()); }
  void run(Task<> task) {
    Scope scope(node);
    bool done = false;
    scope.spawn(flag(std::move(task), done));
    while (!done) world.run_until([&] { return check(), done; }, 1h);
    world.block_on(node, scope.stop());
  }

  bool publish(StoredMap from, PoolMap next) {
    by_operator_ = next.version();
    return world.block_on(node, publish_map(*operator_, std::move(from), std::move(next))).has_value();
  }

  void violate(std::string what) {
    if (violation.empty()) violation = fmt::format("seed {}: {}", world.seed(), what);
  }

  void check() {
    MapVersion served{0};
    std::set<Rank> valid;
    for (const Process& process : processes) {
      if (!process.alive || !process.member) continue;
      const Member& member = *process.member;
      if (member.may_serve() && !valid.insert(process.rank).second)
        violate(fmt::format("two processes of engine {} may serve", process.rank.value()));
      const MapVersion version = member.active_version(kPool);
      if ((member.may_serve() && process.user.serving) != member.may_serve(kPool, version))
        violate(fmt::format("the data path of engine {} was told something else", process.rank.value()));
      if (!member.may_serve(kPool, version)) continue;
      if (served != MapVersion(0) && served != version) violate("two versions are served at a time");
      served = version;
      if (version < truth.active())
        violate(fmt::format("engine {} serves version {}, but {} is active", process.rank.value(), version.value(),
                            truth.active().value()));
      const PoolMap* map = truth.map(version);
      if (map != nullptr && !process.used_in(*map))
        violate(fmt::format("engine {} serves and is excluded", process.rank.value()));
    }
  }

  void check_exclusions(const PoolMap* before, const PoolMap& now) {
    if (before == nullptr || now.version() == by_operator_) return;
    for (const Process& process : processes) {
      if (!process.alive || !process.member || !process.used_in(*before) || process.used_in(now)) continue;
      if (process.member->may_serve())
        violate(fmt::format("engine {} was excluded while it may serve", process.rank.value()));
    }
  }

  Options options_;
  Weather weather_;
  media::SimMedium medium_{kBlocks};
  std::unique_ptr<media::SimDevice> device_;
  std::unique_ptr<EmbeddedCoordinator> coordinator_;
  std::unique_ptr<RemoteCoordinator> operator_;
  MapVersion by_operator_{0};
};

TEST(Membership, EnginesRegisterAndServeTheActiveVersion) {
  Cluster cluster(1, 3, 1, {});
  EXPECT_TRUE(cluster.run_until([&] { return cluster.all_serve(3); }, 5s)) << cluster.violation;
  const Member& member = *cluster.find(Rank(0))->member;
  EXPECT_EQ(member.incarnation(), Incarnation(1));
  EXPECT_FALSE(member.may_serve(kPool, MapVersion(2)));
  EXPECT_FALSE(member.may_serve(map_examples::id(9), MapVersion(1)));
  cluster.let_pass(60s);
  EXPECT_TRUE(cluster.all_serve(3)) << "the leases are renewed";
  EXPECT_EQ(member.incarnation(), Incarnation(1));
}

TEST(Membership, ADeadEngineIsExcludedWithinEightSeconds) {
  for (std::uint64_t seed = 1; seed <= 4; ++seed) {
    Cluster cluster(seed, 3, 1, {});
    ASSERT_TRUE(cluster.run_until([&] { return cluster.all_serve(3); }, 5s)) << cluster.violation;
    cluster.let_pass(Duration(cluster.world.random_below(2'000'000'000)));
    // The supervisor may be among the dead.
    const Rank dead(static_cast<std::uint32_t>(seed % 3));
    const Instant at = cluster.world.now();
    cluster.end(*cluster.find(dead));
    EXPECT_FALSE(cluster.run_until([&] { return cluster.is_excluded(dead); }, at + 6400ms - cluster.world.now()));
    EXPECT_TRUE(cluster.run_until([&] { return cluster.is_excluded(dead); }, at + 8s - cluster.world.now()))
        << "seed " << seed << cluster.violation;
    EXPECT_TRUE(cluster.run_until([&] { return cluster.truth.active() == cluster.truth.wanted(); }, 1s));
  }
}

TEST(Membership, ACleanStopAndAnAttestedExitExcludeAtOnce) {
  Cluster cluster(2, 4, 2, {});
  ASSERT_TRUE(cluster.run_until([&] { return cluster.all_serve(4); }, 5s)) << cluster.violation;
  // One that does not supervise.
  std::vector<Rank> others;
  for (const Process& process : cluster.processes) {
    if (!process.supervisor->leads()) others.push_back(process.rank);
  }
  ASSERT_EQ(others.size(), 3u);
  cluster.end(*cluster.find(others[0]), true);
  EXPECT_TRUE(cluster.run_until([&] { return cluster.is_excluded(others[0]); }, 1s)) << cluster.violation;
  Process& killed = *cluster.find(others[1]);
  cluster.end(killed);
  EXPECT_EQ(cluster.attest(killed), true);
  EXPECT_TRUE(cluster.run_until([&] { return cluster.is_excluded(others[1]); }, 2s)) << cluster.violation;
  EXPECT_TRUE(cluster.run_until([&] { return cluster.truth.active() == cluster.truth.wanted(); }, 1s));
}

TEST(Membership, WhoMayNotBeAMemberSaysSoAndComesBack) {
  Cluster cluster(2, 3, 1, {});
  ASSERT_TRUE(cluster.run_until([&] { return cluster.all_serve(3); }, 5s)) << cluster.violation;
  Process& unfit = *cluster.find(Rank(1));
  unfit.fit = false;
  unfit.member->reconsider();
  unfit.supervisor->reconsider();
  EXPECT_TRUE(cluster.run_until([&] { return cluster.is_excluded(unfit.rank); }, 4s)) << cluster.violation;
  EXPECT_FALSE(cluster.run_until([&] { return unfit.member->may_serve() || unfit.supervisor->leads(); }, 10s));
  unfit.fit = true;
  EXPECT_TRUE(cluster.run_until([&] { return unfit.member->may_serve(); }, 2s)) << cluster.violation;
}

TEST(Membership, WhoIsAwayWhileTheSystemIsStoppedIsNotExcluded) {
  for (std::uint64_t seed = 1; seed <= 3; ++seed) {
    Cluster cluster(seed, 3, 1, {});
    ASSERT_TRUE(cluster.run_until([&] { return cluster.all_serve(3); }, 5s)) << cluster.violation;
    cluster.find(Rank(2))->user.busy = true;
    cluster.stop_system();
    cluster.let_pass(5s);
    EXPECT_EQ(cluster.quiet(), 2u) << "one has something to end first";
    for (const Process& process : cluster.processes) EXPECT_TRUE(process.user.held && process.user.paused);
    cluster.find(Rank(2))->user.busy = false;
    cluster.let_pass(1s);
    EXPECT_EQ(cluster.quiet(), 3u);
    EXPECT_FALSE(cluster.change(MapOperation::kDrain, Rank(0))) << "nothing is published";

    // One stops, one dies and that is attested, one dies.
    cluster.end(*cluster.find(Rank(0)), true);
    cluster.let_pass(2s);
    Process& killed = *cluster.find(Rank(1));
    cluster.end(killed);
    EXPECT_EQ(cluster.attest(killed), true);
    cluster.let_pass(60s);
    EXPECT_EQ(cluster.quiet(), 1u) << "who is gone says nothing";
    cluster.start(Rank(0));
    cluster.let_pass(2s);
    EXPECT_TRUE(cluster.find(Rank(0))->user.held) << "from its start on";
    EXPECT_EQ(cluster.quiet(), 2u);
    cluster.end(*cluster.find(Rank(2)));
    cluster.let_pass(60s);
    cluster.start(Rank(1));
    cluster.start(Rank(2));
    cluster.let_pass(10s);
    EXPECT_EQ(cluster.truth.wanted(), MapVersion(1));

    cluster.start_system();
    EXPECT_TRUE(cluster.run_until([&] { return cluster.all_serve(3); }, 5s)) << cluster.violation;
    cluster.let_pass(20s);
    EXPECT_EQ(cluster.truth.wanted(), MapVersion(1)) << cluster.violation;
    for (std::uint32_t i = 0; i < 3; ++i) {
      EXPECT_FALSE(cluster.find(Rank(i))->user.held);
      EXPECT_FALSE(cluster.find(Rank(i))->user.paused);
    }
    // What was said of one stop does not count for the next.
    cluster.find(Rank(0))->user.busy = true;
    cluster.stop_system();
    cluster.let_pass(2s);
    EXPECT_EQ(cluster.quiet(), 2u);
  }
}

TEST(Membership, WhoIsMissingWhenTheSystemGoesOnIsGoneFromThenOn) {
  Cluster cluster(1, 3, 1, {});
  ASSERT_TRUE(cluster.run_until([&] { return cluster.all_serve(3); }, 5s)) << cluster.violation;
  // A version that not all have acknowledged stays as it is.
  cluster.find(Rank(1))->way.reachable = false;
  EXPECT_TRUE(cluster.change(MapOperation::kDrain, Rank(0)));
  cluster.stop_system();
  cluster.find(Rank(1))->way.reachable = true;
  cluster.end(*cluster.find(Rank(2)));
  cluster.let_pass(60s);
  EXPECT_EQ(cluster.truth.active(), MapVersion(1));
  EXPECT_EQ(cluster.truth.wanted(), MapVersion(2));
  const Instant at = cluster.world.now();
  cluster.start_system();
  EXPECT_FALSE(cluster.run_until([&] { return cluster.is_excluded(Rank(2)); }, at + 2400ms - cluster.world.now()))
      << "it has the margin";
  EXPECT_TRUE(cluster.run_until([&] { return cluster.is_excluded(Rank(2)); }, 1s)) << cluster.violation;
  EXPECT_TRUE(cluster.run_until([&] { return cluster.serves(Rank(0)) && cluster.serves(Rank(1)); }, 5s));
}

TEST(Membership, SuspicionExcludesNobody) {
  Cluster cluster(3, 3, 1, {});
  ASSERT_TRUE(cluster.run_until([&] { return cluster.all_serve(3); }, 5s));
  for (Process& process : cluster.processes) process.supervisor->suspect(Rank(1), "connection refused");
  cluster.let_pass(20s);
  EXPECT_EQ(cluster.suspicions, 3);
  EXPECT_TRUE(cluster.all_serve(3)) << cluster.violation;
}

TEST(Membership, BeyondTheRedundancyThePoolIsSuspended) {
  Cluster cluster(4, 3, 1, {});
  ASSERT_TRUE(cluster.run_until([&] { return cluster.all_serve(3); }, 5s));
  cluster.end(*cluster.find(Rank(0)));
  cluster.end(*cluster.find(Rank(1)));
  cluster.let_pass(20s);
  const StoredMap stored = cluster.stored();
  EXPECT_EQ(cluster.is_excluded(Rank(0)), !cluster.is_excluded(Rank(1)));
  ASSERT_EQ(stored.suspended.size(), 1u);
  EXPECT_FALSE(cluster.is_excluded(stored.suspended[0]));
  EXPECT_EQ(cluster.find(Rank(2))->member->find_pool(kPool)->suspended, stored.suspended);
  EXPECT_TRUE(cluster.serves(Rank(2)));
  // The one that was not excluded serves again; then nothing is refused any more.
  cluster.start(stored.suspended[0]);
  EXPECT_TRUE(cluster.run_until([&] { return cluster.serves(stored.suspended[0]); }, 5s)) << cluster.violation;
  cluster.let_pass(1s);
  EXPECT_TRUE(cluster.stored().suspended.empty());
}

TEST(Membership, AnExcludedEngineServesOnlyWhenItIsReintegrated) {
  Cluster cluster(5, 3, 1, {});
  ASSERT_TRUE(cluster.run_until([&] { return cluster.all_serve(3); }, 5s));
  Process& cut_off = *cluster.find(Rank(2));
  cut_off.way.reachable = false;
  cluster.let_pass(12s);
  EXPECT_TRUE(cluster.is_excluded(Rank(2)));
  cut_off.way.reachable = true;
  cluster.let_pass(10s);
  EXPECT_EQ(cut_off.member->incarnation(), Incarnation(2));
  EXPECT_TRUE(cut_off.member->may_serve());
  EXPECT_FALSE(cluster.serves(Rank(2)));
  ASSERT_TRUE(cluster.change(MapOperation::kReintegrate, Rank(2)));
  EXPECT_TRUE(cluster.run_until([&] { return cluster.all_serve(3); }, 2s)) << cluster.violation;
}

TEST(Membership, WhoIsLostIsAwaitedUnlessItWasToLeave) {
  Cluster cluster(8, 4, 2, {});
  ASSERT_TRUE(cluster.run_until([&] { return cluster.all_serve(4); }, 5s));
  ASSERT_TRUE(cluster.change(MapOperation::kDrain, Rank(1)));
  cluster.let_pass(2s);
  cluster.end(*cluster.find(Rank(1)), true);
  ASSERT_TRUE(cluster.run_until([&] { return cluster.is_excluded(Rank(1)); }, 2s)) << cluster.violation;
  EXPECT_TRUE(cluster.stored().losses.empty());
  for (std::uint32_t times = 1; times <= 2; ++times) {
    cluster.end(*cluster.find(Rank(3)), true);
    ASSERT_TRUE(cluster.run_until([&] { return cluster.is_excluded(Rank(3)); }, 2s)) << cluster.violation;
    const std::vector<Loss> expected{{.rank = Rank(3), .times = times}};
    EXPECT_EQ(cluster.stored().losses, expected);
    EXPECT_EQ(awaited_engines(cluster.stored()), expected);
    cluster.start(Rank(3));
    ASSERT_TRUE(cluster.change(MapOperation::kReintegrate, Rank(3)));
    ASSERT_TRUE(cluster.run_until([&] { return cluster.serves(Rank(3)); }, 5s)) << cluster.violation;
    EXPECT_TRUE(awaited_engines(cluster.stored()).empty());
  }
}

TEST(Membership, AVersionClosesWhatAllHaveUsedBefore) {
  Cluster cluster(7, 4, 1, {});
  ASSERT_TRUE(cluster.run_until([&] { return cluster.all_serve(4); }, 5s));
  for (std::uint32_t rank = 0; rank < 4; ++rank) cluster.find(Rank(rank))->user.used = Epoch(100 + rank * 10);
  cluster.end(*cluster.find(Rank(3)));
  ASSERT_TRUE(cluster.run_until([&] { return cluster.is_excluded(Rank(3)) && cluster.all_serve(3); }, 12s));
  EXPECT_EQ(cluster.stored().closed, Epoch(120)) << "the one that is gone has said nothing";
  for (std::uint32_t rank = 0; rank < 3; ++rank) EXPECT_EQ(cluster.find(Rank(rank))->user.closed, Epoch(120));
}

// What only an engine has that is gone, and is not excluded, would be later than the closing epoch: it would not move.
TEST(Membership, AVersionClosesWhatAnEngineMayHaveUsedThatDoesNotSay) {
  for (const bool cleanly : {false, true}) {
    Cluster cluster(9, 3, 0, {});
    ASSERT_TRUE(cluster.run_until([&] { return cluster.all_serve(3); }, 5s));
    cluster.let_pass(1s);
    const WallTime died = cluster.node.wall_now();
    cluster.end(*cluster.find(Rank(2)), cleanly);
    ASSERT_TRUE(cluster.change(MapOperation::kDrain, Rank(1)));
    ASSERT_TRUE(cluster.run_until([&] { return cluster.truth.active() == cluster.truth.wanted(); }, 10s));
    ASSERT_FALSE(cluster.is_excluded(Rank(2)));
    // Its clock may have been ahead.
    EXPECT_GE(cluster.stored().closed, Epoch(static_cast<std::uint64_t>((died + 1s).time_since_epoch().count())));
    const Epoch before = cluster.stored().closed;
    ASSERT_TRUE(cluster.change(MapOperation::kReintegrate, Rank(1)));
    ASSERT_TRUE(cluster.run_until([&] { return cluster.truth.active() == cluster.truth.wanted(); }, 10s));
    EXPECT_GT(cluster.stored().closed, before) << "whose clock it may have followed";
  }
}

TEST(Membership, AMoveEndsWhenAllTargetsHaveSaidThatTheyHaveTheirData) {
  Cluster cluster(6, 4, 1, {});
  ASSERT_TRUE(cluster.run_until([&] { return cluster.all_serve(4); }, 5s));
  cluster.end(*cluster.find(Rank(1)));
  ASSERT_TRUE(cluster.run_until([&] { return cluster.is_excluded(Rank(1)); }, 9s));
  cluster.let_pass(2s);
  const StoredMap lost = cluster.stored();
  ASSERT_TRUE(lost.map.is_moving());
  std::vector<TargetId> wanted;
  for (std::uint32_t i = 0; i < lost.map.targets().size(); ++i)
    if (lost.map.is_wanted(lost.map.target(TargetId(i)))) wanted.emplace_back(i);
  ASSERT_GT(wanted.size(), 1u);
  for (std::size_t i = 0; i + 1 < wanted.size(); ++i) ASSERT_TRUE(cluster.report(lost.map.version(), wanted[i]));
  cluster.let_pass(2s);
  EXPECT_EQ(cluster.stored().map.version(), lost.map.version()) << "one has not reported";
  ASSERT_TRUE(cluster.report(lost.map.version(), wanted.back()));
  EXPECT_TRUE(cluster.run_until([&] { return !cluster.truth.map(cluster.truth.wanted())->is_moving(); }, 2s));
  EXPECT_TRUE(cluster.run_until([&] { return cluster.truth.active() == cluster.truth.wanted(); }, 2s));
  EXPECT_EQ(cluster.report(lost.map.version(), wanted.back()).error(), Code::kStaleMap);
}

// The margin is what a slow clock needs: without it the engine would be excluded while it may serve.
TEST(Membership, ASlowClockIsCoveredByTheMargin) {
  Cluster cluster(6, 3, 1, {.margin = 1s});
  ASSERT_TRUE(cluster.run_until([&] { return cluster.all_serve(3); }, 5s));
  cluster.end(*cluster.find(Rank(2)), true);
  cluster.let_pass(1s);
  Process& slow = cluster.start(Rank(2), false, 0.9);
  cluster.let_pass(5s);
  ASSERT_TRUE(cluster.change(MapOperation::kReintegrate, Rank(2)));
  ASSERT_TRUE(cluster.run_until([&] { return cluster.all_serve(3); }, 5s)) << cluster.violation;
  slow.way.reachable = false;
  EXPECT_TRUE(cluster.run_until([&] { return cluster.is_excluded(Rank(2)); }, 8s)) << cluster.violation;
}

// The answer to the last renewal takes longer than the margin: counted from it the lease would last too long.
TEST(Membership, ALateAnswerMakesTheLeaseNoLonger) {
  Cluster cluster(7, 3, 1, {.margin = 300ms});
  ASSERT_TRUE(cluster.run_until([&] { return cluster.all_serve(3); }, 5s));
  std::vector<Process*> others;
  for (Process& process : cluster.processes) {
    if (!process.supervisor->leads()) others.push_back(&process);
  }
  Process& late = *others.at(0);
  late.way.weather.answer_delay_max = 1900ms;
  for (int i = 0; i < 5 && cluster.violation.empty(); ++i) {
    cluster.let_pass(Duration(1'000'000'000 + cluster.world.random_below(4'000'000'000)));
    Instant until = late.member->valid_until();
    // Right after a renewal was answered.
    cluster.run_until([&] { return late.member->valid_until() != until; }, 10s);
    late.way.reachable = false;
    cluster.run_until([&] { return cluster.is_excluded(late.rank); }, 10s);
    late.way.reachable = true;
    cluster.let_pass(8s);
    cluster.change(MapOperation::kReintegrate, late.rank);
    cluster.settle();
  }
  EXPECT_EQ(cluster.violation, "");
}

TEST(Membership, ASecondProcessWaitsForTheLeaseOfTheFirst) {
  Cluster cluster(8, 3, 1, {});
  ASSERT_TRUE(cluster.run_until([&] { return cluster.all_serve(3); }, 5s));
  Process& hung = *cluster.find(Rank(1));
  cluster.start(Rank(1));
  cluster.let_pass(5s);
  EXPECT_TRUE(hung.member->may_serve());
  EXPECT_FALSE(cluster.find(Rank(1))->member->may_serve());
  hung.way.reachable = false;
  EXPECT_TRUE(cluster.run_until([&] { return cluster.find(Rank(1))->member->may_serve(); }, 10s)) << cluster.violation;
}

/// Faults at random, in the weather of the seed; then everything heals and must come to rest.
class MembershipFaults : public testing::TestWithParam<std::uint64_t> {};

// One story, told in one piece.
// NOLINTNEXTLINE(readability-function-size)
TEST_P(MembershipFaults, NothingIsServedTwiceAndEverythingComesToRest) {
  constexpr std::uint32_t kEngines = 4;
  const std::uint64_t seed = GetParam();
  SCOPED_TRACE(fmt::format("seed {}", seed));
  Cluster cluster(seed, kEngines, 2, {.margin = seed % 2 == 0 ? 2500ms : 500ms, .drift = 0.04});
  SimWorld& world = cluster.world;
  ASSERT_TRUE(cluster.run_until([&] { return cluster.all_serve(kEngines); }, 5s)) << cluster.violation;
  cluster.set_weather({.request_delay_max = 5ms,
                       .answer_delay_max = seed % 3 == 0 ? 400ms : 20ms,
                       .loss_percent = static_cast<std::uint32_t>(seed % 4) * 5});
  for (int step = 0; step < 40 && cluster.violation.empty(); ++step) {
    cluster.let_pass(Duration(world.random_below(4'000'000'000)));
    const Rank rank(static_cast<std::uint32_t>(world.random_below(kEngines)));
    Process* process = cluster.find(rank);
    switch (world.random_below(14)) {
      case 0:  // Crash; sometimes somebody saw it.
        if (process == nullptr) break;
        cluster.end(*process);
        if (world.chance(1, 2)) EXPECT_TRUE(cluster.attest(*process).has_value());
        break;
      case 1: {  // The supervisor crashes, in the middle of a change if there is one.
        const MapVersion before = cluster.truth.wanted();
        cluster.run_until([&] { return cluster.truth.wanted() != before; }, 3s);
        cluster.let_pass(Duration(world.random_below(200'000'000)));
        for (Process& one : cluster.processes) {
          if (one.alive && one.supervisor->leads()) {
            cluster.end(one);
            break;
          }
        }
        break;
      }
      case 2:
        if (process != nullptr) cluster.end(*process, true);
        break;
      case 3:  // Hangs for good, cut off, while another process starts.
        if (process == nullptr) break;
        process->way.reachable = false;
        cluster.start(rank);
        break;
      case 4:
      case 5:
        if (process != nullptr) process->way.reachable = !process->way.reachable;
        break;
      case 6:
        cluster.change(MapOperation::kExclude, rank);
        break;
      case 7:
      case 8:
        cluster.settle();
        break;
      default:
        if (process == nullptr) cluster.start(rank, world.chance(1, 2));
        cluster.change(MapOperation::kReintegrate, rank);
        break;
    }
  }
  ASSERT_EQ(cluster.violation, "");
  for (Process& process : cluster.processes) {
    if (process.alive && cluster.find(process.rank) != &process) cluster.end(process);
    process.way.reachable = process.alive;
    process.way.weather = {};
  }
  cluster.let_pass(20s);
  ASSERT_EQ(cluster.violation, "");
  const StoredMap stored = cluster.stored();
  bool someone = false;
  for (std::uint32_t i = 0; i < kEngines; ++i) someone = someone || cluster.find(Rank(i)) != nullptr;
  if (!someone) return;
  EXPECT_EQ(stored.active, stored.map.version());
  for (std::uint32_t i = 0; i < kEngines; ++i) {
    const bool suspended = std::ranges::count(stored.suspended, Rank(i)) != 0;
    if (cluster.find(Rank(i)) == nullptr) {
      EXPECT_TRUE(cluster.is_excluded(Rank(i)) || suspended) << i;
    } else {
      EXPECT_EQ(cluster.serves(Rank(i)), !cluster.is_excluded(Rank(i))) << i;
    }
  }
}

INSTANTIATE_TEST_SUITE_P(Seeds, MembershipFaults, testing::Range<std::uint64_t>(1, 13));

}  // namespace
}  // namespace cenote::cluster
