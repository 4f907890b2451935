#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "cenote/base/error.h"

namespace cenote::posix {

/// Splits an absolute path into components, "." and empty ones left out, ".." kept. kInvalidArgument for a relative or
/// empty path or one with a NUL, kNameTooLong over a limit.
Result<std::vector<std::string>> split_path(std::string_view path);

/// The last component as it was written; "." when that is what the path ends with.
std::string_view last_component(std::string_view path);

/// For what takes a name away: kInvalidArgument when the path ends in "." or "..", which are no names of an entry.
Result<> validate_names_entry(std::string_view path);

/// One component that may be created: not empty, not "." or "..", no '/' or NUL, at most kMaxNameBytes.
Result<> validate_name(std::string_view name);

}  // namespace cenote::posix
