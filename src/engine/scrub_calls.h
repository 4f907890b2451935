#pragma once

#include <vector>

#include "cenote/object/kept_finding.h"
#include "cenote/protocol/scrub_info.h"
#include "cenote/runtime/task.h"
#include "container_targets.h"

namespace cenote::engine {

class Target;

// What is done about scrubbing at one target, on its reactor. Parameters stay where they are until the call ends.

/// See ContainerTargets.
Task<Result<>> scrub_at(Target& target, const ContainerScrub& scrub, ContainerScrub::Part& part);
Task<Result<>> read_progress_at(const ContainerScrub::Part& part, ContainerScrub::Progress& progress);
Task<Result<>> cancel_at(ContainerScrub::Part& part);

/// Of the target's own scrub.
Task<Result<>> describe_scrub_at(Target& target, TargetScrub& scrub, std::vector<object::KeptFinding>& findings);
/// Nothing unless the target is `meant`.
Task<Result<>> control_scrub_at(Target& target, bool meant, ScrubAction action);

/// On any reactor: as they are told.
std::vector<DamageInfo> damages_of(std::uint32_t target, const std::vector<object::KeptFinding>& findings);

}  // namespace cenote::engine
