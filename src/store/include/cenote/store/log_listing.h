#pragma once

#include <functional>
#include <optional>
#include <string_view>

#include "cenote/store/store.h"

namespace cenote::store {

/// One group of batches that was written to the log at once.
struct LogGroup {
  std::uint64_t position = 0;
  std::uint64_t sequence = 0;
  std::uint64_t generation = 0;
  std::uint64_t block = 0;  ///< of the wal device, where it begins
  std::uint64_t bytes = 0;  ///< on the device
  std::uint64_t batches = 0;
  std::uint64_t operations = 0;
  bool whole = true;  ///< false: its checksum holds and its batches do not decode
};

/// One operation of a batch. Views are valid inside the call.
struct LogOperation {
  Lsn lsn;                ///< of its batch
  std::string_view kind;  ///< "put", "erase", "create_tree", "drop_tree", "claim", "release"
  TreeId tree{};          ///< of those that name one
  ByteView key;           ///< of put and erase; the name of create_tree
  ByteView value;
  std::optional<Extent> extent;
};

struct LogListingOptions {
  std::uint64_t limit = UINT64_MAX;             ///< groups to give
  std::optional<SecretKey> key = std::nullopt;  ///< of an encrypted store
  std::function<void(const LogGroup&)> group = [](const LogGroup&) {};
  /// The operations of a group come before it does; empty: they are only counted.
  std::function<void(const LogOperation&)> operation;
};

struct LogListing {
  std::uint64_t checkpoint_position = 0;  ///< where recovery begins
  std::uint64_t end_position = 0;         ///< of what was given
  bool complete = false;                  ///< to the end of the log
  std::optional<Error> flaw;              ///< the log is damaged there
};

/// Gives the groups of the log that the newest checkpoint does not hold, in order, as recovery would replay them. Reads
/// only. Errors: no superblock that can be read; kKeyNeeded, kWrongKey.
Task<Result<LogListing>> list_log(Reactor& reactor, Devices devices, LogListingOptions options);

}  // namespace cenote::store
