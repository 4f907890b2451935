#pragma once

#include "core.h"
#include "transaction_scope.h"

namespace cenote::object {

/// Puts the entries of a punched range of the path's array, and adds to its flags what they need. Parts of one window
/// become entries beside its extents, where readers of the window find them; what covers several whole windows becomes
/// one entry that all readers of the array look at.
void put_punched_range(store::Batch& batch, store::TreeId tree, KeyPath& path, std::uint32_t record_bytes,
                       RecordRange range, Epoch epoch, ArrayFlags& flags);

/// Whether that makes one entry of a range, for whole windows.
bool is_of_whole_windows(RecordRange range, std::uint32_t record_bytes);

/// One punch, in one attempt: checks its condition and adds its entries to the batch.
class Punch {
 public:
  Punch(Core& core, const PunchRequest& request, Member member = Member::kComplete)
      : core_(core), request_(request), member_(member) {}

  /// `whole` is the epoch of what hides all that is older: objects, dkeys, akeys; `part` that of punched ranges.
  /// `punched`, if the punch is part of a transaction, is told of it.
  Result<> put(const Reader& reader, Epoch whole, Epoch part, TransactionPunches* punched);
  /// Once put: whether the object may be one that the container's own tree held nothing of.
  bool may_bring(const Container& container) const;
  const ObjectId& object() const { return request_.object; }
  /// Once the batch is applied.
  void applied(Container& container);

 private:
  Result<> put_level(const Reader& reader, Epoch whole, Epoch part);
  Result<> punch_object(const Reader& reader, Epoch epoch);
  Result<> punch_dkey(const Reader& reader, Epoch epoch);
  Result<> punch_akeys(const Reader& reader, Epoch epoch);
  Result<> punch_ranges(const Reader& reader, Epoch epoch);
  Result<> punch_unknown_array(const Reader& reader, Epoch epoch);
  Result<> punch_level(const Reader& reader, ByteView prefix, ByteView entry);
  Result<> check(bool exists, ByteView akey) const;

  Core& core_;
  const PunchRequest& request_;
  const Member member_;
  KeyPath path_{request_.object};
  TransactionPunches* punched_ = nullptr;
  bool puts_ = false;
};

}  // namespace cenote::object
