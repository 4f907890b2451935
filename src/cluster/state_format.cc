#include "state_format.h"

#include "cenote/base/codec.h"
#include "cenote/base/format.h"

namespace cenote::cluster {
namespace {

constexpr std::size_t kRevisionBytes = sizeof(std::uint64_t);

}  // namespace

Bytes encode_value(Revision modified, std::string_view value) {
  Bytes bytes = encode_revision(modified);
  Encoder(bytes).raw(as_bytes(value));
  return bytes;
}

Result<KeyValue> decode_value(std::string key, ByteView stored) {
  if (stored.size() < kRevisionBytes) {
    return failf(Code::kCorrupt, "coordinator entry '{}' is {} bytes long, shorter than its revision", key,
                 stored.size());
  }
  return KeyValue{std::move(key), to_text(stored.subspan(kRevisionBytes)),
                  Revision(load_le<std::uint64_t>(stored.data()))};
}

Bytes encode_revision(Revision revision) {
  Bytes bytes;
  Encoder(bytes).integer(revision.value());
  return bytes;
}

Result<Revision> decode_revision(ByteView stored) {
  if (stored.size() != kRevisionBytes) return fail(Code::kCorrupt, "the coordinator's revision counter is damaged");
  return Revision(load_le<std::uint64_t>(stored.data()));
}

}  // namespace cenote::cluster
