#pragma once

#include <string>

#include "machine.h"

namespace cenote::cli {

/// Writes some blocks durably, one after another, as a log does, to a file in `directory` that no name ever points to.
/// Takes half a second at most, whatever the disk.
Result<WriteTest> test_writes(const std::string& directory);

}  // namespace cenote::cli
