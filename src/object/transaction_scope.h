#pragma once

#include <map>
#include <optional>
#include <set>

#include "cenote/base/bytes.h"
#include "values.h"

namespace cenote::object {

/// What the punches of a transaction do to what its updates meet: the tree does not show it before the transaction is
/// applied. Things are named by the prefixes of their keys (KeyPath).
class TransactionPunches {
 public:
  void add_level(ByteView prefix) { levels_.insert(to_bytes(prefix)); }
  /// Punched ranges of an array, and the flags it needs for them.
  void add_ranges(ByteView akey_prefix, ArrayFlags flags) { flags_.insert_or_assign(to_bytes(akey_prefix), flags); }

  bool hides(ByteView prefix) const { return !levels_.empty() && levels_.contains(to_bytes(prefix)); }
  std::optional<ArrayFlags> flags(ByteView akey_prefix) const {
    if (flags_.empty()) return std::nullopt;
    const auto found = flags_.find(to_bytes(akey_prefix));
    return found == flags_.end() ? std::nullopt : std::optional(found->second);
  }

 private:
  std::set<Bytes> levels_;
  std::map<Bytes, ArrayFlags> flags_;
};

}  // namespace cenote::object
