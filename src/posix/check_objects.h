#pragma once

#include "check_pass.h"

// What a container stores, against what leads to it.
namespace cenote::posix {

/// Objects that nothing was found to lead to, or not in the right way; of what is no tree's, a finding.
Task<Result<std::vector<ObjectId>>> find_strays(async::Container view, CheckState& state, Until until);

/// Takes directories and journals out of `strays`, and walks through the directories: what is below them is not stray.
Task<Result<>> follow_stray_directories(CheckPass& pass, async::Container view, CheckState& state,
                                        std::vector<ObjectId>& strays, Until until);

/// What is to be said of the others, once all is known that leads anywhere. `unnamed`: numbers of files that are open
/// and say that they have names.
Task<Result<>> judge_strays(async::Container view, CheckState& state, std::vector<ObjectId> strays,
                            std::vector<std::uint64_t> unnamed, Until until);

}  // namespace cenote::posix
