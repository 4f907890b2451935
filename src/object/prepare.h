#pragma once

#include "core.h"
#include "entries.h"

// Entries of redundancy groups (prepare.cc, decide.cc).
namespace cenote::object {

/// As of ObjectStore::prepare and ObjectStore::change_entry.
Task<Result<EntryState>> prepare_entry(Core& core, const CommitRequest& request, Member member, EntryName name,
                                       ByteView note, media::Buffer& payload, std::uint64_t payload_bytes, Until until,
                                       store::Lsn& seen);
Task<Result<EntryState>> change_entry(Core& core, EntryName name, EntryEvent event, store::Lsn& seen);
Task<> change_entries(Core& core, std::span<EntryChange> changes, store::Lsn& seen);

/// A prepared entry that would be in the way of the request; nullptr: there is none.
const HeldEntry* undecided_in_the_way(const Entries& entries, const CommitRequest& request);

/// The changes of a prepared entry, as `decode_entry_changes` takes them.
Result<> read_entry_changes(store::View& view, store::TreeId tree, const EntryName& name, std::uint16_t pieces,
                            Bytes& into);
/// Of an entry that is decided.
Task<Result<>> erase_entry_pieces(Core& core, EntryName name);
/// While the store opens, after containers and clock.
Task<Result<>> load_entries(Core& core);

}  // namespace cenote::object
