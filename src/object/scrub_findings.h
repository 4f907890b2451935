#pragma once

#include <cstdint>
#include <map>
#include <set>
#include <vector>

#include "cenote/object/kept_finding.h"
#include "cenote/store/batch.h"

namespace cenote::object {

/// What a scrubber knows to be damaged, in memory and in its tree (docs/formats/object.md). One that another pass does
/// not find again is dropped at the end of that pass.
///
/// Invariant: an entry of the tree differs from its finding only while its number is in `unsaved_`, and one without a
/// finding is there only while its number is in `dropped_`.
class ScrubFindings {
 public:
  /// Beyond that many, findings are counted only.
  static constexpr std::size_t kMax = 256;

  enum class Noted : std::uint8_t {
    kAgain,  ///< by this pass, before a restart perhaps
    kKept,
    kTooMany,  ///< not kept
  };
  /// A pass, known by its begin, finds this now.
  Noted note(const TargetFinding& finding, WallTime now, WallTime pass);
  /// The data of the entry with these words was repaired: what was found of it is no finding any more.
  void forget(const Uuid& container, const EntryDescription& entry);
  /// The pass has gone through everything.
  void end_pass(WallTime pass);

  /// By age.
  std::vector<KeptFinding> list() const;
  std::size_t count() const { return findings_.size(); }

  // The tree.
  static Bytes first_key();
  /// Takes in an entry; one that is none is dropped from the tree with the next save.
  void load(ByteView key, ByteView value);
  /// Puts changes into `batch`, as many as are good for one; `saved` follows once it is applied. True: those are all.
  struct Changes {
    std::vector<std::uint32_t> put, erased;
    bool all = true;
  };
  Changes add_changes(store::TreeId tree, store::Batch& batch) const;
  void saved(const Changes& changes);

 private:
  template <typename Predicate>
  void drop_if(Predicate is);

  std::map<std::uint32_t, KeptFinding> findings_;  // by number, which is never used again
  std::uint32_t next_ = 0;
  std::set<std::uint32_t> unsaved_, dropped_;
};

Bytes encode_finding(const KeptFinding& kept);
Result<KeptFinding> decode_finding(ByteView value);

}  // namespace cenote::object
