#pragma once

#include <string>
#include <string_view>

#include "command_doc.h"

namespace cenote::cli {

/// The manual page cenote(1) in roff: commands, options, settings, exit codes.
std::string man_page(const CommandDoc& root, std::string_view version);

}  // namespace cenote::cli
