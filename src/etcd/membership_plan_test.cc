#include "cenote/etcd/membership_plan.h"

#include <gtest/gtest.h>

namespace cenote::etcd {
namespace {

using namespace std::chrono_literals;
using cluster::Rank;

std::string peer_of(std::uint32_t rank) { return "http://10.0.0." + std::to_string(rank) + ":7780"; }
std::string client_of(std::uint32_t rank) { return "http://10.0.0." + std::to_string(rank) + ":7779"; }

/// A system as one of its engines sees it.
class View {
 public:
  explicit View(std::uint32_t self) {
    view_.self = Rank(self);
    view_.peer_url = peer_of(self);
  }
  View& engines(std::uint32_t up) {
    for (std::uint32_t rank = 0; rank < up; ++rank) view_.engines.push_back({.rank = Rank(rank), .up = true});
    return *this;
  }
  View& gone(std::uint32_t rank, Duration since) {
    view_.engines.at(rank) = {.rank = Rank(rank), .up = false, .gone = since};
    return *this;
  }
  View& voter(std::uint32_t rank) { return member(rank, false, true); }
  View& learner(std::uint32_t rank) { return member(rank, true, true); }
  View& unstarted(std::uint32_t rank, Duration since = {}) {
    member(rank, true, false);
    view_.members.back().silent = since;
    return *this;
  }
  View& own(bool runs) {
    view_.own = OwnMember{.name = member_name(view_.self), .client_url = {}, .peer_url = view_.peer_url};
    if (runs) view_.own->initial_cluster = "x";
    return *this;
  }
  View& lost_data() {
    view_.own_data_lost = true;
    return *this;
  }
  View& vacant(Duration since) {
    view_.vacant = since;
    return *this;
  }
  View& cannot_run_etcd() {
    view_.may_add = false;
    return *this;
  }
  View& silent(std::uint32_t rank, Duration since) {
    for (auto& m : view_.members)
      if (m.member.name == member_name(Rank(rank))) m.silent = since;
    return *this;
  }
  View& elsewhere(std::uint32_t rank) {
    for (auto& m : view_.members)
      if (m.member.name == member_name(Rank(rank))) m.member.peer_urls = {"http://10.9.9.9:7780"};
    return *this;
  }
  View& at_the_address_of(std::uint32_t rank) {
    view_.peer_url = peer_of(rank);
    return *this;
  }
  MembershipPlan plan() const { return plan_membership(view_); }
  MembershipStep step() const { return plan().step; }

