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

/// A place on a device and in the trees, in words: "block 12, page 3 of object.container.4".
std::string place_text(const store::Finding& finding);
Json to_json(const object::TargetFinding& found);

}  // namespace cenote::cli
