// Stored and sent pool maps. The first byte of an input says whether length and checksum are put right first, without
// which no mutation gets past them, and what is asked of a map that was accepted.

#include "cenote/cluster/pool_map.h"

#include <cstdint>

#include "cenote/base/assert.h"
#include "cenote/base/checksum.h"
#include "cenote/base/codec.h"
#include "fuzz_input.h"

namespace {

using namespace cenote;
using namespace cenote::cluster;

constexpr std::size_t kLengthAt = 12;
constexpr std::size_t kChecksumAt = 16;

void put_right(Bytes& bytes) {
  if (bytes.size() < kChecksumAt + 4) return;
  store_le(bytes.data() + kLengthAt, static_cast<std::uint32_t>(bytes.size()));
  store_le(bytes.data() + kChecksumAt, std::uint32_t{0});
  store_le(bytes.data() + kChecksumAt, crc32c(bytes));
}

/// Whatever is asked of a map that was accepted leaves a map.
void use(PoolMap map, std::uint8_t selector) {
  map.check_invariants();
  const TargetId targets[] = {TargetId(selector)};
  (void)map.apply(static_cast<MapOperation>(selector % 4), targets);
  map.check_invariants();
  (void)map.settle(map.version());
  map.check_invariants();
  ASSERT(map.below("").has_value());
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  fuzz::Input input(data, size);
  const std::uint8_t selector = input.byte();
  Bytes bytes = to_bytes(input.rest());
  if (selector % 2 == 0) put_right(bytes);
  const auto map = decode_pool_map(bytes);
  if (!map) {
    const Code code = map.error().code();
    ASSERT(code == Code::kMalformed || code == Code::kNewerFormat || code == Code::kUnsupported ||
           code == Code::kOutOfRange);
    return 0;
  }
  ASSERT(encode_pool_map(*map) == bytes);
  use(*map, selector / 2);
  return 0;
}
