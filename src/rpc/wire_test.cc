#include "cenote/rpc/wire.h"

#include <gtest/gtest.h>

#include "acknowledge.h"
#include "cenote/base/checksum.h"
#include "cenote/base/codec.h"
#include "cenote/base/format.h"
#include "cenote/rpc/handshake.h"
#include "cenote/runtime/random.h"

namespace cenote::rpc {
namespace {

using Encoded = std::array<std::byte, kHeaderBytes>;

Header sample() {
  Header header;
  header.service_class = ServiceClass::kRebuild;
  header.opcode = 0x0102;
  header.flags = flag::kRetry;
  header.target = 0x0304;
  header.bulk_bytes = 0x00050607;
  header.session = 0x1112131415161718;
  header.sequence = 0x2122232425262728;
  header.expiry = 0x3132333435363738;
  header.trace_id = 0x4142434445464748;
  header.map_version = 0x51525354;
  header.body_bytes = 5;
  header.body_crc = crc32c(as_bytes("hello"));
  return header;
}

Encoded encoded(const Header& header) {
  Encoded bytes;
  encode_header(header, bytes);
  return bytes;
}

TEST(WireTest, GoldenBytes) {
  EXPECT_EQ(to_hex(encoded(sample())),
            "07ce01010201100000000403070605001817161514131211282726252423222138373635343332314847464544434241"
            "54535251050000004cbb719a92437555");
  Header ping;
  ping.opcode = static_cast<Opcode>(ControlOpcode::kPing);
  ping.flags = flag::kControl;
  ping.session = 0x1122334455667788;
  ping.sequence = 1;
  EXPECT_EQ(to_hex(encoded(ping)),
            "07ce01000200080000000000000000008877665544332211010000000000000000000000000000000000000000000000"
            "00000000000000000000000040efadf1");
}

TEST(WireTest, WhatIsWrittenIsRead) {
  const Result<Header> header = decode_header(encoded(sample()));
  ASSERT_TRUE(header) << header.error().to_string();
  Header expected = sample();
  expected.header_crc = header->header_crc;
  EXPECT_EQ(*header, expected);
  EXPECT_TRUE(check_body(*header, as_bytes("hello")));
  EXPECT_FALSE(check_body(*header, as_bytes("hellO")));
  EXPECT_FALSE(check_body(*header, as_bytes("hell")));
}

TEST(WireTest, EveryFlippedBitIsNoticed) {
  const Encoded good = encoded(sample());
  for (std::size_t bit = 0; bit < kHeaderBytes * 8; ++bit) {
    Encoded bad = good;
    bad[bit / 8] ^= std::byte{1} << (bit % 8);
    EXPECT_FALSE(decode_header(bad)) << "bit " << bit;
  }
}

TEST(WireTest, GarbageOfAnyLengthIsRefused) {
  Random random(1);
  for (int round = 0; round < 20'000; ++round) {
    Bytes garbage(random.below(100));
    for (std::byte& value : garbage) value = static_cast<std::byte>(random.next());
    EXPECT_FALSE(decode_header(garbage));
  }
  EXPECT_FALSE(decode_header({}));
}

// With a right checksum, so that only the rule itself can refuse.
TEST(WireTest, ContradictionsAreRefused) {
  struct Case {
    const char* what;
    void (*spoil)(Header&);
  };
  const Case cases[] = {
      {"magic", [](Header& h) { h.magic = 0x1234; }},
      {"header version", [](Header& h) { h.version = 2; }},
      {"service class", [](Header& h) { h.service_class = ServiceClass{3}; }},
      {"unknown flag", [](Header& h) { h.flags = 32; }},
      {"one-way reply", [](Header& h) { h.flags = flag::kOneWay | flag::kReply; }},
      {"one-way callback", [](Header& h) { h.flags = flag::kOneWay | flag::kCallback; }},
      {"control callback", [](Header& h) { h.flags = flag::kControl | flag::kCallback; }},
      {"retried reply",
       [](Header& h) {
         h.flags = flag::kReply | flag::kRetry;
         h.expiry = 0;
       }},
      {"body too large", [](Header& h) { h.body_bytes = kMaxBodyBytes + 1; }},
      {"payload too large", [](Header& h) { h.bulk_bytes = kMaxBulkBytes + 1; }},
      {"no session", [](Header& h) { h.session = 0; }},
      {"no sequence", [](Header& h) { h.sequence = 0; }},
      {"checksum of nothing", [](Header& h) { h.body_bytes = 0; }},
      {"status in a request", [](Header& h) { h.status = 3; }},
      {"request without expiry", [](Header& h) { h.expiry = 0; }},
      {"reply with expiry", [](Header& h) { h.flags = flag::kReply; }},
      {"control with expiry",
       [](Header& h) {
         h.flags = flag::kControl;
         h.bulk_bytes = 0;
       }},
      {"error with payload",
       [](Header& h) {
         h.flags = flag::kReply;
         h.expiry = 0;
         h.status = 3;
       }},
      {"long error",
       [](Header& h) {
         h.flags = flag::kReply;
         h.expiry = 0;
         h.status = 3;
         h.bulk_bytes = 0;
         h.body_bytes = kMaxErrorBytes + 1;
       }},
      {"callback with payload", [](Header& h) { h.flags = flag::kCallback; }},
  };
  for (const Case& c : cases) {
    Header header = sample();
    c.spoil(header);
    EXPECT_FALSE(decode_header(encoded(header))) << c.what;
  }
}

TEST(WireTest, ANewerHeaderVersionIsSaidToBeOne) {
  Header header = sample();
  header.version = 9;
  EXPECT_EQ(decode_header(encoded(header)).error().code(), Code::kUnsupported);
}

// ---- bodies of this layer ----

Hello sample_hello() {
  Hello hello;
  hello.features = 5;
  hello.identity = Uuid::from_random(1, 2);
  hello.name = "client on host-1";
  hello.session = SessionId(77);
  hello.incarnation = 3;
  hello.system = Uuid::from_random(3, 4);
  hello.credential = to_bytes(as_bytes("secret"));
  return hello;
}

Welcome sample_welcome() {
  Welcome welcome;
  welcome.features = 1;
  welcome.session = SessionId(77);
  welcome.resumed = true;
  welcome.server_incarnation = 12;
  welcome.system = Uuid::from_random(3, 4);
  welcome.wall_time = 1'700'000'000'000'000'000;
  return welcome;
}

TEST(HandshakeTest, WhatIsWrittenIsRead) {
  EXPECT_EQ(decode_hello(encode(sample_hello())).value(), sample_hello());
  EXPECT_EQ(decode_welcome(encode(sample_welcome())).value(), sample_welcome());
}

TEST(HandshakeTest, FieldsOfLaterVersionsAreIgnored) {
  Bytes hello = encode(sample_hello());
  Encoder(hello).integer(std::uint64_t{99});
  EXPECT_EQ(decode_hello(hello).value(), sample_hello());
}

TEST(HandshakeTest, TruncatedOnesAreRefused) {
  const Bytes hello = encode(sample_hello());
  for (std::size_t bytes = 0; bytes < hello.size(); ++bytes) EXPECT_FALSE(decode_hello(ByteView(hello).first(bytes)));
  const Bytes welcome = encode(sample_welcome());
  for (std::size_t bytes = 0; bytes < welcome.size(); ++bytes) {
    EXPECT_FALSE(decode_welcome(ByteView(welcome).first(bytes)));
  }
}

TEST(HandshakeTest, MutatedOnesNeverHarm) {
  Random random(2);
  for (int round = 0; round < 20'000; ++round) {
    Bytes hello = encode(sample_hello());
    Bytes welcome = encode(sample_welcome());
    hello[random.below(hello.size())] = static_cast<std::byte>(random.next());
    welcome[random.below(welcome.size())] = static_cast<std::byte>(random.next());
    static_cast<void>(decode_hello(hello));
    if (const Result<Welcome> read = decode_welcome(welcome)) {
      EXPECT_GT(read->credits.requests, 0u);
      EXPECT_GE(read->credits.bytes, std::uint64_t{read->body_bytes_max} + read->bulk_bytes_max);
    }
  }
}

TEST(HandshakeTest, VersionsAreNegotiated) {
  Hello hello = sample_hello();
  hello.version_max = kProtocolVersionMax + 5;
  EXPECT_EQ(choose_version(hello).value(), kProtocolVersionMax);
  hello.version_min = kProtocolVersionMax + 1;
  const Result<std::uint16_t> none = choose_version(hello);
  ASSERT_FALSE(none);
  EXPECT_EQ(none.error().code(), Code::kVersionMismatch);
  EXPECT_NE(none.error().message().find("speaks protocol versions 2 to 6, this server 1 to 1"), std::string::npos)
      << none.error().message();
}

TEST(AcknowledgementTest, WhatIsWrittenIsReadAndTheRestRefused) {
  const Acknowledgement sent{.up_to = 9, .ended = {11, 13}};
  Bytes bytes;
  sent.encode(bytes);
  const Result<Acknowledgement> read = Acknowledgement::decode(bytes);
  ASSERT_TRUE(read);
  EXPECT_EQ(read->up_to, 9u);
  EXPECT_EQ(read->ended, sent.ended);
  for (std::size_t length = 0; length < bytes.size(); ++length) {
    EXPECT_FALSE(Acknowledgement::decode(ByteView(bytes).first(length)));
  }
  // A count that promises far more than there is.
  bytes[8] = bytes[9] = bytes[10] = bytes[11] = std::byte{0xff};
  EXPECT_FALSE(Acknowledgement::decode(bytes));
}

}  // namespace
}  // namespace cenote::rpc
