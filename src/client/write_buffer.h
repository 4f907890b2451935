#pragma once

#include <map>
#include <optional>
#include <set>
#include <vector>

#include "cenote/protocol/transaction_requests.h"

namespace cenote::async {

/// What a transaction has changed and not committed yet, each thing once: what is written later replaces what it
/// covers. So the changes are in the normal form of a CommitRequest whatever the order they came in.
class WriteBuffer {
 public:
  /// Records of an array. No data: they are punched.
  struct Piece {
    std::uint64_t records = 0;
    std::optional<Bytes> data;
  };
  struct Akey {
    bool punched = false;  ///< what was there before the transaction
    bool written = false;  ///< and exists for that reason
    ValueKind kind = ValueKind::kSingle;
    std::uint32_t record_bytes = 0;
    Bytes value;
    std::map<std::uint64_t, Piece> pieces;  ///< by first record; they do not overlap
  };
  struct Dkey {
    bool punched = false;
    std::map<Bytes, Akey> akeys;
    bool written() const;
  };
  struct Object {
    bool punched = false;
    std::map<Bytes, Dkey> dkeys;
    bool written() const;
  };

  /// All of it or, on kTypeMismatch, nothing. Conditions are not looked at. `payload` is what the akeys hold, in order.
  Result<> update(const UpdateRequest& request, ByteView payload);
  Result<> punch(const PunchRequest& request);

  bool empty() const { return objects_.empty(); }
  const std::map<ObjectId, Object>& objects() const { return objects_; }
  const Object* find(const ObjectId& object) const;
  const Dkey* find(const ObjectId& object, ByteView dkey) const;
  const Akey* find(const ObjectId& object, ByteView dkey, ByteView akey) const;
  // Whether what was there before the transaction is punched.
  bool hides(const ObjectId& object) const;
  bool hides(const ObjectId& object, ByteView dkey) const;
  bool hides(const ObjectId& object, ByteView dkey, ByteView akey) const;

  /// kOutOfRange when there is more than one transaction can change.
  Result<> check_size() const;
  /// Adds the changes, without checksums; `payload` gets views of this buffer.
  void add_to(CommitRequest& request, std::vector<ByteView>& payload) const;

 private:
  static void cut(std::map<std::uint64_t, Piece>& pieces, std::uint32_t record_bytes, RecordRange range);

  std::map<ObjectId, Object> objects_;
};

/// `holes` without `range`, or with it: ascending, apart.
void remove_range(RecordRanges& holes, RecordRange range);
void add_range(RecordRanges& holes, RecordRange range);

}  // namespace cenote::async
