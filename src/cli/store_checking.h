#pragma once

#include "cenote/object/examine.h"
#include "output.h"
#include "store_inspection.h"

namespace cenote::cli {

struct StoreChecking {
  bool data = true;
  std::uint64_t cache_bytes = 0;
  std::uint64_t most_findings = 0;  ///< listed for one store; all are counted
  bool progress = false;
};

/// What a check of one store came to; its findings were printed when they were found.
struct StoreVerdict {
  Json document;
  /// kCorrupt: damage was found. Another code: it could not be looked at.
  std::optional<Code> trouble;
};

/// Checks everything in one store and prints it as it goes on.
Result<StoreVerdict> check_one_store(const InspectedPath::Member& member, const StoreChecking& checking,
                                     const Output& out);

}  // namespace cenote::cli
