#pragma once

#include <sys/stat.h>

#include "cenote/posix/attributes.h"

namespace cenote::posix {

/// Attributes as stat(2) tells them. The device that it lies on is the caller's to say.
struct stat stat_of(const Attributes& attributes);

}  // namespace cenote::posix
