#pragma once

// Entries of redundancy groups that this target holds (docs/formats/object.md, "Entries"): in memory, and as the tree
// of entries has them. A prepared entry is a header and its changes: the batch that will be applied when it is
// committed, in pieces.

#include <map>
#include <memory>
#include <optional>
#include <string>
#include <unordered_map>
#include <vector>

#include "cenote/object/replica_entry.h"
#include "cenote/object/space_account.h"
#include "cenote/protocol/request_places.h"
#include "cenote/store/types.h"
#include "records.h"

namespace cenote::object {

inline constexpr std::string_view kEntryTreeName = "object.entries";

/// What an entry changes or depends on: a place that owns its keys.
struct Touched {
  ObjectId object;
  std::optional<KeyBytes> dkey = std::nullopt;
  std::optional<KeyBytes> akey = std::nullopt;
  RecordSpan records = {};

  explicit Touched(const Place& place) : object(place.object), records(place.records) {
    if (place.dkey) dkey.emplace(*place.dkey);
    if (place.akey) akey.emplace(*place.akey);
  }
  Place place() const {
    return {object, dkey ? std::optional(dkey->view()) : std::nullopt,
            akey ? std::optional(akey->view()) : std::nullopt, records};
  }
};

/// The first value of an entry in the tree.
struct EntryHeader {
  EntryState state = EntryState::kNone;
  Uuid container;     ///< null: a refusal of something that was never held
  RequestId request;  ///< as above
  Usage added;        ///< what it adds to the container at most
  std::uint16_t pieces = 0;
  Bytes note;
};

std::string name_of(const EntryName& name);
/// The key of a piece of an entry: leader, epoch, number of the piece, big-endian; 0 is the header.
RecordBytes entry_key(const EntryName& name, std::uint16_t piece);
struct EntryKey {
  EntryName name;
  std::uint16_t piece = 0;
};
Result<EntryKey> parse_entry_key(ByteView key);
Bytes encode_entry_header(const EntryHeader& header);
/// kCorrupt, kNewerFormat.
Result<EntryHeader> decode_entry_header(ByteView value);

/// What its pieces are together: what it touches, and the encoded batch.
struct EntryChanges {
  std::vector<Touched> touched;
  ByteView batch;                     ///< points into what was decoded
  std::vector<store::Extent> claims;  ///< of the batch
};
Bytes encode_entry_changes(std::span<const Touched> touched, ByteView batch);
/// kCorrupt: not that, or a batch with anything but puts and claims.
Result<EntryChanges> decode_entry_changes(ByteView bytes);
/// The extents that such a batch claims. kCorrupt: it holds anything else.
Result<std::vector<store::Extent>> claims_of(ByteView batch);

/// Changes of so many bytes at most are kept in memory from when they are prepared until they are decided.
inline constexpr std::size_t kKeptBatchBytes = 1024;

/// An entry in memory.
struct HeldEntry {
  EntryName name;
  EntryHeader header;
  std::vector<Touched> touched;  ///< while it is prepared
  /// The batch of a prepared entry, if it is short and was prepared since the store opened; empty: the tree has it.
  Bytes batch;
  /// What `header.added` is charged to while it is prepared; null: nobody counts it.
  std::shared_ptr<SpaceAccount> account;
  store::Lsn lsn;  ///< of its last change: an answer about it waits until this is durable
};

/// All entries that a target holds.
///
/// Invariants: equal to the tree of entries as of the last applied batch; nothing that one prepared entry touches
/// overlaps with what another one does; `undecided` counts the prepared ones.
class Entries {
 public:
  bool none_undecided() const { return undecided_ == 0; }
  std::size_t undecided() const { return undecided_; }
  std::size_t size() const { return held_.size(); }
  /// nullptr: nothing is held. Valid until the entry changes.
  HeldEntry* find(const EntryName& name);

  /// A prepared entry of this epoch or an earlier one that touches something of the place.
  const HeldEntry* touching(const Uuid& container, const Place& place, Epoch upto) const;
  /// Whether one of exactly this epoch does.
  bool touches_at(const Uuid& container, const Place& place, Epoch epoch) const;
  /// A prepared entry of the request.
  const HeldEntry* of_request(const RequestId& request) const;

  HeldEntry& put(HeldEntry entry);
  /// What was prepared is decided, or gone.
  void set_state(HeldEntry& entry, EntryState state);
  void erase(const EntryName& name);

  template <typename Visit>
  void each(Visit visit) {
    for (auto& [name, entry] : held_) visit(entry);
  }
  void check_invariants() const;

 private:
  /// One of the places that an entry touches.
  struct Item {
    HeldEntry* entry = nullptr;
    const Touched* touched = nullptr;
  };
  using Dkeys = std::unordered_multimap<std::uint64_t, Item>;
  using Objects = std::unordered_map<std::uint64_t, std::vector<Item>>;
  template <typename Visit>
  const HeldEntry* find_overlap(const Uuid& container, const Place& place, Visit fits) const;
  void take_out_object(std::uint64_t key, const Touched& touched);
  void take_out_dkey(std::uint64_t key, const Touched& touched);
  void index(HeldEntry& entry);
  void unindex(HeldEntry& entry);

  std::unordered_map<EntryName, HeldEntry, EntryNameHash> held_;  // they stay where they are
  // What prepared entries touch, each place once, by the hash of its object; and of its dkey, where it has one. Of one
  // object there may be many.
  Objects by_object_;
  Dkeys by_dkey_;
  std::size_t whole_objects_ = 0;                                           // touched without a dkey
  std::map<std::pair<std::uint64_t, std::uint64_t>, HeldEntry*> requests_;  // of prepared ones, by session and sequence
  std::size_t undecided_ = 0;
};

}  // namespace cenote::object
