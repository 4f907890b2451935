#include "cenote/store/operation.h"

#include "cenote/base/codec.h"

namespace cenote::store {
namespace {

void encode_kind(Bytes& out, OperationKind kind) { out.push_back(static_cast<std::byte>(kind)); }

std::uint16_t length(std::size_t bytes) { return static_cast<std::uint16_t>(bytes); }

void encode_extent(Bytes& out, OperationKind kind, Extent extent) {
  encode_kind(out, kind);
  Encoder encoder(out);
  encoder.integer(extent.first.value());
  encoder.integer(extent.blocks);
}

/// The whole of one operation after its kind byte; `in` turns bad where it does not fit.
void decode_body(Decoder& in, Operation& operation) {
  switch (operation.kind) {
    case OperationKind::kPut: {
      operation.tree = TreeId(in.integer<std::uint32_t>());
      const auto key_bytes = in.integer<std::uint16_t>();
      const auto value_bytes = in.integer<std::uint16_t>();
      in.require(key_bytes <= kMaxKeyBytes && value_bytes <= kMaxValueBytes);
      operation.key = in.raw(key_bytes);
      operation.value = in.raw(value_bytes);
      return;
    }
    case OperationKind::kErase:
      operation.tree = TreeId(in.integer<std::uint32_t>());
      operation.key = in.raw(in.integer<std::uint16_t>());
      in.require(operation.key.size() <= kMaxKeyBytes);
      return;
    case OperationKind::kCreateTree:
      operation.tree = TreeId(in.integer<std::uint32_t>());
      operation.key = in.raw(in.integer<std::uint16_t>());
      in.require(!operation.key.empty() && operation.key.size() <= kMaxTreeNameBytes);
      return;
    case OperationKind::kDropTree:
      operation.tree = TreeId(in.integer<std::uint32_t>());
      return;
    case OperationKind::kClaim:
    case OperationKind::kRelease: {
      const auto first = in.integer<std::uint64_t>();
      const auto blocks = in.integer<std::uint32_t>();
      operation.extent = {media::BlockNo(first), blocks};
      in.require(blocks >= 1 && first % kGroupBlocks + blocks <= kGroupBlocks);
      return;
    }
  }
  in.require(false);
}

}  // namespace

bool OperationReader::next(Operation& operation) {
  if (bad_ || rest_.empty()) return false;
  Decoder in(rest_);
  operation = Operation{};
  operation.kind = static_cast<OperationKind>(in.integer<std::uint8_t>());
  decode_body(in, operation);
  bad_ = in.bad();
  if (bad_) return false;
  rest_ = in.rest();
  return true;
}

void encode_put(Bytes& out, TreeId tree, ByteView key, ByteView value) {
  encode_kind(out, OperationKind::kPut);
  Encoder encoder(out);
  encoder.integer(tree.value());
  encoder.integer(length(key.size()));
  encoder.integer(length(value.size()));
  encoder.raw(key);
  encoder.raw(value);
}

void encode_erase(Bytes& out, TreeId tree, ByteView key) {
  encode_kind(out, OperationKind::kErase);
  Encoder encoder(out);
  encoder.integer(tree.value());
  encoder.integer(length(key.size()));
  encoder.raw(key);
}

void encode_create_tree(Bytes& out, TreeId tree, std::string_view name) {
  encode_kind(out, OperationKind::kCreateTree);
  Encoder encoder(out);
  encoder.integer(tree.value());
  encoder.integer(length(name.size()));
  encoder.raw(as_bytes(name));
}

void encode_drop_tree(Bytes& out, TreeId tree) {
  encode_kind(out, OperationKind::kDropTree);
  Encoder(out).integer(tree.value());
}

void encode_claim(Bytes& out, Extent extent) { encode_extent(out, OperationKind::kClaim, extent); }
void encode_release(Bytes& out, Extent extent) { encode_extent(out, OperationKind::kRelease, extent); }

}  // namespace cenote::store
