#pragma once

#include <fmt/format.h>

#include "cenote/base/error.h"

namespace cenote {

/// `return failf(Code::kNotFound, "no pool named '{}': list them with 'cenote pool list'", name);`
template <typename... Args>
std::unexpected<Error> failf(Code code, fmt::format_string<Args...> format, Args&&... args) {
  return std::unexpected<Error>(std::in_place, code, fmt::format(format, std::forward<Args>(args)...));
}

}  // namespace cenote
