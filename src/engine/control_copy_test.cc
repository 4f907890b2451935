#include "control_copy.h"

#include <gtest/gtest.h>

#include <random>

#include "cenote/base/format.h"
#include "cenote/engine/sim_coordinator.h"
#include "control_records.h"

namespace cenote::engine {
namespace {

using namespace std::chrono_literals;
using cluster::KeyValue;
using cluster::Revision;
using cluster::Transaction;

const SystemIdentity kSystem{Uuid::from_random(1, 2), "precious"};
const Uuid kEngine = Uuid::from_random(3, 4);

/// A directory that has nothing but the copy.
class CopyHost final : public EngineHost {
 public:
  explicit CopyHost(SimReactor& node) : node_(node) {}

  Reactor& control() override { return node_; }
  std::span<Reactor* const> data() override { return {}; }
  Result<std::unique_ptr<media::BlockDevice>> open_device(Reactor&, const std::string&) override {
    return fail(Code::kUnsupported);
  }
  Task<Result<>> enlarge(std::string, std::uint64_t) override { co_return fail(Code::kUnsupported); }
  Result<std::vector<Endpoint>> endpoints(std::size_t, rpc::Counters&) override { return fail(Code::kUnsupported); }
  Result<> commit_creation() override { return {}; }

  Task<Result<>> replace_control_copy(Bytes copy, bool keep_last) override {
    EXPECT_FALSE(writing) << "one at a time";
    writing = true;
    co_await node_.sleep_for(write_time);
    writing = false;
    if (full) co_return fail(Code::kDeviceFull, "no room");
    if (keep_last) aside = std::move(file);
    file = std::move(copy);
    ++writes;
    co_return Result<>();
  }
  Task<Result<std::optional<Bytes>>> read_control_copy() override { co_return file; }

  std::optional<Bytes> file, aside;
  Duration write_time = 5ms;
  bool full = false, writing = false;
  int writes = 0;

 private:
  SimReactor& node_;
};

class ControlCopyTest : public testing::Test {
 protected:
  ControlCopyTest() { put(kSystemKey, encode(kSystem)); }
  ~ControlCopyTest() override { stop(); }

  template <typename T>
  T wait(Task<T> task) {
    return world_.block_on(node_, std::move(task));
  }
  void pass(Duration time) {
    world_.run_until([] { return false; }, time);
  }
  Revision commit(Transaction change) { return wait(state().commit(std::move(change))).value(); }
  Revision put(const std::string& key, const std::string& value) { return commit(Transaction().put(key, value)); }
  cluster::Coordinator& state() { return coordinator_.coordinator(); }
  void start() {
    copy_ = std::make_unique<ControlCopy>(host_, state(), ControlCopy::Options{.system = kSystem.id, .engine = kEngine},
                                          metrics_, Logger());
    copy_->start();
  }
  void stop() {
    if (copy_ != nullptr) world_.block_on(node_, copy_->stop());
    copy_.reset();
  }
  ControlCopyFile file() {
    auto decoded = host_.file ? decode_control_copy(*host_.file) : fail(Code::kNotFound, "no file");
    EXPECT_TRUE(decoded.has_value()) << decoded.error().to_string();
    return decoded ? *std::move(decoded) : ControlCopyFile{};
  }
  std::map<std::string, std::string> copied() {
    std::map<std::string, std::string> all;
    for (const KeyValue& entry : file().entries) all.emplace(entry.key, entry.value);
    return all;
  }
  std::map<std::string, std::string> durable_keys() {
    std::map<std::string, std::string> all;
    for (const KeyValue& entry : wait(cluster::range_all(state(), "")).value())
      if (entry.lease == cluster::kNoLease) all.emplace(entry.key, entry.value);
    return all;
  }

