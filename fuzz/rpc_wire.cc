// What rpc reads from a peer: header, hello, welcome, acknowledgement; and the addresses that users write. The first
// byte of an input says which. Magic, version and checksum of a header are put right.

#include <array>
#include <cstdint>

#include "acknowledge.h"
#include "cenote/base/assert.h"
#include "cenote/base/checksum.h"
#include "cenote/base/codec.h"
#include "cenote/rpc/address.h"
#include "cenote/rpc/handshake.h"
#include "cenote/rpc/wire.h"
#include "fuzz_input.h"

namespace {

using namespace cenote;
using namespace cenote::rpc;

using EncodedHeader = std::array<std::byte, kHeaderBytes>;

void check_header(ByteView input) {
  // As it came: nearly always refused.
  if (const auto header = decode_header(input)) ASSERT(header->magic == kMagic);
  EncodedHeader encoded{};
  std::ranges::copy(input.first(std::min(input.size(), encoded.size())), encoded.begin());
  store_le(encoded.data() + offsetof(Header, magic), kMagic);
  encoded[offsetof(Header, version)] = std::byte{kHeaderVersion};
  store_le(encoded.data() + offsetof(Header, header_crc),
           crc32c(ByteView(encoded).first(offsetof(Header, header_crc))));
  const auto header = decode_header(encoded);
  if (!header) return;
  ASSERT(header->body_bytes <= kMaxBodyBytes && header->bulk_bytes <= kMaxBulkBytes);
  EncodedHeader again;
  encode_header(*header, again);
  ASSERT(equal(again, encoded));
  const ByteView body = input.subspan(std::min(input.size(), encoded.size()));
  const bool whole = body.size() == header->body_bytes && crc32c(body) == header->body_crc;
  ASSERT(check_body(*header, body).has_value() == whole);
}

// Later versions may append fields, so that what was read is the start of what stood there.
template <typename T>
void check_greeting(ByteView input, Result<T> (*decode)(ByteView)) {
  const Result<T> decoded = decode(input);
  if (!decoded) return;
  const Bytes again = encode(*decoded);
  ASSERT(again.size() <= input.size());
  const Result<T> second = decode(again);
  ASSERT(second.has_value() && *second == *decoded);
}

void check_hello(ByteView input) {
  check_greeting<Hello>(input, decode_hello);
  const auto hello = decode_hello(input);
  if (!hello) return;
  const auto version = choose_version(*hello);
  if (version) ASSERT(*version >= hello->version_min && *version <= hello->version_max);
}

void check_welcome(ByteView input) { check_greeting<Welcome>(input, decode_welcome); }

void check_acknowledgement(ByteView input) {
  const auto decoded = Acknowledgement::decode(input);
  if (!decoded) return;
  Bytes again;
  decoded->encode(again);
  ASSERT(equal(again, input));
}

void check_addresses(ByteView input) {
  const auto addresses = parse_addresses(as_text(input));
  if (!addresses) return;
  ASSERT(!addresses->empty());
  for (const Address& address : *addresses) ASSERT(Address::parse(address.to_string()) == address);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  constexpr std::array kChecks = {check_header, check_hello, check_welcome, check_acknowledgement, check_addresses};
  fuzz::run_selected(data, size, kChecks);
  return 0;
}
