#include "cenote/rpc/handshake.h"

#include <algorithm>
#include <limits>

#include "cenote/base/codec.h"
#include "cenote/base/format.h"

namespace cenote::rpc {
namespace {

constexpr std::uint16_t kWelcomeResumed = 1;

Uuid read_uuid(Decoder& decoder) {
  const ByteView bytes = decoder.raw(16);
  return bytes.size() == 16 ? Uuid::from_bytes(bytes.first<16>()) : Uuid();
}

}  // namespace

Bytes encode(const Hello& hello) {
  Bytes out;
  Encoder encoder(out);
  encoder.integer(hello.version_min);
  encoder.integer(hello.version_max);
  encoder.integer(hello.features);
  encoder.raw(hello.identity.bytes());
  encoder.text(hello.name);
  encoder.integer(hello.session.value());
  encoder.integer(hello.incarnation);
  encoder.raw(hello.system.bytes());
  encoder.integer(static_cast<std::uint16_t>(hello.authentication));
  encoder.blob(hello.credential);
  return out;
}

Result<Hello> decode_hello(ByteView body) {
  Decoder decoder(body);
  Hello hello;
  hello.version_min = decoder.integer<std::uint16_t>();
  hello.version_max = decoder.integer<std::uint16_t>();
  hello.features = decoder.integer<std::uint64_t>();
  hello.identity = read_uuid(decoder);
  hello.name = decoder.text(kMaxNameBytes);
  hello.session = SessionId(decoder.integer<std::uint64_t>());
  hello.incarnation = decoder.integer<std::uint64_t>();
  hello.system = read_uuid(decoder);
  hello.authentication = static_cast<Authentication>(decoder.integer<std::uint16_t>());
  hello.credential = to_bytes(decoder.blob(kMaxCredentialBytes));
  decoder.require(hello.version_min <= hello.version_max && hello.session.value() != 0);
  CHECK_OK(decoder.check("hello"));
  return hello;
}

Bytes encode(const Welcome& welcome) {
  Bytes out;
  Encoder encoder(out);
  encoder.integer(welcome.version);
  encoder.integer(welcome.resumed ? kWelcomeResumed : std::uint16_t{0});
  encoder.integer(welcome.features);
  encoder.integer(welcome.session.value());
  encoder.integer(welcome.server_incarnation);
  encoder.raw(welcome.system.bytes());
  encoder.integer(welcome.credits.requests);
  encoder.integer(welcome.credits.bytes);
  encoder.integer(welcome.body_bytes_max);
  encoder.integer(welcome.bulk_bytes_max);
  encoder.integer(welcome.wall_time);
  return out;
}

Result<Welcome> decode_welcome(ByteView body) {
  Decoder decoder(body);
  Welcome welcome;
  welcome.version = decoder.integer<std::uint16_t>();
  const auto flags = decoder.integer<std::uint16_t>();
  welcome.resumed = (flags & kWelcomeResumed) != 0;
  welcome.features = decoder.integer<std::uint64_t>();
  welcome.session = SessionId(decoder.integer<std::uint64_t>());
  welcome.server_incarnation = decoder.integer<std::uint64_t>();
  welcome.system = read_uuid(decoder);
  welcome.credits.requests = decoder.integer<std::uint32_t>();
  welcome.credits.bytes = decoder.integer<std::uint64_t>();
  welcome.body_bytes_max = decoder.integer<std::uint32_t>();
  welcome.bulk_bytes_max = decoder.integer<std::uint32_t>();
  welcome.wall_time = decoder.integer<std::uint64_t>();
  // Fewer credits than one largest message would let a call wait for ever.
  decoder.require(welcome.credits.requests > 0 && welcome.body_bytes_max <= kMaxBodyBytes &&
                  welcome.bulk_bytes_max <= kMaxBulkBytes &&
                  welcome.credits.bytes >= std::uint64_t{welcome.body_bytes_max} + welcome.bulk_bytes_max &&
                  welcome.wall_time <= static_cast<std::uint64_t>(std::numeric_limits<std::int64_t>::max()));
  CHECK_OK(decoder.check("welcome"));
  return welcome;
}

Bytes encode(const ClockQuestion& question) {
  Bytes out;
  Encoder(out).integer(question.number);
  return out;
}

Result<ClockQuestion> decode_clock_question(ByteView body) {
  Decoder decoder(body);
  const ClockQuestion question{.number = decoder.integer<std::uint64_t>()};
  decoder.require(question.number != 0);
  CHECK_OK(decoder.check("ping"));
  return question;
}

Bytes encode(const ClockAnswer& answer) {
  Bytes out;
  Encoder encoder(out);
  encoder.integer(answer.number);
  encoder.integer(static_cast<std::uint64_t>(answer.wall.time_since_epoch().count()));
  return out;
}

Result<ClockAnswer> decode_clock_answer(ByteView body) {
  Decoder decoder(body);
  ClockAnswer answer{.number = decoder.integer<std::uint64_t>()};
  const auto wall = decoder.integer<std::uint64_t>();
  // Whoever compares two such times gets one, too.
  decoder.require(answer.number != 0 && wall <= static_cast<std::uint64_t>(std::numeric_limits<std::int64_t>::max()));
  CHECK_OK(decoder.check("answer to a ping"));
  answer.wall = WallTime(Duration(static_cast<std::int64_t>(wall)));
  return answer;
}

Result<std::uint16_t> choose_version(const Hello& hello) {
  const std::uint16_t newest = std::min(hello.version_max, kProtocolVersionMax);
  if (newest < std::max(hello.version_min, kProtocolVersionMin)) {
    return failf(Code::kVersionMismatch,
                 "client '{}' speaks protocol versions {} to {}, this server {} to {}: upgrade the older side",
                 hello.name, hello.version_min, hello.version_max, kProtocolVersionMin, kProtocolVersionMax);
  }
  return newest;
}

}  // namespace cenote::rpc
