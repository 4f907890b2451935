#pragma once

#include <vector>

#include "cenote/object/examine.h"
#include "cenote/object/space_account.h"

namespace cenote::object {

struct SalvageOptions {
  Uuid system;  ///< Whose the damaged store has to be; null: anyone's.
  Uuid target;
  std::uint64_t cache_bytes = 256ull << 20;     ///< for pages, of each of the two stores
  std::optional<SecretKey> key = std::nullopt;  ///< of an encrypted store; the new one gets the same
  /// What cannot be read, and what that costs. Damage is lost; a warning costs nothing.
  std::function<void(const TargetFinding&)> found = [](const TargetFinding&) {};
  std::function<void(std::uint64_t done, std::uint64_t total)> progress = [](std::uint64_t, std::uint64_t) {};
};

struct SalvagedContainer {
  Uuid id;
  std::uint64_t entries = 0;
  Usage used;                        ///< what was copied
  std::uint64_t damaged_values = 0;  ///< whose readers are told that they are damaged
  std::uint64_t lost_entries = 0;    ///< that could not be understood; those of lost pages are not known
};

struct SalvageReport {
  bool recovered = false;  ///< false: the store does not open as it is
  /// Where the log ends that could be laid over the checkpoint, if it was not recovered.
  std::uint64_t log_batches = 0, log_position = 0;
  std::uint64_t trees = 0, entries = 0;
  std::vector<SalvagedContainer> containers;  ///< of a target
  std::uint64_t damages = 0, warnings = 0;
};

/// Copies all that can be read of a damaged store, of a target or any other, into a new one on `to`, of the same system
/// and target, where no store may be yet. The source is not written. What comes of it opens like any store: trees,
/// containers, snapshots, rollbacks, clones and results of requests have the identity they had, all that the log can
/// still tell is in it, usage is counted anew and the clock lies above all epochs that were seen.
///
/// What is damaged never turns into something else (I13): an entry whose data is damaged is copied with its checksums,
/// so that readers are told, and what it hides stays hidden; one without checksums gets some that do not fit. Entries
/// that were lost with a page are named as ranges of keys: whatever they said is gone, so what a lost punch hid is
/// there again.
///
/// When this returns without error all of it is durable and was compared with what was read. Errors: as of
/// store::Examination::open, kNoSpace, kExists, an I/O error of `to`; then `to` holds nothing of use. Memory: as of
/// Examination, twice; what the log holds, if the store does not open; and some MiB.
Task<Result<SalvageReport>> salvage(Reactor& reactor, store::Devices from, store::Devices to, SalvageOptions options);

}  // namespace cenote::object
