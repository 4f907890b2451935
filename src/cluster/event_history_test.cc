#include "event_history.h"

#include <gtest/gtest.h>

#include "cenote/runtime/sim_reactor.h"

namespace cenote::cluster {
namespace {

using namespace std::chrono_literals;
using store::Lsn;
using Events = std::vector<WatchEvent>;

class EventHistoryTest : public testing::Test {
 protected:
  Result<Events> next(Revision& after, Until until = {}) {
    return world_.block_on(node_, history_.next("p/", after, 100, until));
  }
  void note(std::uint64_t number, std::vector<std::string> keys) {
    Events events;
    for (std::string& key : keys) events.push_back({std::move(key), "v", Revision(number)});
    history_.note(Revision(number), Lsn(number * 10), std::move(events));
    history_.check_invariants();
  }
  void show(std::uint64_t number) {
    history_.show(Lsn(number * 10));
    history_.check_invariants();
  }

  SimWorld world_{3};
  SimReactor& node_ = world_.add_node("control");
  EventHistory history_{node_, Revision(10), {.events = 4, .bytes = 1000}};
};

TEST_F(EventHistoryTest, ShowsOnlyWhatIsDurableAndInOrder) {
  note(11, {"p/a"});
  note(12, {"q", "p/b"});
  note(13, {"p/c"});
  Revision after(10);
  EXPECT_EQ(next(after, Until::at(node_.now() + 1s)).error().code(), Code::kDeadlineExceeded);
  show(12);
  const auto first = next(after);
  ASSERT_TRUE(first);
  EXPECT_EQ(*first, (Events{{"p/a", "v", Revision(11)}, {"p/b", "v", Revision(12)}}));
  EXPECT_EQ(after, Revision(12));
  show(13);
  EXPECT_EQ(next(after), (Events{{"p/c", "v", Revision(13)}}));
}

TEST_F(EventHistoryTest, SaysWhenItHasForgotten) {
  for (std::uint64_t number = 11; number <= 16; ++number) note(number, {"p/a"});
  show(16);
  EXPECT_EQ(history_.floor(), Revision(12));
  Revision late(11), in_time(12);
  EXPECT_EQ(next(late).error().code(), Code::kCompacted);
  EXPECT_EQ(next(late).error().code(), Code::kCompacted);
  const auto rest = next(in_time);
  ASSERT_TRUE(rest);
  EXPECT_EQ(rest->size(), 4u);
}

TEST_F(EventHistoryTest, IsBoundedInBytes) {
  history_.note(Revision(11), Lsn(1), {{"p/a", std::string(600, 'x'), Revision(11)}});
  history_.note(Revision(12), Lsn(2), {{"p/a", std::string(600, 'x'), Revision(12)}});
  history_.show(Lsn(2));
  history_.check_invariants();
  EXPECT_EQ(history_.floor(), Revision(11));
}

TEST_F(EventHistoryTest, WhoFollowsAQuietPrefixIsNotLeftBehind) {
  Revision after(10);
  note(11, {"q"});
  show(11);
  EXPECT_EQ(next(after, Until::at(node_.now() + 1s)).error().code(), Code::kDeadlineExceeded);
  EXPECT_EQ(after, Revision(11));
}

TEST_F(EventHistoryTest, EndsAllWaits) {
  history_.end(Error(Code::kStopped));
  Revision after(10);
  EXPECT_EQ(next(after).error().code(), Code::kStopped);
}

}  // namespace
}  // namespace cenote::cluster
