// What a store reads from its devices: superblock, label, log frame, batch, catalog entry. The first byte of an input
// says which; the rest is padded with zeroes to the size of the thing, and its checksum is put right.

#include <algorithm>
#include <array>
#include <cstdint>

#include "catalog.h"
#include "cenote/base/assert.h"
#include "cenote/base/checksum.h"
#include "cenote/base/codec.h"
#include "cenote/store/batch.h"
#include "cenote/store/operation.h"
#include "fuzz_input.h"
#include "log_format.h"
#include "superblock.h"

namespace {

using namespace cenote;
using namespace cenote::store;

// `input` padded to `bytes`, with the checksum at offset 8 made right.
Bytes block_of(ByteView input, std::size_t bytes) {
  Bytes block = to_bytes(input.first(std::min(input.size(), bytes)));
  block.resize(bytes);
  store_le<std::uint32_t>(block.data() + 8, 0);
  store_le(block.data() + 8, crc32c(block));
  return block;
}

void check_superblock(ByteView input) {
  const auto decoded = decode_superblock(block_of(input, kSuperblockBytes));
  if (!decoded) return;
  ASSERT(decoded->geometry.validate());
  Bytes again(kSuperblockBytes);
  encode_superblock(*decoded, again);
  ASSERT(*decode_superblock(again) == *decoded);
}

void check_label(ByteView input) {
  const auto decoded = decode_label(block_of(input, media::kBlockBytes));
  if (!decoded) return;
  Bytes again(media::kBlockBytes);
  encode_label(*decoded, again);
  ASSERT(*decode_label(again) == *decoded);
}

// What decodes, put into a batch again, gives the same bytes.
void check_batch(ByteView input) {
  Batch batch;
  OperationReader reader(input);
  for (Operation operation; reader.next(operation);) {
    switch (operation.kind) {
      case OperationKind::kPut:
        batch.put(operation.tree, operation.key, operation.value);
        break;
      case OperationKind::kErase:
        batch.erase(operation.tree, operation.key);
        break;
      case OperationKind::kCreateTree:
        batch.create_tree(operation.tree, operation.name());
        break;
      case OperationKind::kDropTree:
        batch.drop_tree(operation.tree);
        break;
      case OperationKind::kClaim:
        batch.claim(operation.extent);
        break;
      case OperationKind::kRelease:
        batch.release(operation.extent);
        break;
    }
  }
  if (batch.flaw() != Code::kOk) return;  // more entries than a batch may have
  const ByteView encoded = batch.encoded();
  ASSERT(encoded.size() <= input.size() && equal(encoded, input.first(encoded.size())));
  ASSERT(reader.bad() == (encoded.size() < input.size()));
}

// A frame of these records, sealed, opens to them; whatever else is sealed is refused.
void check_sealing(const FrameHeader& header, ByteView frame) {
  const SecretKey key{std::array<std::byte, SecretKey::kBytes>{}};
  auto sealer = Sealer::create(key, [](MutableBytes into) { std::ranges::fill(into, std::byte{1}); });
  ASSERT(sealer);
  Bytes records;
  if (header.sealed) ASSERT(!open_frame(header, frame, *sealer, records));
  if (header.payload_bytes <= kEnvelopeBytes) return;
  FrameHeader sealed = header;
  sealed.sealed = true;
  Bytes image = to_bytes(frame);
  ASSERT(seal_frame(sealed, image, *sealer));
  const auto read = read_frame_header(image);
  ASSERT(read && verify_frame(*read, image) && open_frame(*read, image, *sealer, records));
  ASSERT(equal(records, frame.subspan(kFrameHeaderBytes, header.payload_bytes - kEnvelopeBytes)));
}

void check_frame(ByteView input) {
  if (input.size() < kFrameHeaderBytes) return;
  const auto header = read_frame_header(input);
  if (!header) return;
  Bytes frame = to_bytes(input);
  // The padding is zero, whatever the input has there.
  frame.resize(std::min<std::size_t>(frame.size(), kFrameHeaderBytes + header->payload_bytes));
  frame.resize(frame_bytes(header->payload_bytes));
  FrameHeader stamped = *header;
  stamped.crc = stamp_frame(*header, frame);
  ASSERT(read_frame_header(frame) == stamped && verify_frame(stamped, frame));
  check_sealing(stamped, frame);
  const ByteView payload = ByteView(frame).subspan(kFrameHeaderBytes, header->payload_bytes);
  RecordReader records(payload, header->position);
  for (ByteView record; records.next(record);) check_batch(record);
  const std::uint64_t end = header->position + kFrameHeaderBytes + header->payload_bytes;
  ASSERT(records.bad() || records.lsn().value() == end);
}

// The first byte is the length of the key.
void check_catalog(ByteView input) {
  if (input.empty()) return;
  const std::size_t key_bytes = std::min<std::size_t>(static_cast<std::size_t>(input[0]), input.size() - 1);
  Catalog catalog;
  const ByteView key = input.subspan(1, key_bytes);
  if (!catalog.load(key, input.subspan(1 + key_bytes))) return;
  for (const auto& [id, entry] : catalog.trees()) ASSERT(equal(Catalog::name_key(entry.name), key));
  for (const DroppedTree& tree : catalog.dropped()) ASSERT(equal(Catalog::dropped_key(tree.id), key));
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  constexpr std::array kChecks = {check_superblock, check_label, check_frame, check_batch, check_catalog};
  fuzz::run_selected(data, size, kChecks);
  return 0;
}
