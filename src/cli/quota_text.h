#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "cenote/base/error.h"

namespace cenote::cli {

/// "KEY=VALUE" of a container or pool, as the control API takes it: "quota=10GiB" becomes a plain number of bytes, and
/// "quota-objects=2M" one of objects.
Result<std::pair<std::string, std::string>> parse_property(std::string_view text);
Result<std::map<std::string, std::string>> parse_properties(const std::vector<std::string>& texts);

// "12.00 MiB of 1.00 GiB (over 10.00 MiB)", "7 of 100": what is used, of how much where there is a quota, and beyond
// which soft limit.
std::string used_bytes_text(std::uint64_t used, const std::map<std::string, std::string>& properties);
std::string used_objects_text(std::uint64_t used, const std::map<std::string, std::string>& properties);

}  // namespace cenote::cli
