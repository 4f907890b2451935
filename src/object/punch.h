#pragma once

#include "core.h"
#include "transaction_scope.h"

namespace cenote::object {

/// One punch, in one attempt: checks its condition and adds its entries to the batch.
class Punch {
 public:
  Punch(Core& core, const PunchRequest& request) : core_(core), request_(request) {}

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
  Result<> punch_level(const Reader& reader, ByteView prefix, ByteView entry);
  void punch_range(const Reader& reader, const AkeyState& array, RecordRange range, Epoch epoch, ArrayFlags& flags);
  Result<> check(bool exists, ByteView akey) const;

  Core& core_;
  const PunchRequest& request_;
  KeyPath path_{request_.object};
  TransactionPunches* punched_ = nullptr;
  bool puts_ = false;
};

}  // namespace cenote::object
