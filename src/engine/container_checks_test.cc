#include "container_checks.h"

#include <gtest/gtest.h>

#include "cenote/base/format.h"
#include "cenote/runtime/sim_reactor.h"
#include "memory_targets.h"

namespace cenote::engine {
namespace {

/// Checks of containers at two targets that find what they are told to, when they are told to.
class ContainerChecksTest : public testing::Test {
 protected:
  ContainerChecksTest() { targets_.scrub_finds.resize(2); }
  ~ContainerChecksTest() override { wait(checks_.stop()); }

  template <typename T>
  T wait(Task<T> task) {
    return world_.block_on(node_, std::move(task));
  }
  static ContainerInfo container(std::uint64_t number) {
    ContainerInfo info;
    info.id = Uuid::from_random(9, number);
    info.label = fmt::format("c{}", number);
    info.used_bytes = 1000;
    return info;
  }
  Result<ContainerCheck> begin(std::uint64_t number, std::uint64_t request) {
    return wait(checks_.begin(container(number), {.bytes_per_second = 5}, Uuid::from_random(8, request)));
  }
  Result<ContainerCheck> query(std::uint64_t number) { return wait(checks_.query(container(number))); }
  Result<ContainerCheck> cancel(std::uint64_t number) {
    return wait(checks_.cancel(container(number), Until::forever()));
  }
  /// Lets the checks that run go on until they ask for something.
  void finish() {
    release_.set();
    for (int turn = 0; turn < 20; ++turn) wait(yield());
  }
  Task<> yield() { co_await node_.yield(); }
  void hold() {
    release_.reset();
    targets_.scrubbed = &release_;
  }
  void find(std::size_t target, std::string message, std::uint64_t times = 1) {
    auto& progress = targets_.scrub_finds[target];
    object::TargetFinding finding;
    finding.finding.kind = store::FindingKind::kData;
    finding.finding.message = std::move(message);
    finding.object = ObjectId{};
    finding.dkey = "key";
    for (std::uint64_t i = 0; i < times && progress.findings.size() < kMaxDamagesTold; ++i)
      progress.findings.push_back(finding);
    progress.found += times;
    progress.damages += times;
  }

  SimWorld world_{1};
  SimReactor& node_ = world_.add_node("control");
  MemoryTargets targets_{2};
  Event release_{node_};
  ContainerChecks checks_{node_, targets_};
};

TEST_F(ContainerChecksTest, TellsHowItGoesAndHowItWent) {
  EXPECT_EQ(query(1).error(), Code::kNotFound);
  EXPECT_EQ(cancel(1).error(), Code::kNotFound);
  hold();
  targets_.scrub_finds[1].report.verified_bytes = 77;
  const auto begun = begin(1, 1);
  ASSERT_TRUE(begun) << begun.error().to_string();
  EXPECT_EQ(begun->state, kCheckRunning);
  EXPECT_EQ(begun->total_bytes, 1000u);
  EXPECT_EQ(begun->targets.size(), 2u);
  finish();
  const auto ended = query(1);
  ASSERT_TRUE(ended);
  EXPECT_EQ(ended->state, kCheckWhole);
  EXPECT_EQ(ended->id, begun->id);
  EXPECT_EQ(ended->bytes_per_second, 5u);
  EXPECT_EQ(ended->targets[1].state, kCheckWhole);
  EXPECT_EQ(ended->proved_bytes(), 77u);
}

TEST_F(ContainerChecksTest, ARepeatedRequestIsTheSameCheckAndAnotherOneIsRefused) {
  hold();
  ASSERT_TRUE(begin(1, 1));
  EXPECT_EQ(begin(1, 1)->state, kCheckRunning);
  EXPECT_EQ(begin(1, 2).error(), Code::kExists);
  EXPECT_EQ(targets_.scrubs, 1u);
  finish();
  EXPECT_EQ(begin(1, 1)->state, kCheckWhole) << "a retry after the end must not begin anew";
  EXPECT_EQ(targets_.scrubs, 1u);
  EXPECT_TRUE(begin(1, 2));
  finish();
  EXPECT_EQ(targets_.scrubs, 2u);
}

TEST_F(ContainerChecksTest, NamesDamageByTargetAndOnlySoMuchOfIt) {
  find(0, "bad");
  find(1, "worse", 1000);
  ASSERT_TRUE(begin(1, 1));
  finish();
  const auto ended = query(1);
  EXPECT_EQ(ended->state, kCheckDamaged);
  EXPECT_EQ(ended->targets[0].damages, 1u);
  EXPECT_EQ(ended->targets[1].damages, 1000u);
  ASSERT_EQ(ended->findings.size(), kMaxDamagesTold);
  EXPECT_EQ(ended->findings[0].message, "bad");
  EXPECT_EQ(ended->findings[0].dkey, "key");
  EXPECT_FALSE(ended->findings[0].advice.empty());
  EXPECT_EQ(ended->findings[1].target, 1u);
  EXPECT_EQ(ended->findings.size() + ended->findings_omitted, 1001u);
}

TEST_F(ContainerChecksTest, IsEndedByWhoeverWishes) {
  hold();
  ASSERT_TRUE(begin(1, 1));
  const auto ended = cancel(1);
  ASSERT_TRUE(ended);
  EXPECT_EQ(ended->state, kCheckCancelled);
  EXPECT_EQ(cancel(1)->state, kCheckCancelled);
  find(0, "bad");
  ASSERT_TRUE(begin(1, 2));
  EXPECT_EQ(cancel(1)->state, kCheckDamaged) << "an end before the end must not hide what was found";
}

TEST_F(ContainerChecksTest, RunsAndKeepsOnlySoMany) {
  hold();
  for (std::uint64_t i = 0; i < ContainerChecks::kMaxRunning; ++i) ASSERT_TRUE(begin(i, i));
  EXPECT_EQ(begin(100, 100).error(), Code::kBusy);
  finish();
  for (std::uint64_t i = 100; i < 100 + ContainerChecks::kMaxKept; ++i) {
    ASSERT_TRUE(begin(i, i));
    finish();
  }
  EXPECT_EQ(query(0).error(), Code::kNotFound);
  EXPECT_TRUE(query(100));
  EXPECT_TRUE(query(99 + ContainerChecks::kMaxKept));
}

TEST_F(ContainerChecksTest, TheEndOfTheEngineEndsAllAndNoneBegins) {
  hold();
  ASSERT_TRUE(begin(1, 1));
  ASSERT_TRUE(begin(2, 2));
  wait(checks_.stop());
  EXPECT_EQ(query(1)->state, kCheckCancelled);
  EXPECT_EQ(query(2)->state, kCheckCancelled);
  EXPECT_EQ(begin(3, 3).error(), Code::kNotReady);
}

}  // namespace
}  // namespace cenote::engine
