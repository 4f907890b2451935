#include "payload.h"

#include <gtest/gtest.h>

#include <algorithm>

#include "cenote/base/checksum.h"
#include "cenote/runtime/random.h"

namespace cenote::async {
namespace {

Bytes random_bytes(Random& random, std::uint64_t count) {
  Bytes bytes(count);
  for (std::byte& byte : bytes) byte = static_cast<std::byte>(random.next());
  return bytes;
}

/// Cuts memory at random places, empty pieces included.
template <typename Byte>
std::vector<std::span<Byte>> scatter(std::span<Byte> memory, Random& random) {
  std::vector<std::span<Byte>> pieces;
  while (!memory.empty()) {
    const std::uint64_t bytes = random.below(std::min<std::uint64_t>(memory.size(), 5000) + 1);
    pieces.push_back(memory.first(bytes));
    memory = memory.subspan(bytes);
  }
  return pieces;
}

TEST(Scattered, VisitsExactlyThePartAskedFor) {
  for (std::uint64_t seed = 1; seed <= 50; ++seed) {
    SCOPED_TRACE(seed);
    Random random(seed);
    const Bytes memory = random_bytes(random, 1 + random.below(20000));
    const auto pieces = scatter(ByteView(memory), random);
    const Scattered<const std::byte> data{std::span<const ByteView>(pieces)};
    ASSERT_EQ(data.bytes(), memory.size());
    const std::uint64_t offset = random.below(memory.size());
    const std::uint64_t count = random.below(memory.size() - offset + 1);
    Bytes seen;
    data.for_each(offset, count, [&seen](ByteView part) { seen.insert(seen.end(), part.begin(), part.end()); });
    EXPECT_TRUE(equal(seen, ByteView(memory).subspan(offset, count)));
  }
}

TEST(FillChecksums, AgreesWithTheProtocolsForm) {
  for (std::uint64_t seed = 1; seed <= 50; ++seed) {
    SCOPED_TRACE(seed);
    Random random(seed);
    UpdateRequest request;
    std::uint64_t total = 0;
    for (std::uint64_t i = 1 + random.below(4); i > 0; --i) {
      AkeyUpdate& akey = request.akeys.emplace_back();
      if (random.chance(1, 2)) {
        akey.bytes = random.below(10000);
      } else {
        akey.kind = ValueKind::kArray;
        akey.record_bytes = static_cast<std::uint32_t>(1 + random.below(9));
        // Ranges across windows, where the chunks begin anew.
        std::uint64_t first = window_records(akey.record_bytes) - random.below(500);
        for (std::uint64_t r = 1 + random.below(3); r > 0; --r) {
          const std::uint64_t count = 1 + random.below(1000);
          akey.ranges.push_back({first, count});
          akey.bytes += count * akey.record_bytes;
          first += count + random.below(3);
        }
      }
      total += akey.bytes;
    }
    const Bytes payload = random_bytes(random, total);
    const auto pieces = scatter(ByteView(payload), random);
    fill_checksums(request, Scattered<const std::byte>(std::span<const ByteView>(pieces)));
    ByteView rest(payload);
    for (const AkeyUpdate& akey : request.akeys) {
      Checksums expected;
      append_checksums(akey, rest.first(akey.bytes), expected);
      EXPECT_TRUE(std::ranges::equal(akey.checksums.view(), expected.view()));
      rest = rest.subspan(akey.bytes);
    }
  }
}

/// What a server sends for a fetch, and the dense form the caller must find in the end.
struct Answered {
  FetchRequest request;
  FetchReply reply;
  Bytes sent;
  Bytes dense;
};

void answer_part(Answered& answered, AkeyFetched& fetched, const Bytes& data, std::uint64_t sent) {
  answered.sent.insert(answered.sent.end(), data.begin(), data.begin() + static_cast<std::ptrdiff_t>(sent));
  append_checksums(ByteView(data).first(sent), fetched.checksums);
  fetched.bytes += sent;
  answered.dense.insert(answered.dense.end(), data.begin(), data.end());
}

/// Ranges with holes at their ends, absent akeys, and values shorter than the room given to them.
Answered random_answer(Random& random) {
  Answered answered;
  for (std::uint64_t i = 1 + random.below(4); i > 0; --i) {
    AkeyFetch& asked = answered.request.akeys.emplace_back();
    asked.akey = to_bytes(as_bytes("akey " + std::to_string(i)));
    AkeyFetched& fetched = answered.reply.akeys.emplace_back();
    fetched.exists = random.chance(3, 4);
    if (random.chance(1, 2)) {
      asked.max_bytes = random.below(9000);
      const std::uint64_t bytes = fetched.exists ? random.below(asked.max_bytes + 1) : 0;
      Bytes value = random_bytes(random, bytes);
      value.resize(asked.max_bytes);
      answer_part(answered, fetched, value, bytes);
      continue;
    }
    asked.kind = ValueKind::kArray;
    fetched.record_bytes = fetched.exists ? static_cast<std::uint32_t>(1 + random.below(5)) : 0;
    for (std::uint64_t r = 1 + random.below(3); r > 0; --r) {
      asked.ranges.push_back({r * 100000, 1 + random.below(3000)});
      const std::uint64_t record_bytes = fetched.exists ? fetched.record_bytes : 1;
      const std::uint64_t room = asked.ranges.back().count * record_bytes;
      asked.max_bytes += room;
      const std::uint64_t bytes = fetched.exists && random.chance(3, 4) ? random.below(room + 1) : 0;
      Bytes range = random_bytes(random, bytes);
      range.resize(room);
      fetched.range_bytes.push_back(bytes);
      answer_part(answered, fetched, range, bytes);
    }
  }
  return answered;
}

/// The caller's memory with the payload at its front, as the transport leaves it, in pieces.
struct Received {
  Received(const Answered& answered, Random& random) : memory(answered.dense.size(), std::byte{0xee}) {
    std::ranges::copy(answered.sent, memory.begin());
    pieces = scatter(MutableBytes(memory), random);
  }
  Scattered<std::byte> view() const { return Scattered<std::byte>(std::span<const MutableBytes>(pieces)); }

