// Decoder, Encoder and Uuid on arbitrary bytes. An input is a list of reads (its length first), then the bytes to read.

#include <algorithm>
#include <cstdint>
#include <span>

#include "cenote/base/assert.h"
#include "cenote/base/codec.h"
#include "cenote/base/uuid.h"

namespace {

using namespace cenote;

// Does one read and writes what it returned with the encoder's counterpart.
void read_and_write(std::uint8_t operation, Decoder& decoder, Encoder& encoder) {
  const std::size_t parameter = operation >> 3;
  switch (operation & 7) {
    case 0:
      encoder.integer(decoder.integer<std::uint8_t>());
      break;
    case 1:
      encoder.integer(decoder.integer<std::uint16_t>());
      break;
    case 2:
      encoder.integer(decoder.integer<std::uint32_t>());
      break;
    case 3:
      encoder.integer(decoder.integer<std::uint64_t>());
      break;
    case 4:
      encoder.raw(decoder.raw(parameter));
      break;
    case 5:
      encoder.blob(decoder.blob());
      break;
    case 6:
      encoder.text(decoder.text(parameter));
      break;
    default:
      decoder.zeros(parameter);
      encoder.zeros(parameter);
      break;
  }
}

// What was read, written again, is what stood there; and a read that failed leaves nothing to be used.
void check_codec(std::span<const std::uint8_t> operations, ByteView payload) {
  Decoder decoder(payload);
  Bytes written;
  Encoder encoder(written);
  for (std::uint8_t operation : operations) {
    read_and_write(operation, decoder, encoder);
    if (decoder.bad()) break;
    ASSERT(encoder.size() + decoder.remaining() == payload.size());
  }
  ASSERT(decoder.check("input").has_value() != decoder.bad());
  if (decoder.bad()) {
    ASSERT(decoder.remaining() == 0 && decoder.rest().empty() && decoder.integer<std::uint64_t>() == 0);
    ASSERT(!decoder.finish("input").has_value());
    return;
  }
  ASSERT(equal(written, payload.first(written.size())));
  ASSERT(decoder.finish("input").has_value() == (written.size() == payload.size()));
}

void check_uuid(ByteView payload) {
  const Result<Uuid> id = Uuid::parse(as_text(payload));
  if (id.has_value()) {
    std::string lower = to_text(payload);
    std::ranges::transform(lower, lower.begin(), [](char c) { return c >= 'A' && c <= 'F' ? char(c + 32) : c; });
    ASSERT(id->to_string() == lower);
  }
  if (payload.size() >= 16) {
    const Uuid raw = Uuid::from_bytes(payload.first<16>());
    ASSERT(Uuid::parse(raw.to_string()) == raw);
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::span<const std::uint8_t> input(data, size);
  if (input.empty()) return 0;
  const std::size_t count = std::min<std::size_t>(input[0], input.size() - 1);
  const ByteView payload = std::as_bytes(input.subspan(1 + count));
  check_codec(input.subspan(1, count), payload);
  check_uuid(payload);
  ASSERT(printable(payload, 16).size() <= 16 * 4 + 3);
  return 0;
}
