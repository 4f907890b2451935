#pragma once

#include <cstdint>

namespace cenote::cli {

/// How many files and connections an engine on this machine may have open: the hard limit, since a server raises the
/// soft one to it.
std::uint64_t open_files_limit();
/// Raises the soft limit to the hard one, and returns what holds now.
std::uint64_t raise_open_files_limit();

/// Below this a server warns at its start: targets and clients take one each, and who comes too late is refused.
inline constexpr std::uint64_t kOpenFilesLeast = 1024;

}  // namespace cenote::cli
