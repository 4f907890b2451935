// What one process tells another one of a node.

#include "cenote/base/codec.h"
#include "impl.h"

namespace cenote::posix {
namespace {

constexpr std::uint8_t kVersion = 1;
// A name, or what a removed file waits under.
constexpr std::size_t kMaxDkeyBytes = 400;

void put_object(Encoder& encoder, const ObjectId& object) {
  encoder.integer(object.high());
  encoder.integer(object.low());
}

ObjectId take_object(Decoder& decoder) {
  const auto high = decoder.integer<std::uint64_t>();
  return {high, decoder.integer<std::uint64_t>()};
}

bool is_type(FileType type) { return type >= FileType::kFile && type <= FileType::kBlockDevice; }

}  // namespace

Bytes FileSystem::identity_of(const Node& node) const {
  const Node::State& state = *node.state();
  Bytes bytes;
  Encoder encoder(bytes);
  encoder.integer(kVersion);
  encoder.integer(static_cast<std::uint8_t>(state.type));
  encoder.integer(std::uint8_t{state.is_wide});
  put_object(encoder, state.object);
  put_object(encoder, state.parent_hint);
  put_object(encoder, state.place.object);
  encoder.text(state.place.dkey);
  return bytes;
}

Result<Node> FileSystem::introduce(ByteView identity) {
  Decoder decoder(identity);
  decoder.require(decoder.integer<std::uint8_t>() == kVersion);
  const auto type = static_cast<FileType>(decoder.integer<std::uint8_t>());
  const bool is_wide = decoder.integer<std::uint8_t>() != 0;
  const ObjectId object = take_object(decoder);
  const ObjectId parent = take_object(decoder);
  Place place{.object = take_object(decoder), .dkey = decoder.text(kMaxDkeyBytes)};
  decoder.require(is_type(type));
  CHECK_OK(decoder.finish("what is said of a node"));
  CHECK_OK(object.validate());
  CHECK_OK(place.object.validate());
  Node node = impl_->nodes.get(type, object, std::move(place));
  if (is_wide) node.state()->is_wide = true;
  if (type == FileType::kDirectory) node.state()->parent_hint = parent;
  return node;
}

}  // namespace cenote::posix
