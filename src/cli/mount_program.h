#pragma once

#include "context.h"
#include "mounting.h"

namespace cenote::cli {

/// The mounter of cenote-fuse.
Result<> mount_and_serve(Context& context, const MountArguments& arguments);

}  // namespace cenote::cli
