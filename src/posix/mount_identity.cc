#include "cenote/posix/mount_identity.h"

#include "cenote/base/codec.h"
#include "cenote/base/format.h"

namespace cenote::posix {
namespace {

constexpr std::uint8_t kVersion = 1;

}  // namespace

Bytes encode_mount_identity(const MountIdentity& identity) {
  Bytes bytes;
  Encoder encoder(bytes);
  encoder.integer(kVersion);
  encoder.integer(std::uint8_t{identity.multi_user});
  encoder.integer(identity.timeout_ms);
  encoder.text(identity.servers);
  encoder.text(identity.pool);
  encoder.text(identity.container);
  encoder.text(identity.snapshot);
  return bytes;
}

Result<MountIdentity> decode_mount_identity(ByteView bytes) {
  Decoder decoder(bytes);
  MountIdentity identity;
  decoder.require(decoder.integer<std::uint8_t>() == kVersion);
  identity.multi_user = decoder.integer<std::uint8_t>() != 0;
  identity.timeout_ms = decoder.integer<std::uint64_t>();
  identity.servers = decoder.text(kMountIdentityRoom);
  identity.pool = decoder.text(kMountIdentityRoom);
  identity.container = decoder.text(kMountIdentityRoom);
  identity.snapshot = decoder.text(kMountIdentityRoom);
  CHECK_OK(decoder.finish("what a mount says of itself"));
  return identity;
}

Result<Bytes> framed_answer(ByteView answer, std::size_t room) {
  Bytes frame;
  Encoder(frame).blob(answer);
  if (frame.size() > room)
    return failf(Code::kOutOfRange, "an answer of {} bytes does not fit into {}", frame.size(), room);
  frame.resize(room);
  return frame;
}

Result<Bytes> unframed_answer(ByteView frame) {
  Decoder decoder(frame);
  const ByteView answer = decoder.blob(frame.size());
  CHECK_OK(decoder.check("the answer of a mount"));
  return to_bytes(answer);
}

}  // namespace cenote::posix
