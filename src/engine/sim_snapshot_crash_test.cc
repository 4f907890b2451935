#include <gtest/gtest.h>

#include "cenote/base/format.h"
#include "cenote/engine/sim_engine.h"
#include "cenote/runtime/scope.h"
#include "test_client.h"

namespace cenote::engine {
namespace {

using namespace std::chrono_literals;

const ObjectId kObject = ObjectId::make(ObjectClass::kSX, KeyFlavour::kLexical, KeyFlavour::kLexical, 1, 1);
constexpr const char* kSnapshots = "/v1/pools/p/containers/c/snapshots";
constexpr const char* kSource = "/v1/pools/p/containers/c";
constexpr const char* kClone = "/v1/pools/p/containers/k";
/// Spread over both targets.
constexpr int kKeys = 16;

Bytes value_of(int key, int generation) { return to_bytes(as_bytes(fmt::format("{} of {}", generation, key))); }

/// An engine with two targets and a client; creates and destroys a snapshot and cuts the power at some device write of
/// a target.
class SnapshotCrash {
 public:
  explicit SnapshotCrash(std::uint64_t seed)
      : world_(seed), network_(world_), engine_(world_, network_, {.reactors = 2}), node_(world_.add_node("client")) {
    EXPECT_TRUE(world_.block_on(engine_.control(), engine_.start()).has_value());
    client_ = std::make_unique<TestClient>(node_, network_.transport(node_), engine_.address());
    container_ = wait(client_->set_up()).value();
  }
  ~SnapshotCrash() {
    world_.block_on(node_, client_->stop());
    EXPECT_TRUE(world_.block_on(engine_.control(), engine_.stop()).has_value());
  }

  template <typename T>
  T wait(Task<T> task) {
    return world_.block_on(node_, std::move(task));
  }
  void put_all(int generation) {
    for (int key = 0; key < kKeys; ++key) {
      const auto put = wait(client_->put(container_, kObject, fmt::format("key {}", key), value_of(key, generation)));
      ASSERT_TRUE(put.has_value()) << put.error().to_string();
    }
  }
  /// What every key shows at an epoch.
  void expect_all(Epoch epoch, int generation) {
    for (int key = 0; key < kKeys; ++key) {
      const auto got = wait(client_->get(container_, kObject, fmt::format("key {}", key), epoch));
      ASSERT_TRUE(got.has_value()) << got.error().to_string();
      EXPECT_EQ(*got, value_of(key, generation)) << "key " << key;
    }
  }
  void expect_none(Epoch epoch) {
    for (int key = 0; key < kKeys; ++key) {
      const auto got = wait(client_->get(container_, kObject, fmt::format("key {}", key), epoch));
      ASSERT_FALSE(got.has_value()) << "key " << key << " is still kept";
      EXPECT_EQ(got.error(), Code::kEpochTooOld);
    }
  }
  /// Until aggregation has merged everything that it may.
  void pass_retention() {
    world_.run_until([] { return false; }, 100s);
  }

  /// From now on keys are those of the container at a path. False: there is none.
  bool use(const char* path) {
    const auto found = wait(client_->admin(AdminMethod::kGet, path));
    if (found) container_ = container_info_from_json(*found).value().id;
    return found.has_value();
  }

  bool is_clone(const char* path) {
    const auto found = wait(client_->admin(AdminMethod::kGet, path));
    return found && container_info_from_json(*found).value().clone_of;
  }

  std::vector<SnapshotInfo> list() {
    const auto listed = wait(client_->admin(AdminMethod::kGet, kSnapshots));
    EXPECT_TRUE(listed.has_value()) << listed.error().to_string();
    return listed ? snapshots_from_json(*listed).value() : std::vector<SnapshotInfo>();
  }

  /// Sends a request, cuts the power at device write number `write` of a target from now, and starts again. Returns
  /// whether it came to that. The client sends again what was not answered.
  /// `after`: how long what the request begins may go on once it is answered.
  bool crash_during(AdminMethod method, const std::string& path, const std::string& body, std::uint32_t target,
                    std::uint64_t write, Duration after = {}) {
    bool crashed = false;
    engine_.device(target)->set_write_hook([&](std::uint64_t, const media::IoRequest&) {
      if (crashed || --write != 0) return;
      crashed = true;
      world_.after(Duration(0), [this] { engine_.crash(); });
    });
    Scope scope(node_);
    const auto run = [](Task<Result<std::string>> task) -> Task<> { static_cast<void>(co_await std::move(task)); };
    scope.spawn(run(client_->admin(method, path, body)));
    world_.run_until([&] { return crashed || scope.running() == 0; }, 10s);
    if (after > Duration(0)) world_.run_until([&] { return crashed; }, after);
    if (!crashed) engine_.device(target)->set_write_hook({});
    world_.run_until([] { return false; }, 10ms);
    if (crashed) {
      world_.block_on(engine_.control(), engine_.clear());
      const auto started = world_.block_on(engine_.control(), engine_.start());
      EXPECT_TRUE(started.has_value()) << started.error().to_string();
    }
    world_.block_on(node_, scope.drain());
    return crashed;
  }

