#pragma once

// An incomplete member of a redundancy group gets changes of arrays whose birth it does not have yet. Then
//  - a write looks like the birth of the array, which it is not: when the real one is there, older and of the same
//  life,
//    the other goes and its flags are those of the real one, too; of several entries that were prepared together the
//    oldest has it in the end, in whatever order they are committed;
//  - a punched range cannot be cut at windows: it is one entry of the kind for whole windows, whatever its ends, which
//    every reader of the array looks at, until the birth is there and it becomes what it is elsewhere.
// Births come late by two ways: copied from another member, or with an entry that is committed when the array's older
// birth has been copied meanwhile.

#include <functional>
#include <map>
#include <vector>

#include "core.h"

namespace cenote::object {

/// Whether a key is that of a birth which is copied, too: one of another life of the array, whatever ended this one.
using IsCopiedBirth = std::function<bool(ByteView key)>;

/// Puts the birth of an array that was copied, in an attempt, as an entry of the core's batch, or more. Nothing that
/// the batch holds already is of the akey, nor a punch of what is above it.
Result<> put_copied_birth(Core& core, const Container& container, store::View& view, const ParsedKey& key,
                          std::uint32_t record_bytes, ArrayFlags flags, const IsCopiedBirth& is_copied);

/// Turns some of the punched ranges that were there before the birth at `key` into what they are beside it; applies a
/// batch. True: there are no more.
Result<bool> cut_early_punches(Core& core, Container& container, store::View& view, ByteView key);

/// The same until there are no more.
Task<Result<>> cut_all_early_punches(Core& core, Uuid container, Bytes birth, Until until, store::Lsn& seen);

/// The births and punched ranges of an entry that is committed, as the tree is by now.
class LateBirths {
 public:
  LateBirths(Core& core, const Container& container, store::View& view)
      : core_(core), container_(container), view_(view) {}

  /// What the entry punches as a whole, before all else of it.
  void add_punch(ByteView key) { punched_.push_back(to_bytes(key.first(key.size() - 9))); }
  Result<> add_birth(const ParsedKey& key, std::uint32_t record_bytes, ArrayFlags flags);
  /// A punched range of whole windows, or of an array that was not known.
  Result<> add_wide_punch(const ParsedKey& key, std::uint64_t records);
  /// After all of these.
  Result<> put();

 private:
  struct Birth {
    std::uint32_t record_bytes = 0;
    ArrayFlags flags;
  };
  bool is_punched(const KeyPath& path) const;
  void note(ByteView key, std::uint32_t record_bytes, ArrayFlags flags);

  Core& core_;
  const Container& container_;
  store::View& view_;
  std::vector<Bytes> punched_;  // prefixes
  std::map<Bytes, Birth> births_;
};

}  // namespace cenote::object
