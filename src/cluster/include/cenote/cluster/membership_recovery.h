#pragma once

#include <vector>

#include "cenote/cluster/coordinator.h"
#include "cenote/cluster/engine_list.h"

// What has to be done to a copy of a coordinator's state before it takes the place of one that was lost.
namespace cenote::cluster {

/// By how much numbers go up that must never come twice. The copy may lack the last changes; nobody makes so many in
/// the time that one can be late.
inline constexpr std::uint64_t kRecoveryStep = 1u << 20;

/// An engine as a copy of the state knows it.
struct CopiedEngine {
  EnginePlace place;
  std::size_t pools = 0;  ///< in which it has a part: a target of it is in use
};

/// All that ever had a place, by rank. kMalformed, kNewerFormat: the copy cannot be used.
Result<std::vector<CopiedEngine>> engines_of_copy(const std::vector<KeyValue>& entries);

/// Raises what engines have counted: their incarnations, and the versions of all maps, so that no engine has served,
/// acknowledged or kept anything under a later one. A version that goes up so is not active yet: engines switch to it
/// as to any other. As above.
Result<> raise_membership(std::vector<KeyValue>& entries);

}  // namespace cenote::cluster
