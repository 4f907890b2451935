#pragma once

#include "cenote/base/error.h"

namespace cenote::fuse {

/// What a program gets to see of a failure: an error number of errno(3). The one place where codes become such; where
/// an operation means something else by a code it says so in its Request.
int errno_of(Code code);

}  // namespace cenote::fuse
