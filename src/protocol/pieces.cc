#include "cenote/base/checksum.h"
#include "cenote/base/codec.h"
#include "cenote/protocol/object_requests.h"

namespace cenote {

SmallVector<RecordRange, 4> split_at_windows(RecordRange range, std::uint32_t record_bytes) {
  SmallVector<RecordRange, 4> pieces;
  while (range.count > 0) {
    const RecordRange piece = first_piece(range, record_bytes);
    pieces.push_back(piece);
    range = {range.first + piece.count, range.count - piece.count};
  }
  return pieces;
}

void append_checksums(ByteView bytes, Checksums& out) {
  out.reserve(out.size() + chunk_count(bytes.size()));
  while (!bytes.empty()) {
    const std::size_t chunk = bytes.size() < kChecksumChunkBytes ? bytes.size() : kChecksumChunkBytes;
    out.push_back(crc32c(bytes.first(chunk)));
    bytes = bytes.subspan(chunk);
  }
}

void append_checksums(const AkeyUpdate& akey, ByteView bytes, Checksums& out) {
  if (akey.kind == ValueKind::kSingle) return append_checksums(bytes, out);
  for (RecordRange range : akey.ranges) {
    while (range.count > 0) {
      const RecordRange piece = first_piece(range, akey.record_bytes);
      const std::uint64_t piece_bytes = piece.count * akey.record_bytes;
      ASSERT(piece_bytes <= bytes.size());
      append_checksums(bytes.first(piece_bytes), out);
      bytes = bytes.subspan(piece_bytes);
      range = {range.first + piece.count, range.count - piece.count};
    }
  }
}

std::uint32_t target_of(const ObjectId& object, ByteView dkey, std::uint32_t targets) {
  ASSERT(targets > 0);
  std::byte name[16];
  store_be(name, object.high());
  store_be(name + 8, object.low());
  std::uint64_t hash = hash64(name);
  // Dkeys of one object spread independently of those of any other: the object's hash seeds theirs.
  if (object.object_class() != ObjectClass::kS1) hash = hash64(dkey, hash);
  return static_cast<std::uint32_t>(hash % targets);
}

}  // namespace cenote
