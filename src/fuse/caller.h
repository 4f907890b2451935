#pragma once

#include <sys/types.h>

namespace cenote::fuse {

/// Whether a thread, of any process, has got a signal that ends it. Signals that it handles do not: programs do not
/// expect a file operation to fail because of one.
bool is_ending(pid_t thread);

}  // namespace cenote::fuse