  Bytes memory;
  std::vector<MutableBytes> pieces;
};

TEST(SettlePayload, PutsEverythingWhereItBelongs) {
  for (std::uint64_t seed = 1; seed <= 300; ++seed) {
    SCOPED_TRACE(seed);
    Random random(seed);
    const Answered answered = random_answer(random);
    const Received received(answered, random);
    const Result<> settled =
        settle_payload(answered.request, answered.reply, answered.sent.size(), received.view(), true);
    ASSERT_TRUE(settled) << settled.error().to_string();
    EXPECT_TRUE(equal(received.memory, answered.dense));
  }
}

TEST(SettlePayload, FindsAFlippedBit) {
  int flipped = 0;
  for (std::uint64_t seed = 1; seed <= 100; ++seed) {
    SCOPED_TRACE(seed);
    Random random(seed);
    const Answered answered = random_answer(random);
    if (answered.sent.empty()) continue;
    ++flipped;
    Received received(answered, random);
    received.memory[random.below(answered.sent.size())] ^= std::byte{1} << random.below(8);
    const Result<> settled =
        settle_payload(answered.request, answered.reply, answered.sent.size(), received.view(), true);
    ASSERT_FALSE(settled);
    EXPECT_EQ(settled.error().code(), Code::kChecksumMismatch);
  }
  EXPECT_GT(flipped, 50);
}

TEST(SettlePayload, RefusesMissingAndSurplusChecksums) {
  Random random(7);
  Answered answered;
  do answered = random_answer(random);
  while (answered.reply.akeys[0].checksums.empty());
  const Received received(answered, random);
  FetchReply fewer = answered.reply;
  fewer.akeys[0].checksums.resize(fewer.akeys[0].checksums.size() - 1);
  EXPECT_EQ(settle_payload(answered.request, fewer, answered.sent.size(), received.view(), true).error().code(),
            Code::kChecksumMismatch);
  FetchReply more = answered.reply;
  more.akeys[0].checksums.push_back(0);
  EXPECT_EQ(settle_payload(answered.request, more, answered.sent.size(), received.view(), true).error().code(),
            Code::kChecksumMismatch);
  EXPECT_TRUE(settle_payload(answered.request, fewer, answered.sent.size(), received.view(), false))
      << "a container without checksums";
}

TEST(SettlePayload, RefusesRepliesThatContradictTheRequest) {
  Bytes memory(100);
  const std::vector<MutableBytes> pieces = {MutableBytes(memory)};
  const Scattered<std::byte> into{std::span<const MutableBytes>(pieces)};
  const auto settle = [&](const FetchRequest& request, const FetchReply& reply, std::uint64_t received) {
    const Result<> settled = settle_payload(request, reply, received, into, false);
    return settled ? Code::kOk : settled.error().code();
  };
  FetchRequest request;
  FetchReply reply;
  EXPECT_EQ(settle(request, reply, 0), Code::kOk) << "a fetch that only asks for a dkey";
  EXPECT_EQ(settle(request, reply, 1), Code::kMalformed);

  request.akeys.emplace_back().max_bytes = 50;
  EXPECT_EQ(settle(request, reply, 0), Code::kMalformed) << "an akey is missing";
  reply.akeys.emplace_back() = {.exists = true, .bytes = 51};
  EXPECT_EQ(settle(request, reply, 51), Code::kMalformed) << "longer than its room";
  reply.akeys[0].bytes = 50;
  EXPECT_EQ(settle(request, reply, 49), Code::kMalformed) << "less came than announced";
  EXPECT_EQ(settle(request, reply, 50), Code::kOk);
  request.akeys[0].max_bytes = 101;
  EXPECT_EQ(settle(request, reply, 50), Code::kInvalidArgument) << "the caller's memory is too small";

  request.akeys[0].kind = ValueKind::kArray;
  request.akeys[0].ranges = {{0, 10}};
  EXPECT_EQ(settle(request, reply, 50), Code::kMalformed) << "no range";
  reply.akeys[0].range_bytes = {50};
  reply.akeys[0].record_bytes = 4;
  EXPECT_EQ(settle(request, reply, 50), Code::kMalformed) << "more than the range holds";
  // 2^62 records of 4 bytes wrap to nothing in 64 bits.
  request.akeys[0].ranges = {{0, std::uint64_t{1} << 62}};
  reply.akeys[0].range_bytes = {0};
  EXPECT_EQ(settle(request, reply, 0), Code::kOutOfRange);
}

}  // namespace
}  // namespace cenote::async
