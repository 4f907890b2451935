#pragma once

#include "files/system.h"
#include "harness/comparison.h"

namespace cenote::bench {

/// Files and directories: what the library does on one core of the engine and one of the client, and what a mount makes
/// of it beside a file system with nothing behind it.
void add_file_rows(Suite& suite, const FilePrograms& programs);

}  // namespace cenote::bench
