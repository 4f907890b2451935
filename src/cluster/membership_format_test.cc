#include "membership_format.h"

#include <gtest/gtest.h>

#include "cenote/base/codec.h"
#include "map_examples.h"

namespace cenote::cluster {
namespace {

const Uuid kProcess = map_examples::id(7);

TEST(MembershipFormat, WhatIsWrittenReadsTheSame) {
  const EngineRecord engine{
      .incarnation = Incarnation(3), .engine = map_examples::id(1), .process = kProcess, .ended = true};
  EXPECT_EQ(*decode_engine(encode(engine)), engine);
  const MemberRecord member{.incarnation = Incarnation(3),
                            .process = kProcess,
                            .addresses = {"tcp://a:1", ""},
                            .control_address = "a:2",
                            .fault_domain = "rack1/node7"};
  EXPECT_EQ(*decode_member(encode(member)), member);
  const PlaceRecord place{.engine = map_examples::id(1), .first_target = 12, .targets = 4};
  EXPECT_EQ(*decode_place(encode(place)), place);
  const AckRecord ack{.incarnation = Incarnation(3), .version = MapVersion(9), .used = Epoch(5)};
  EXPECT_EQ(*decode_ack(encode(ack)), ack);
  const HeadRecord head{.version = MapVersion(9), .bytes = 300, .redundancy = 2};
  EXPECT_EQ(*decode_head(encode(head)), head);
  const SuspendedRecord suspended{.version = MapVersion(9), .ranks = {Rank(1), Rank(5)}};
  EXPECT_EQ(*decode_suspended(encode(suspended)), suspended);
  const LossesRecord losses{{{.rank = Rank(1), .times = 4}, {.rank = Rank(5)}}};
  EXPECT_EQ(*decode_losses(encode(losses)), losses);
  const MovedRecord moved{.version = MapVersion(9), .targets = 5};
  EXPECT_EQ(*decode_moved(encode(moved)), moved);
  EXPECT_EQ(*decode_exit(encode_exit(kProcess)), kProcess);
  const ActiveRecord active{.version = MapVersion(9), .closed = Epoch(7)};
  EXPECT_EQ(*decode_active(encode(active)), active);
  const StoppedRecord stopped{.since = WallTime(std::chrono::seconds(1'790'000'000))};
  EXPECT_EQ(*decode_stopped(encode(stopped)), stopped);
  const QuietRecord quiet{.incarnation = Incarnation(3), .stop = Revision(70)};
  EXPECT_EQ(*decode_quiet(encode(quiet)), quiet);
}

TEST(MembershipFormat, TheBytesAreThoseOfThePage) {
  EXPECT_EQ(to_hex(as_bytes(encode(AckRecord{
                .incarnation = Incarnation(3), .version = MapVersion(258), .used = Epoch(0x0605040302010000)}))),
            "02000100030000000000000002010000000000000000010203040506");
  EXPECT_EQ(to_hex(as_bytes(encode(LossesRecord{{{.rank = Rank(2), .times = 3}}}))),
            "01000100010000000200000003000000");
  EXPECT_EQ(to_hex(as_bytes(encode(QuietRecord{.incarnation = Incarnation(3), .stop = Revision(258)}))),
            "0100010003000000000000000201000000000000");
}

TEST(MembershipFormat, EveryCutAndEveryTailIsRefused) {
  const std::string whole =
      encode(MemberRecord{.incarnation = Incarnation(1), .process = kProcess, .addresses = {"a"}});
  for (std::size_t bytes = 0; bytes < whole.size(); ++bytes)
    EXPECT_EQ(decode_member(whole.substr(0, bytes)).error().code(), Code::kMalformed) << bytes;
  EXPECT_EQ(decode_member(whole + "x").error().code(), Code::kMalformed);
}

TEST(MembershipFormat, BoundsAndRulesAreChecked) {
  std::string many = encode(SuspendedRecord{.version = MapVersion(1), .ranks = {Rank(1)}});
  many[12] = static_cast<char>(0xff);
  many[13] = static_cast<char>(0xff);
  EXPECT_EQ(decode_suspended(many).error().code(), Code::kMalformed);
  EXPECT_EQ(decode_losses(encode(LossesRecord{{{.rank = Rank(2)}, {.rank = Rank(2)}}})).error(), Code::kMalformed);
  EXPECT_EQ(decode_losses(encode(LossesRecord{{{.rank = Rank(2), .times = 0}}})).error(), Code::kMalformed);
  EXPECT_EQ(decode_losses(encode(LossesRecord{std::vector<Loss>(1)}).substr(0, 8)).error(), Code::kMalformed);
  EXPECT_EQ(decode_active(encode(ActiveRecord{})).error().code(), Code::kMalformed);
  EXPECT_EQ(decode_quiet(encode(QuietRecord{})).error().code(), Code::kMalformed);
  EXPECT_EQ(decode_stopped(encode(StoppedRecord{}).substr(0, 8)).error().code(), Code::kMalformed);
  std::string newer = encode(ActiveRecord{.version = MapVersion(4), .closed = Epoch(1)});
  newer[0] = 3;
  EXPECT_EQ(decode_active(newer + "more")->version, MapVersion(4));
  newer[2] = 3;
  EXPECT_EQ(decode_active(newer).error().code(), Code::kNewerFormat);
}

TEST(MembershipFormat, RegistrationsOfTheFirstFormatAreRead) {
  const MemberRecord record{.incarnation = Incarnation(1), .process = kProcess, .addresses = {"a"}};
  std::string first = encode(record).substr(0, encode(record).size() - 8);
  first[0] = 1;
  EXPECT_EQ(*decode_member(first), record);
}

TEST(MembershipFormat, KeysNameTheirRankAndPool) {
  EXPECT_EQ(*rank_of_key(member_key(Rank(12))), Rank(12));
  EXPECT_FALSE(rank_of_key("membership/member/12"));
  EXPECT_FALSE(rank_of_key("membership/member/9999999999"));
  EXPECT_TRUE(kStoppedKey.starts_with(kMapsPrefix) && kPoolPrefix.starts_with(kMapsPrefix));
  EXPECT_FALSE(kStoppedKey.starts_with(kPoolPrefix));
  EXPECT_EQ(*pool_of_key(piece_key(kProcess, 3)), kProcess);
  EXPECT_FALSE(pool_of_key("membership/pool/x/head"));
  EXPECT_FALSE(pool_of_key("membership/pool/"));
}

}  // namespace
}  // namespace cenote::cluster
