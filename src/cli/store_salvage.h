#pragma once

#include "output.h"
#include "store_inspection.h"

namespace cenote::cli {

struct StoreSalvage {
  /// Where the new store goes; its devices of their own for log and data, if the old one has them, go to "<into>.wal"
  /// and "<into>.data".
  std::string into;
  bool force = false;            ///< replaces what is there
  std::uint64_t data_bytes = 0;  ///< size of the file that holds the data; 0: as the old one
  std::uint64_t cache_bytes = 0;
  std::uint64_t most_findings = 0;
  bool progress = false;
};

/// What came of it; findings were printed when they were met.
struct SalvageVerdict {
  Json document;
  bool lost = false;  ///< something could not be copied
};

/// Copies what can be read of a store into new files. They get their names when they are complete and durable: whatever
/// ends it before leaves nothing under them. kExists, kLocked, and whatever keeps it from being done.
Result<SalvageVerdict> salvage_store(const InspectedPath::Member& member, const StoreSalvage& salvage,
                                     const Output& out);

}  // namespace cenote::cli
