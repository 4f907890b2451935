#pragma once

#include <string>

#include "command_doc.h"

namespace cenote::cli {

/// Shell scripts that complete the command line of `root`. Each one walks the words before the cursor to the command
/// that they name, then offers its verbs, its options, or the values of the option before the cursor; file names
/// elsewhere.
std::string bash_completion(const CommandDoc& root);
std::string zsh_completion(const CommandDoc& root);
std::string fish_completion(const CommandDoc& root);

}  // namespace cenote::cli