 private:
  SimWorld world_;
  rpc::SimNetwork network_;
  SimEngine engine_;
  SimReactor& node_;
  std::unique_ptr<TestClient> client_;
  Uuid container_;
};

/// Crashes while a snapshot is made: the one that a list shows is kept by every target.
bool create_and_crash(std::uint32_t target, std::uint64_t write) {
  SnapshotCrash run(100 * target + write);
  run.put_all(1);
  const bool crashed = run.crash_during(AdminMethod::kPost, kSnapshots, R"({"name":"s"})", target, write);
  const auto listed = run.list();
  EXPECT_EQ(listed.size(), 1u) << "it was sent again";
  if (listed.size() != 1) return crashed;
  run.put_all(2);
  run.pass_retention();
  run.expect_all(listed[0].epoch, 1);
  run.expect_all(kEpochLatest, 2);
  // Nothing that the crash may have left beside it is kept.
  run.expect_none(Epoch(listed[0].epoch.value() - 2));
  return crashed;
}

/// Crashes while a snapshot goes: no target keeps it.
bool destroy_and_crash(std::uint32_t target, std::uint64_t write) {
  SnapshotCrash run(1000 + 100 * target + write);
  run.put_all(1);
  EXPECT_FALSE(run.crash_during(AdminMethod::kPost, kSnapshots, R"({"name":"s"})", target, 1000));
  const auto listed = run.list();
  EXPECT_EQ(listed.size(), 1u);
  run.put_all(2);
  const bool crashed = run.crash_during(AdminMethod::kDelete, std::string(kSnapshots) + "/s", "", target, write);
  EXPECT_TRUE(run.list().empty());
  run.pass_retention();
  if (!listed.empty()) run.expect_none(listed[0].epoch);
  run.expect_all(kEpochLatest, 2);
  return crashed;
}

/// Crashes while the container is rolled back: every target has done it, once. What is written afterwards stays.
bool roll_back_and_crash(std::uint32_t target, std::uint64_t write) {
  SnapshotCrash run(2000 + 100 * target + write);
  run.put_all(1);
  EXPECT_FALSE(run.crash_during(AdminMethod::kPost, kSnapshots, R"({"name":"s"})", target, 1000));
  run.put_all(2);
  EXPECT_FALSE(run.crash_during(AdminMethod::kPost, kSnapshots, R"({"name":"newer"})", target, 1000));
  run.put_all(3);
  const std::string path = std::string(kSnapshots) + "/s/rollback?force=true";
  const bool crashed = run.crash_during(AdminMethod::kPost, path, "", target, write);
  run.expect_all(kEpochLatest, 1);
  const auto listed = run.list();
  EXPECT_EQ(listed.size(), 1u);
  if (!listed.empty()) run.expect_all(listed[0].epoch, 1);
  run.put_all(4);
  run.pass_retention();
  run.expect_all(kEpochLatest, 4);
  if (!listed.empty()) run.expect_all(listed[0].epoch, 1);
  return crashed;
}

/// Crashes while a clone is made: it shows one moment of its source on every target, and goes on from there.
bool clone_and_crash(std::uint32_t target, std::uint64_t write) {
  SnapshotCrash run(3000 + 100 * target + write);
  run.put_all(1);
  const bool crashed =
      run.crash_during(AdminMethod::kPost, std::string(kSource) + "/clones", R"({"label":"k"})", target, write);
  EXPECT_TRUE(run.list().empty()) << "what keeps its moment is nobody's snapshot";
  run.put_all(2);
  EXPECT_TRUE(run.use(kClone)) << "it was sent again";
  run.pass_retention();
  run.expect_all(kEpochLatest, 1);
  run.put_all(3);
  run.expect_all(kEpochLatest, 3);
  EXPECT_TRUE(run.use(kSource));
  run.expect_all(kEpochLatest, 2);
  return crashed;
}

/// Crashes while the source of a clone is destroyed, and once more while the clone is.
bool destroy_source_and_crash(std::uint32_t target, std::uint64_t write) {
  SnapshotCrash run(4000 + 100 * target + write);
  run.put_all(1);
  EXPECT_FALSE(
      run.crash_during(AdminMethod::kPost, std::string(kSource) + "/clones", R"({"label":"k"})", target, 1000));
  run.put_all(2);
  const bool crashed = run.crash_during(AdminMethod::kDelete, kSource, "", target, write);
  EXPECT_FALSE(run.use(kSource));
  EXPECT_TRUE(run.use(kClone));
  run.expect_all(kEpochLatest, 1);
  run.pass_retention();
  run.expect_all(kEpochLatest, 1);
  run.crash_during(AdminMethod::kDelete, kClone, "", target, write);
  EXPECT_FALSE(run.use(kClone));
  run.pass_retention();
  return crashed;
}

/// Crashes while a clone is flattened, whose source is gone: it goes on by itself, and shows what it showed.
bool flatten_and_crash(std::uint32_t target, std::uint64_t write) {
  SnapshotCrash run(5000 + 100 * target + write);
  run.put_all(1);
  EXPECT_FALSE(
      run.crash_during(AdminMethod::kPost, std::string(kSource) + "/clones", R"({"label":"k"})", target, 1000));
  EXPECT_FALSE(run.crash_during(AdminMethod::kDelete, kSource, "", target, 1000));
  const bool crashed = run.crash_during(AdminMethod::kPost, std::string(kClone) + "/flatten", "", target, write, 200ms);
  run.pass_retention();
  EXPECT_TRUE(run.use(kClone));
  EXPECT_FALSE(run.is_clone(kClone));
  run.expect_all(kEpochLatest, 1);
  run.put_all(2);
  run.expect_all(kEpochLatest, 2);
  return crashed;
}

TEST(SimSnapshotCrash, AfterACrashAtAnyWriteOfAFlattening) {
  for (const std::uint32_t target : {0, 1}) {
    std::uint64_t write = 1;
    for (; write <= 20; ++write) {
      SCOPED_TRACE(fmt::format("target {}, write {}", target, write));
      if (!flatten_and_crash(target, write)) break;
    }
    EXPECT_GT(write, 1u) << "flattening writes something";
  }
}

TEST(SimSnapshotCrash, AfterACrashAtAnyWriteOfAClone) {
  for (const std::uint32_t target : {0, 1}) {
    std::uint64_t write = 1;
    for (; write <= 20; ++write) {
      SCOPED_TRACE(fmt::format("target {}, write {}", target, write));
      if (!clone_and_crash(target, write)) break;
    }
    EXPECT_GT(write, 1u) << "a clone writes something";
  }
}

TEST(SimSnapshotCrash, AfterACrashAtAnyWriteOfTheEndOfASource) {
  for (const std::uint32_t target : {0, 1}) {
    std::uint64_t write = 1;
    for (; write <= 20; ++write) {
      SCOPED_TRACE(fmt::format("target {}, write {}", target, write));
      if (!destroy_source_and_crash(target, write)) break;
    }
    EXPECT_GT(write, 1u) << "a destruction writes something";
  }
}

TEST(SimSnapshotCrash, AfterACrashAtAnyWriteOfARollback) {
  for (const std::uint32_t target : {0, 1}) {
    std::uint64_t write = 1;
    for (; write <= 20; ++write) {
      SCOPED_TRACE(fmt::format("target {}, write {}", target, write));
      if (!roll_back_and_crash(target, write)) break;
    }
    EXPECT_GT(write, 1u) << "a rollback writes something";
  }
}

TEST(SimSnapshotCrash, AfterACrashAtAnyWriteOfACreation) {
  for (const std::uint32_t target : {0, 1}) {
    std::uint64_t write = 1;
    for (; write <= 20; ++write) {
      SCOPED_TRACE(fmt::format("target {}, write {}", target, write));
      if (!create_and_crash(target, write)) break;
    }
    EXPECT_GT(write, 1u) << "a creation writes something";
  }
}

TEST(SimSnapshotCrash, AfterACrashAtAnyWriteOfADestruction) {
  for (const std::uint32_t target : {0, 1}) {
    std::uint64_t write = 1;
    for (; write <= 20; ++write) {
      SCOPED_TRACE(fmt::format("target {}, write {}", target, write));
      if (!destroy_and_crash(target, write)) break;
    }
    EXPECT_GT(write, 1u) << "a destruction writes something";
  }
}

}  // namespace
}  // namespace cenote::engine