  SimWorld world_{7};
  SimCoordinator coordinator_{world_};
  SimReactor& node_ = coordinator_.node();
  CopyHost host_{node_};
  MetricRegistry metrics_;
  std::unique_ptr<ControlCopy> copy_;
};

TEST_F(ControlCopyTest, ItHasEverythingButWhatBelongsToALease) {
  put("pool/a", "1");
  const auto lease = wait(state().grant_lease(60s)).value();
  commit(Transaction().put("member/0", "leased", lease.id));
  start();
  pass(1100ms);
  EXPECT_EQ(copied(), durable_keys());
  const Revision last = put("pool/b", "2");
  commit(Transaction().put("member/1", "leased", lease.id));
  commit(Transaction().erase("pool/a"));
  pass(1100ms);
  EXPECT_EQ(copied(), (std::map<std::string, std::string>{{kSystemKey, encode(kSystem)}, {"pool/b", "2"}}));
  EXPECT_GT(file().head.revision, last);
  EXPECT_EQ(file().head.system, kSystem.id);
  EXPECT_EQ(file().head.engine, kEngine);
  // One that comes to belong to a lease, and the other way.
  commit(Transaction().put("pool/b", "3", lease.id).put("member/0", "not any more"));
  pass(1100ms);
  EXPECT_EQ(copied(), durable_keys());
}

TEST_F(ControlCopyTest, ChangesAreGathered) {
  start();
  pass(1100ms);
  const int before = host_.writes;
  for (int i = 0; i < 50; ++i) {
    put("pool/a", std::to_string(i));
    pass(10ms);
  }
  EXPECT_LE(host_.writes - before, 1);
  pass(1s);
  EXPECT_EQ(copied().at("pool/a"), "49");
  // What is slow is written seldom.
  host_.write_time = 500ms;
  put("pool/a", "slow");
  pass(2s);
  const int slow = host_.writes;
  for (int i = 0; i < 50; ++i) {
    put("pool/a", std::to_string(i));
    pass(100ms);
  }
  EXPECT_EQ(host_.writes, slow);
  pass(10s);
  EXPECT_EQ(copied(), durable_keys());
}

TEST_F(ControlCopyTest, NothingIsWrittenForWhatBelongsToLeases) {
  start();
  pass(1100ms);
  const int before = host_.writes;
  const auto lease = wait(state().grant_lease(60s)).value();
  const Revision leased = commit(Transaction().put("member/0", "leased", lease.id));
  EXPECT_TRUE(wait(copy_->keep(leased)));
  pass(2s);
  EXPECT_EQ(host_.writes, before);
}

TEST_F(ControlCopyTest, WhoWaitsHasItAtOnceAndDurably) {
  start();
  for (int i = 0; i < 20; ++i) {
    const Revision made = put("pool/a", std::to_string(i));
    const Instant begun = world_.now();
    EXPECT_TRUE(wait(copy_->keep(made)));
    EXPECT_LT(world_.now() - begun, 100ms);
    EXPECT_GE(file().head.revision, made);
    EXPECT_EQ(copied().at("pool/a"), std::to_string(i));
  }
}

TEST_F(ControlCopyTest, ACopyThatCannotBeWrittenStopsNobody) {
  start();
  EXPECT_TRUE(wait(copy_->keep(put("pool/a", "1"))));
  host_.full = true;
  const Revision made = put("pool/a", "2");
  EXPECT_FALSE(wait(copy_->keep(made)));
  const Instant begun = world_.now();
  EXPECT_FALSE(wait(copy_->keep(made))) << "it is known that it cannot";
  EXPECT_EQ(world_.now(), begun);
  EXPECT_GE(copy_->status().failures, 1U);
  EXPECT_EQ(copy_->status().not_kept, 2U);
  EXPECT_EQ(copied().at("pool/a"), "1") << "the old one stays";
  pass(3s);
  EXPECT_GE(copy_->status().behind, 3s);
  host_.full = false;
  pass(6s);
  EXPECT_EQ(copied().at("pool/a"), "2");
  EXPECT_EQ(copy_->status().behind, 0s);
  // A disk that hangs is waited for so long and no longer.
  host_.write_time = 1h;
  const Revision hanging = put("pool/a", "3");
  const Instant then = world_.now();
  EXPECT_FALSE(wait(copy_->keep(hanging)));
  EXPECT_EQ(world_.now() - then, 2s);
}

TEST_F(ControlCopyTest, AStopWritesWhatIsNotWritten) {
  start();
  pass(1100ms);
  put("pool/a", "1");
  pass(10ms);
  stop();
  EXPECT_EQ(copied().at("pool/a"), "1");
}

TEST_F(ControlCopyTest, AnEmptiedCoordinatorDoesNotEmptyIt) {
  for (int i = 0; i < 40; ++i) put(fmt::format("pool/{}", i), "1");
  start();
  pass(1100ms);
  const auto before = copied();
  Transaction all;
  for (const auto& [key, value] : before) all.erase(key);
  const Revision gone = commit(std::move(all));
  pass(10s);
  EXPECT_EQ(copied(), before);
  EXPECT_FALSE(wait(copy_->keep(gone)));
  // Nor another system, nor a start.
  stop();
  put(kSystemKey, encode(SystemIdentity{Uuid::from_random(8, 9), "other"}));
  start();
  pass(10s);
  stop();
  EXPECT_EQ(copied(), before);
  // What comes back is followed again.
  commit(Transaction().put(kSystemKey, encode(kSystem)).put("pool/x", "2"));
  start();
  pass(1100ms);
  EXPECT_EQ(copied(), durable_keys());
  EXPECT_FALSE(host_.aside.has_value()) << "it went on from there";
}

TEST_F(ControlCopyTest, ANewerCopyThanTheCoordinatorIsPutAside) {
  put("pool/a", "1");
  ControlCopyEncoder encoder({.system = kSystem.id, .engine = kEngine, .revision = Revision(1000), .written = {}});
  const Bytes newer = std::move(encoder).finish();
  host_.file = newer;
  start();
  pass(1100ms);
  EXPECT_EQ(host_.aside, newer);
  EXPECT_EQ(copied(), durable_keys());
  stop();
  // Of a coordinator that was lost: what was made of copies since is newer, whatever its revisions say.
  host_.file = newer;
  host_.aside.reset();
  put(kRecoveredKey, encode(RecoveryRecord{.count = 1, .keeps_unknown = true}));
  start();
  pass(1100ms);
  EXPECT_FALSE(host_.aside.has_value());
  EXPECT_EQ(copied(), durable_keys());
}

TEST_F(ControlCopyTest, ARandomHistoryIsFollowedThroughCompactions) {
  std::mt19937_64 random(5);
  const auto lease = wait(state().grant_lease(60s)).value();
  start();
  for (int round = 0; round < 30; ++round) {
    Revision last;
    // Now and then more than the coordinator remembers for a watch, at once.
    const int count = round % 10 == 9 ? 300 : static_cast<int>(random() % 20) + 1;
    for (int i = 0; i < count; ++i) {
      Transaction change;
      for (int part = 0; part < 40; ++part) {
        const std::string key = fmt::format("k/{}/{}", part, random() % 3);
        if (random() % 4 == 0) {
          change.erase(key);
        } else {
          change.put(key, std::to_string(random()), random() % 8 == 0 ? lease.id : cluster::kNoLease);
        }
      }
      change.put("last", std::to_string(i));
      last = wait(state().commit(std::move(change))).value();
    }
    ASSERT_TRUE(wait(copy_->keep(last))) << round;
    ASSERT_EQ(copied(), durable_keys()) << round;
  }
}

}  // namespace
}  // namespace cenote::engine
