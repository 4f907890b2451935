#include "timer_queue.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <memory>

#include "cenote/runtime/random.h"

namespace cenote {
namespace {

class RecordingTimer final : public Timer {
 public:
  RecordingTimer(std::vector<int>& fired, int id) : fired_(fired), id_(id) {}

 private:
  void fire() override { fired_.push_back(id_); }
  std::vector<int>& fired_;
  int id_;
};

Instant at_ns(std::int64_t ns) { return Instant(Duration(ns)); }

TEST(TimerQueueTest, FiresInOrderOfTimeAndTiesInOrderOfArming) {
  TimerQueue queue;
  std::vector<int> fired;
  RecordingTimer a(fired, 1), b(fired, 2), c(fired, 3), d(fired, 4);
  queue.arm(a, at_ns(20));
  queue.arm(b, at_ns(10));
  queue.arm(c, at_ns(20));
  queue.arm(d, at_ns(30));
  EXPECT_EQ(queue.next(), at_ns(10));
  EXPECT_EQ(queue.fire_due(at_ns(20)), 3u);
  EXPECT_EQ(fired, (std::vector{2, 1, 3}));
  EXPECT_TRUE(d.armed());
  queue.disarm(d);
  queue.disarm(d);
  EXPECT_TRUE(queue.empty());
  EXPECT_EQ(queue.next(), kNoDeadline);
}

TEST(TimerQueueTest, TimerArmedAnewFromItsOwnFireWaitsForTheNextCall) {
  struct Again final : Timer {
    TimerQueue& queue;
    int fired = 0;
    explicit Again(TimerQueue& q) : queue(q) {}
    void fire() override {
      ++fired;
      queue.arm(*this, at());
    }
  };
  TimerQueue queue;
  Again timer(queue);
  queue.arm(timer, at_ns(1));
  EXPECT_EQ(queue.fire_due(at_ns(5)), 1u);
  EXPECT_EQ(queue.fire_due(at_ns(5)), 1u);
  EXPECT_EQ(timer.fired, 2);
  queue.disarm(timer);
}

// Random arming and disarming against a plain sorted list.
TEST(TimerQueueTest, AgreesWithModel) {
  constexpr std::uint64_t kSeed = 42;
  SCOPED_TRACE(kSeed);
  struct Armed {
    std::int64_t at;
    std::uint64_t order;
    int id;
  };
  Random random(kSeed);
  TimerQueue queue;
  std::vector<int> fired;
  std::vector<std::unique_ptr<RecordingTimer>> timers;
  for (int i = 0; i < 200; ++i) timers.push_back(std::make_unique<RecordingTimer>(fired, i));
  std::vector<Armed> model;
  std::int64_t now = 0;
  for (std::uint64_t step = 0; step < 5000; ++step) {
    const int id = static_cast<int>(random.below(timers.size()));
    RecordingTimer& timer = *timers[static_cast<std::size_t>(id)];
    if (timer.armed()) {
      queue.disarm(timer);
      std::erase_if(model, [id](const Armed& armed) { return armed.id == id; });
    } else {
      const std::int64_t when = now + static_cast<std::int64_t>(random.below(50));
      queue.arm(timer, at_ns(when));
      model.push_back({when, step, id});
    }
    if (random.chance(1, 8)) {
      now += static_cast<std::int64_t>(random.below(20));
      std::ranges::sort(model,
                        [](const Armed& a, const Armed& b) { return a.at != b.at ? a.at < b.at : a.order < b.order; });
      std::vector<int> expected;
      for (const Armed& armed : model) {
        if (armed.at <= now) expected.push_back(armed.id);
      }
      std::erase_if(model, [now](const Armed& armed) { return armed.at <= now; });
      fired.clear();
      queue.fire_due(at_ns(now));
      ASSERT_EQ(fired, expected) << "step " << step;
    }
    queue.check_invariants();
    ASSERT_EQ(queue.size(), model.size());
  }
  for (const auto& timer : timers) queue.disarm(*timer);
}

}  // namespace
}  // namespace cenote
