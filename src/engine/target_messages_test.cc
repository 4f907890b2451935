#include "target_messages.h"

#include <gtest/gtest.h>

#include <functional>
#include <random>

#include "cenote/base/format.h"
#include "target_examples.h"

namespace cenote::engine {
namespace {

struct Message {
  std::string name;
  Bytes encoded;
  // Decodes any bytes; on success gives what the decoded value encodes to.
  std::function<Result<Bytes>(ByteView)> recode;
};

Result<Bytes> recode_request(ByteView from) {
  TRY(const TargetsRequest request, decode_targets_request(from));
  Bytes out;
  encode(request, out);
  return out;
}

std::vector<Message> all_messages() {
  std::vector<Message> all;
  for (const TargetsRequest& request : target_examples::requests()) {
    const auto op = static_cast<unsigned>(request.op);
    Message& sent = all.emplace_back(Message{fmt::format("request {}", op), {}, recode_request});
    encode(request, sent.encoded);
    const auto recode_reply = [op = request.op](ByteView from) -> Result<Bytes> {
      TRY(const TargetsReply reply, decode_targets_reply(op, from));
      Bytes out;
      encode(op, reply, out);
      return out;
    };
    Message& answer = all.emplace_back(Message{fmt::format("reply {}", op), {}, recode_reply});
    encode(request.op, target_examples::reply(), answer.encoded);
  }
  return all;
}

TEST(TargetMessages, RoundTrip) {
  for (const Message& m : all_messages()) {
    const auto again = m.recode(m.encoded);
    ASSERT_TRUE(again.has_value()) << m.name << ": " << again.error().to_string();
    EXPECT_EQ(*again, m.encoded) << m.name;
  }
}

TEST(TargetMessages, FieldsSurvive) {
  const auto requests = target_examples::requests();
  const TargetsRequest& create = requests[static_cast<std::size_t>(TargetsOp::kCreate) - 1];
  Bytes encoded;
  encode(create, encoded);
  const auto decoded = decode_targets_request(encoded);
  ASSERT_TRUE(decoded.has_value());
  EXPECT_EQ(decoded->token, create.token);
  EXPECT_EQ(decoded->number, create.number);
  EXPECT_EQ(decoded->op, TargetsOp::kCreate);
  EXPECT_EQ(decoded->container, create.container);
  EXPECT_EQ(decoded->source, create.source);
  EXPECT_EQ(decoded->account, create.account);
  EXPECT_EQ(decoded->pool_account, create.pool_account);
  EXPECT_FALSE(decoded->properties.checksums);
  EXPECT_TRUE(decoded->properties.encrypted);
  EXPECT_EQ(decoded->properties.compression, object::Compression::kZstd);

  encoded.clear();
  encode(TargetsOp::kScrubProgress, target_examples::reply(), encoded);
  const auto reply = decode_targets_reply(TargetsOp::kScrubProgress, encoded);
  ASSERT_TRUE(reply.has_value());
  EXPECT_TRUE(reply->scrub.ended);
  ASSERT_EQ(reply->scrub.targets.size(), 2u);
  const ScrubbedTarget& target = reply->scrub.targets[0];
  EXPECT_EQ(target.outcome, Code::kCancelled);
  EXPECT_EQ(target.report.repaired, 8u);
  ASSERT_EQ(target.findings.size(), 2u);
  EXPECT_EQ(target.findings[0].finding.message, target_examples::finding().finding.message);
  EXPECT_EQ(target.findings[0].object, target_examples::finding().object);
  EXPECT_TRUE(target.findings[0].finding.lost.has_value());
  EXPECT_FALSE(target.findings[1].dkey.has_value());
}

TEST(TargetMessages, EveryTruncationIsAnError) {
  for (const Message& m : all_messages())
    for (std::size_t bytes = 0; bytes < m.encoded.size(); ++bytes) {
      // A copy of exact size, so that a read past its end is seen by the sanitizer.
      const Bytes cut(m.encoded.begin(), m.encoded.begin() + static_cast<std::ptrdiff_t>(bytes));
      EXPECT_FALSE(m.recode(cut).has_value()) << m.name << " cut to " << bytes;
    }
}

TEST(TargetMessages, TrailingBytesAreAnError) {
  for (const Message& m : all_messages()) {
    Bytes longer = m.encoded;
    longer.push_back(std::byte{0});
    EXPECT_EQ(m.recode(longer).error(), Code::kMalformed) << m.name;
  }
}

// What a decoder accepts has one encoding: whatever a mutation makes of a message, it is refused or kept in full.
TEST(TargetMessages, MutationsAreRefusedOrKept) {
  constexpr std::uint64_t kSeed = 20261130;
  std::mt19937_64 random(kSeed);
  for (const Message& m : all_messages()) {
    if (m.encoded.empty()) continue;
    for (int round = 0; round < 1000; ++round) {
      Bytes mutated = m.encoded;
      for (std::uint64_t flips = random() % 3 + 1; flips > 0; --flips)
        mutated[random() % mutated.size()] = static_cast<std::byte>(random() % 4 == 0 ? 0xff : random());
      const auto again = m.recode(mutated);
      if (again) {
        EXPECT_EQ(*again, mutated) << m.name << " round " << round << " seed " << kSeed;
      } else {
        const Code code = again.error().code();
        EXPECT_TRUE(code == Code::kMalformed || code == Code::kOutOfRange || code == Code::kUnsupported)
            << again.error().to_string();
      }
    }
  }
}

TEST(TargetMessages, CountsAndTextsAreBounded) {
  Bytes encoded;
  TargetsRequest request{.op = TargetsOp::kScrubProgress};
  request.findings_known.resize(kMaxTargets + 1);
  encode(request, encoded);
  EXPECT_EQ(decode_targets_request(encoded).error(), Code::kOutOfRange);
  encoded.clear();
  TargetsReply reply;
  reply.scrub.targets.resize(kMaxTargets + 1);
  encode(TargetsOp::kScrubProgress, reply, encoded);
  EXPECT_EQ(decode_targets_reply(TargetsOp::kScrubProgress, encoded).error(), Code::kOutOfRange);
  encoded.clear();
  reply.containers.resize(kMaxHeldContainers + kMaxTargets + 1);
  encode(TargetsOp::kListContainers, reply, encoded);
  EXPECT_EQ(decode_targets_reply(TargetsOp::kListContainers, encoded).error(), Code::kOutOfRange);
  encoded.clear();
  reply.moves.resize(kMaxTargets + 1);
  encode(TargetsOp::kMoves, reply, encoded);
  EXPECT_EQ(decode_targets_reply(TargetsOp::kMoves, encoded).error(), Code::kOutOfRange);
  encoded.clear();
  reply.flattening = FlattenInfo{.obstacle = std::string(kMaxTargetsTextBytes + 100, 'x')};
  encode(TargetsOp::kFlattening, reply, encoded);
  const auto cut = decode_targets_reply(TargetsOp::kFlattening, encoded);
  ASSERT_TRUE(cut.has_value());
  EXPECT_EQ(cut->flattening->obstacle.size(), kMaxTargetsTextBytes);
}

TEST(TargetMessages, ACallOfANewerBuildIsUnsupported) {
  TargetsRequest request{.op = static_cast<TargetsOp>(static_cast<unsigned>(TargetsOp::kKeepCopy) + 1)};
  Bytes encoded;
  encode(request, encoded);
  EXPECT_EQ(decode_targets_request(encoded).error(), Code::kUnsupported);
}

}  // namespace
}  // namespace cenote::engine
