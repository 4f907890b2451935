#pragma once

#include <cstdint>
#include <string_view>

#include "cenote/base/bytes.h"
#include "cenote/base/error.h"
#include "cenote/store/types.h"

namespace cenote::store {

/// What one entry of a batch does. The numbers are those of the log (docs/formats/store.md).
enum class OperationKind : std::uint8_t {
  kPut = 1,
  kErase = 2,
  kCreateTree = 3,
  kDropTree = 4,
  kClaim = 5,
  kRelease = 6,
};

/// One decoded entry; the views point into the encoded batch.
struct Operation {
  OperationKind kind = OperationKind::kPut;
  TreeId tree{};
  ByteView key;  ///< of put and erase; the name of create
  ByteView value;
  Extent extent;

  std::string_view name() const { return as_text(key); }
};

/// Walks the operations of an encoded batch. The bytes may come from the media: `next` returns false at the end and at
/// the first one that does not decode, and `bad` tells the two apart.
class OperationReader {
 public:
  explicit OperationReader(ByteView encoded) : rest_(encoded) {}
  bool next(Operation& operation);
  bool bad() const { return bad_; }

 private:
  ByteView rest_;
  bool bad_ = false;
};

void encode_put(Bytes& out, TreeId tree, ByteView key, ByteView value);
void encode_erase(Bytes& out, TreeId tree, ByteView key);
void encode_create_tree(Bytes& out, TreeId tree, std::string_view name);
void encode_drop_tree(Bytes& out, TreeId tree);
void encode_claim(Bytes& out, Extent extent);
void encode_release(Bytes& out, Extent extent);

}  // namespace cenote::store
