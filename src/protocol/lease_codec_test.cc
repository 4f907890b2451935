#include <gtest/gtest.h>

#include "cenote/base/codec.h"
#include "cenote/protocol/lease_requests.h"
#include "example_messages.h"

namespace cenote {
namespace {

template <typename Message>
Bytes encoded(const Message& message) {
  Bytes bytes;
  encode(message, bytes);
  return bytes;
}

QueryRequest size_query() {
  QueryRequest query;
  query.container = protocol_examples::kContainer;
  query.object = protocol_examples::kObject;
  query.akey = protocol_examples::key("a");
  return query;
}

TEST(LeaseCodec, MessagesComeBackAsTheyWere) {
  const LeaseGrant grant{.generation = 7, .valid = kLeaseTerm};
  const auto fetch =
      decode_leased_fetch_request(encoded(LeasedFetchRequest{.token = 3, .fetch = protocol_examples::fetch_request()}));
  ASSERT_TRUE(fetch);
  EXPECT_EQ(fetch->token, 3u);
  EXPECT_EQ(encoded(fetch->fetch), encoded(protocol_examples::fetch_request()));
  const auto fetched =
      decode_leased_fetch_reply(encoded(LeasedFetchReply{.grant = grant, .fetched = protocol_examples::fetch_reply()}));
  ASSERT_TRUE(fetched);
  EXPECT_EQ(fetched->grant.generation, 7u);
  EXPECT_EQ(fetched->grant.valid, kLeaseTerm);
  EXPECT_EQ(encoded(fetched->fetched), encoded(protocol_examples::fetch_reply()));
  const auto query = decode_leased_query_request(encoded(LeasedQueryRequest{.token = 4, .query = size_query()}));
  ASSERT_TRUE(query);
  EXPECT_EQ(query->token, 4u);
  EXPECT_EQ(encoded(query->query), encoded(size_query()));
  const auto renewal = decode_renew_leases_request(encoded(RenewLeasesRequest{.generation = 9, .dropped = {1, 5}}));
  ASSERT_TRUE(renewal);
  EXPECT_EQ(renewal->generation, 9u);
  EXPECT_EQ(renewal->dropped, (std::vector<LeaseToken>{1, 5}));
  const auto recall = decode_recall_request(encoded(RecallRequest{.generation = 9, .tokens = {2}}));
  ASSERT_TRUE(recall);
  EXPECT_EQ(recall->tokens, std::vector<LeaseToken>{2});
  EXPECT_EQ(decode_renew_leases_reply(encoded(grant))->generation, 7u);
}

TEST(LeaseCodec, WhatIsNoSuchMessageIsRefused) {
  EXPECT_EQ(
      decode_leased_fetch_request(encoded(LeasedFetchRequest{.fetch = protocol_examples::fetch_request()})).error(),
      Code::kMalformed)
      << "without a token";
  EXPECT_EQ(decode_renew_leases_reply(encoded(LeaseGrant{1, kLeaseTerm + Duration(1)})).error(), Code::kMalformed)
      << "longer than any lease";
  EXPECT_EQ(decode_recall_request(Bytes(5)).error(), Code::kMalformed);
  Bytes many = encoded(RecallRequest{.generation = 1, .tokens = {}});
  store_le(many.data() + 8, static_cast<std::uint32_t>(kMaxLeasesPerMessage + 1));
  EXPECT_EQ(decode_recall_request(many).error(), Code::kOutOfRange);
  store_le(many.data() + 8, std::uint32_t{2});
  EXPECT_EQ(decode_recall_request(many).error(), Code::kMalformed) << "fewer than it says";
}

}  // namespace
}  // namespace cenote
