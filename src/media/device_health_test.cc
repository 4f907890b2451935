#include "cenote/media/device_health.h"

#include <gtest/gtest.h>

namespace cenote::media {
namespace {

using namespace std::chrono_literals;
using State = DeviceHealth::State;

class Health : public testing::Test {
 protected:
  void operation(Duration took, bool failed = false, IoKind kind = IoKind::kWrite) {
    health_.begun(now_);
    now_ += took;
    health_.ended(kind, took, failed, now_);
  }
  State state() const { return health_.state(now_); }

  DeviceHealth health_;
  Instant now_{Duration(1h)};
};

TEST_F(Health, AFewSlowOperationsAreNone) {
  EXPECT_EQ(state(), State::kOk);
  for (int i = 0; i < 10; ++i) {
    operation(600ms);
    operation(600ms);
    EXPECT_EQ(state(), State::kOk) << i;
    now_ += 2min;
  }
  EXPECT_EQ(health_.slow_operations(), 20u);
}

TEST_F(Health, SlowUntilItHadNoneForAWhile) {
  operation(600ms);
  now_ += 10s;
  operation(600ms);
  EXPECT_EQ(state(), State::kOk);
  now_ += 10s;
  operation(600ms);
  EXPECT_EQ(state(), State::kSlow);
  for (int i = 0; i < 100; ++i) operation(1ms);
  EXPECT_EQ(state(), State::kSlow);
  now_ += 50s;
  operation(600ms);
  now_ += 50s;
  EXPECT_EQ(state(), State::kSlow);  // it does not go back and forth with single ones
  now_ += 10s;
  EXPECT_EQ(state(), State::kOk);
  operation(600ms);
  EXPECT_EQ(state(), State::kOk);
}

TEST_F(Health, SilentWhileWorkIsNotDone) {
  health_.begun(now_);
  health_.begun(now_);
  now_ += 9s;
  EXPECT_EQ(state(), State::kOk);
  health_.ended(IoKind::kRead, 9s, false, now_);
  now_ += 9s;
  EXPECT_EQ(state(), State::kOk);
  now_ += 1s;
  EXPECT_EQ(state(), State::kSilent);
  EXPECT_EQ(health_.silence(now_), 10s);
  health_.ended(IoKind::kRead, 19s, false, now_);
  now_ += 1h;
  EXPECT_EQ(state(), State::kOk);
  EXPECT_EQ(health_.silence(now_), 0s);
}

TEST_F(Health, CountsFailuresAndRecordsTimesByKind) {
  LatencyHistogram reads;
  health_.record_into(IoKind::kRead, &reads);
  operation(1ms, true, IoKind::kRead);
  operation(2ms, false, IoKind::kRead);
  operation(3ms, true, IoKind::kFlush);
  EXPECT_EQ(reads.count(), 2u);
  EXPECT_EQ(health_.errors(IoKind::kRead), 1u);
  EXPECT_EQ(health_.errors(IoKind::kFlush), 1u);
  EXPECT_EQ(health_.errors(IoKind::kWrite), 0u);
}

}  // namespace
}  // namespace cenote::media