 private:
  View& member(std::uint32_t rank, bool learns, bool started) {
    ClusterMember member{.id = rank + 100, .peer_urls = {peer_of(rank)}, .learner = learns};
    if (started) member.name = member_name(Rank(rank));
    if (started) member.client_urls = {client_of(rank)};
    view_.members.push_back({.member = member});
    return *this;
  }
  MembershipView view_;
};

TEST(MembershipPlan, TwoEnginesHaveOneMember) {
  EXPECT_EQ(View(0).engines(2).voter(0).own(true).step(), MembershipStep::kNone);
  EXPECT_EQ(View(1).engines(2).voter(0).step(), MembershipStep::kNone);
}

TEST(MembershipPlan, OfThreeEnginesOneAfterTheOtherBecomesAMember) {
  EXPECT_EQ(View(2).engines(3).voter(0).step(), MembershipStep::kNone);
  EXPECT_EQ(View(1).engines(3).voter(0).step(), MembershipStep::kAdd);
  EXPECT_EQ(View(1).engines(3).voter(0).own(false).step(), MembershipStep::kAdd);
  EXPECT_EQ(View(1).engines(3).voter(0).unstarted(1).own(false).step(), MembershipStep::kStart);
  EXPECT_EQ(View(1).engines(3).voter(0).learner(1).own(true).plan(), (MembershipPlan{MembershipStep::kPromote, 101}));
  EXPECT_EQ(View(1).engines(3).voter(0).voter(1).own(true).step(), MembershipStep::kNone);
  // One learner at a time.
  EXPECT_EQ(View(2).engines(3).voter(0).learner(1).step(), MembershipStep::kNone);
  EXPECT_EQ(View(2).engines(3).voter(0).voter(1).step(), MembershipStep::kAdd);
  EXPECT_EQ(View(3).engines(4).voter(0).voter(1).voter(2).step(), MembershipStep::kNone);
}

TEST(MembershipPlan, AnEngineThatIsDownLeavesTheNextOneItsTurn) {
  EXPECT_EQ(View(2).engines(4).gone(1, 1s).voter(0).step(), MembershipStep::kAdd);
}

TEST(MembershipPlan, WhoIsGoneForLongIsReplaced) {
  const auto view = [](std::uint32_t self, Duration since) {
    return View(self).engines(4).gone(1, since).voter(0).voter(1).voter(2);
  };
  EXPECT_EQ(view(0, 9min).own(true).step(), MembershipStep::kNone);
  EXPECT_EQ(view(0, 10min).own(true).plan(), (MembershipPlan{MembershipStep::kRemove, 101}));
  // By one engine, the first.
  EXPECT_EQ(view(2, 10min).own(true).step(), MembershipStep::kNone);
  EXPECT_EQ(view(3, 10min).step(), MembershipStep::kNone);
  // Then the free engine is next.
  EXPECT_EQ(View(3).engines(4).gone(1, 11min).voter(0).voter(2).step(), MembershipStep::kAdd);
  // And who was put out finds out.
  EXPECT_EQ(View(1).engines(4).voter(0).voter(2).voter(3).own(true).step(), MembershipStep::kForget);
}

TEST(MembershipPlan, NobodyIsPutOutWithoutASuccessorOrWithoutTheOthers) {
  EXPECT_EQ(View(0).engines(3).gone(1, 1h).voter(0).voter(1).voter(2).own(true).step(), MembershipStep::kNone);
  EXPECT_EQ(View(0).engines(5).gone(1, 1h).gone(2, 1s).voter(0).voter(1).voter(2).own(true).step(),
            MembershipStep::kNone);
}

TEST(MembershipPlan, ALearnerThatNeverCameMakesRoom) {
  EXPECT_EQ(View(0).engines(3).voter(0).unstarted(1, 9min).own(true).step(), MembershipStep::kNone);
  EXPECT_EQ(View(0).engines(3).voter(0).unstarted(1, 10min).own(true).plan(),
            (MembershipPlan{MembershipStep::kRemove, 101}));
}

TEST(MembershipPlan, AMemberWithoutItsDataIsPutOutAndNeverStarted) {
  const MembershipPlan out{MembershipStep::kRemove, 101};
  EXPECT_EQ(View(1).engines(3).voter(0).voter(1).voter(2).own(true).lost_data().plan(), out);
  EXPECT_EQ(View(1).engines(3).voter(0).voter(1).voter(2).plan(), out);
  EXPECT_EQ(View(1).engines(3).voter(0).voter(1).voter(2).own(false).plan(), out);
  // With the only one everything is lost.
  EXPECT_EQ(View(0).engines(1).voter(0).own(true).lost_data().step(), MembershipStep::kNone);
}

TEST(MembershipPlan, WhoDoesNotTakeItsTurnIsPassedOver) {
  EXPECT_EQ(View(1).engines(4).voter(0).cannot_run_etcd().step(), MembershipStep::kNone);
  EXPECT_EQ(View(2).engines(4).voter(0).vacant(14s).step(), MembershipStep::kNone);
  EXPECT_EQ(View(2).engines(4).voter(0).vacant(15s).step(), MembershipStep::kAdd);
  EXPECT_EQ(View(3).engines(4).voter(0).vacant(29s).step(), MembershipStep::kNone);
  EXPECT_EQ(View(3).engines(4).voter(0).vacant(30s).step(), MembershipStep::kAdd);
}

TEST(MembershipPlan, AMemberThatDoesNotAnswerIsReplacedAlthoughItsEngineRuns) {
  const auto view = [](Duration since) {
    return View(0).engines(4).voter(0).voter(1).voter(2).silent(1, since).own(true);
  };
  EXPECT_EQ(view(9min).step(), MembershipStep::kNone);
  EXPECT_EQ(view(10min).plan(), (MembershipPlan{MembershipStep::kRemove, 101}));
  // Not while another one is silent, too.
  EXPECT_EQ(view(10min).silent(2, 1s).step(), MembershipStep::kNone);
}

TEST(MembershipPlan, WhatIsAnotherEnginesIsNotTouched) {
  // Two engines were given one address: the later one gets no member.
  EXPECT_EQ(View(3).engines(4).voter(0).voter(1).at_the_address_of(0).step(), MembershipStep::kNone);
  EXPECT_EQ(View(3).engines(4).voter(0).voter(1).at_the_address_of(0).own(false).step(), MembershipStep::kNone);
}

TEST(MembershipPlan, OneOfAnotherAddressIsPutOut) {
  const MembershipPlan out{MembershipStep::kRemove, 101};
  EXPECT_EQ(View(1).engines(3).voter(0).voter(1).voter(2).elsewhere(1).own(true).plan(), out);
  EXPECT_EQ(View(0).engines(1).voter(0).elsewhere(0).own(true).step(), MembershipStep::kNone);
}

TEST(MembershipPlan, WhatAnEntrantIsToldNamesAllMembers) {
  const std::vector<ClusterMember> members = {
      {.id = 1, .name = "engine-0", .peer_urls = {peer_of(0)}, .client_urls = {client_of(0)}},
      {.id = 2, .name = "", .peer_urls = {peer_of(7)}, .learner = true}};
  const OwnMember own{.name = "engine-7", .client_url = client_of(7), .peer_url = peer_of(7)};
  EXPECT_EQ(initial_cluster_of(members, own), "engine-0=http://10.0.0.0:7780,engine-7=http://10.0.0.7:7780");
  EXPECT_EQ(voting_endpoints(members), std::vector<std::string>{client_of(0)});
}

TEST(JoinedSystem, SurvivesItsText) {
  JoinedSystem joined{
      .endpoints = {"http://a:1", "http://b:1"}, .root = "cenote/", .managed = true, .moving = true, .memberships = 2};
  EXPECT_EQ(decode_joined(encode_joined(joined)), joined);
  joined.member = OwnMember{.name = "engine-7",
                            .client_url = client_of(7),
                            .peer_url = peer_of(7),
                            .number = 3,
                            .initial_cluster = "engine-7=" + peer_of(7),
                            .token = "t"};
  EXPECT_EQ(decode_joined(encode_joined(joined)), joined);
  const std::string text = encode_joined(joined);
  for (std::size_t length = 0; length + 2 < text.size(); ++length)
    EXPECT_FALSE(decode_joined(text.substr(0, length))) << length;
  for (const char* wrong :
       {"[]", "{}", R"({"format":2})", R"({"format":1,"endpoints":[],"root":"a/"})",
        R"({"format":1,"endpoints":[1],"root":"a/","managed":true,"moving":false,"memberships":0,"over":[]})"})
    EXPECT_FALSE(decode_joined(wrong)) << wrong;
}

}  // namespace
}  // namespace cenote::etcd
