#include <gtest/gtest.h>

#include <functional>
#include <random>

#include "cenote/protocol/object_requests.h"
#include "example_messages.h"

namespace cenote {
namespace {

using namespace protocol_examples;

ListRequest list_request() {
  return {.container = kContainer,
          .level = ListLevel::kAkeys,
          .object = kObject,
          .dkey = key("d"),
          .akey = {},
          .epoch = Epoch(5),
          .anchor = key("akey-17"),
          .prefix = key("akey-"),
          .limit = 100};
}

struct Message {
  std::string_view name;
  Bytes encoded;
  // Decodes any bytes; on success gives what the decoded value encodes to.
  std::function<Result<Bytes>(ByteView)> recode;
};

template <typename T>
Message message(std::string_view name, const T& value, Result<T> (*decode)(ByteView)) {
  Bytes encoded;
  encode(value, encoded);
  return {name, encoded, [decode](ByteView from) -> Result<Bytes> {
            TRY(const T decoded, decode(from));
            Bytes out;
            encode(decoded, out);
            return out;
          }};
}

std::vector<Message> all_messages() {
  QueryRequest query{.container = kContainer, .object = kObject, .epoch = Epoch(1), .dkey = key("d"), .akey = key("a")};
  QueryReply query_reply{.exists = true, .dkey = key("d"), .record_bytes = 8, .records = 99};
  return {message("update request", update_request(), decode_update_request),
          message("update reply", UpdateReply{Epoch(6)}, decode_update_reply),
          message("fetch request", fetch_request(), decode_fetch_request),
          message("fetch reply", fetch_reply(), decode_fetch_reply),
          message("fetch reply of nothing", FetchReply{.epoch = Epoch(5), .akeys = {{}}}, decode_fetch_reply),
          message("punch request", punch_request(), decode_punch_request),
          message("list request", list_request(), decode_list_request),
          message("list reply", list_reply(), decode_list_reply),
          message("query request", query, decode_query_request),
          message("query reply", query_reply, decode_query_reply),
          message("begin request", BeginRequest{kContainer}, decode_begin_request),
          message("begin reply", BeginReply{Epoch(9)}, decode_begin_reply),
          message("commit request", commit_request(), decode_commit_request),
          message("pool view request", PoolViewRequest{kContainer}, decode_pool_view_request),
          message("pool view", pool_view(), decode_pool_view),
          message("pool view without map", PoolView{.map = {}, .targets = 4, .engines = {}}, decode_pool_view)};
}

TEST(Codec, RoundTrip) {
  for (const Message& m : all_messages()) {
    const auto again = m.recode(m.encoded);
    ASSERT_TRUE(again.has_value()) << m.name << ": " << again.error().to_string();
    EXPECT_EQ(*again, m.encoded) << m.name;
  }
}

// What is reserved is exactly what is used: one allocation, and nothing for it to outgrow.
template <typename Message>
void expect_one_allocation(const Message& message) {
  Bytes out;
  encode(message, out);
  EXPECT_EQ(out.capacity(), out.size());
}

TEST(Codec, MessagesOfTheHotPathAreEncodedInOneAllocation) {
  expect_one_allocation(update_request());
  expect_one_allocation(UpdateReply{Epoch(7)});
  expect_one_allocation(fetch_request());
  expect_one_allocation(fetch_reply());
}

TEST(Codec, FieldsSurvive) {
  Bytes encoded;
  encode(update_request(), encoded);
  const auto decoded = decode_update_request(encoded);
  ASSERT_TRUE(decoded.has_value());
  const UpdateRequest expected = update_request();
  EXPECT_EQ(decoded->container, expected.container);
  EXPECT_EQ(decoded->object, expected.object);
  EXPECT_EQ(decoded->id.expiry, expected.id.expiry);
  EXPECT_EQ(decoded->id.acknowledged, 8u);
  EXPECT_EQ(decoded->dkey_condition, Precondition::kPresent);
  ASSERT_EQ(decoded->akeys.size(), 2u);
  EXPECT_EQ(decoded->akeys[0].akey, expected.akeys[0].akey);
  EXPECT_EQ(decoded->akeys[0].condition, Precondition::kAbsent);
  EXPECT_EQ(decoded->akeys[1].ranges, expected.akeys[1].ranges);
  EXPECT_EQ(decoded->akeys[1].checksums, expected.akeys[1].checksums);

  encoded.clear();
  encode(fetch_reply(), encoded);
  const auto reply = decode_fetch_reply(encoded);
  ASSERT_TRUE(reply.has_value());
  EXPECT_TRUE(reply->akeys[0].exists);
  EXPECT_EQ(reply->akeys[1].holes, fetch_reply().akeys[1].holes);
  EXPECT_EQ(reply->akeys[1].range_bytes, fetch_reply().akeys[1].range_bytes);
}

TEST(Codec, EveryTruncationIsAnError) {
  for (const Message& m : all_messages())
    for (std::size_t bytes = 0; bytes < m.encoded.size(); ++bytes) {
      // A copy of exact size, so that a read past its end is seen by the sanitizer.
      const Bytes cut(m.encoded.begin(), m.encoded.begin() + static_cast<std::ptrdiff_t>(bytes));
      EXPECT_FALSE(m.recode(cut).has_value()) << m.name << " cut to " << bytes;
    }
}

TEST(Codec, TrailingBytesAreAnError) {
  for (const Message& m : all_messages()) {
    Bytes longer = m.encoded;
    longer.push_back(std::byte{0});
    EXPECT_TRUE(m.recode(longer).error() == Code::kMalformed) << m.name;
  }
}

// What a decoder accepts has one encoding: whatever a mutation makes of a message, it is refused or kept in full.
TEST(Codec, MutationsAreRefusedOrKept) {
  constexpr std::uint64_t kSeed = 20240601;
  std::mt19937_64 random(kSeed);
  for (const Message& m : all_messages())
    for (int round = 0; round < 3000; ++round) {
      Bytes mutated = m.encoded;
      for (std::uint64_t flips = random() % 3 + 1; flips > 0; --flips)
        mutated[random() % mutated.size()] = static_cast<std::byte>(random() % 4 == 0 ? 0xff : random());
      const auto again = m.recode(mutated);
      if (again) {
        EXPECT_EQ(*again, mutated) << m.name << " round " << round << " seed " << kSeed;
      } else {
        EXPECT_TRUE(again.error() == Code::kMalformed || again.error() == Code::kOutOfRange)
            << again.error().to_string();
      }
    }
}

TEST(Codec, CountsBeyondTheirLimitsAreOutOfRange) {
  const auto code_of = [](const auto& request, auto decode) {
    Bytes encoded;
    encode(request, encoded);
    const auto decoded = decode(encoded);
    return decoded ? Code::kOk : decoded.error().code();
  };
  UpdateRequest update = update_request();
  update.akeys[1].ranges.resize(kMaxRangesPerRequest + 1);
  EXPECT_EQ(code_of(update, decode_update_request), Code::kOutOfRange);
  update = update_request();
  update.akeys.resize(kMaxAkeysPerRequest);
  for (AkeyUpdate& akey : update.akeys) akey.kind = ValueKind::kSingle;
  EXPECT_EQ(code_of(update, decode_update_request), Code::kOk);
  update.akeys.push_back(update.akeys[0]);
  EXPECT_EQ(code_of(update, decode_update_request), Code::kOutOfRange);
  update = update_request();
  update.dkey.resize(kMaxDkeyBytes + 1);
  EXPECT_EQ(code_of(update, decode_update_request), Code::kOutOfRange);
  update = update_request();
  update.akeys[0].akey.resize(kMaxAkeyBytes + 1);
  EXPECT_EQ(code_of(update, decode_update_request), Code::kOutOfRange);
  PunchRequest punch = punch_request();
  punch.ranges.resize(kMaxRangesPerPunch + 1);
  EXPECT_EQ(code_of(punch, decode_punch_request), Code::kOutOfRange);
  ListRequest list = list_request();
  list.limit = kMaxListEntries + 1;
  EXPECT_EQ(code_of(list, decode_list_request), Code::kOutOfRange);
  FetchReply reply = fetch_reply();
  reply.akeys[1].holes.resize(kMaxHolesPerAkey + 1);
  EXPECT_EQ(code_of(reply, decode_fetch_reply), Code::kOutOfRange);
}

// A count of four billion in a short message must not reserve memory for it.
TEST(Codec, HugeCountsInShortMessagesAreMalformed) {
  UpdateRequest update = update_request();
  Bytes encoded;
  encode(update, encoded);
  const std::size_t first_akey = encoded.size();
  Bytes without;
  update.akeys.clear();
  encode(update, without);
  ASSERT_LT(without.size(), first_akey);
  // The checksum count of the first akey: after kind, condition, key length, record size, bytes and range count.
  const std::size_t at = without.size() + 2 + 2 + 4 + 8 + 4;
  for (std::size_t i = 0; i < 4; ++i) encoded[at + i] = std::byte{0xff};
  EXPECT_TRUE(decode_update_request(encoded).error() == Code::kMalformed);
}

}  // namespace
}  // namespace cenote
