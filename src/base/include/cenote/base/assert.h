#pragma once

#include <string_view>

namespace cenote {

/// Prints where and what, then aborts. Never returns.
[[noreturn]] void assertion_failed(std::string_view expression, std::string_view file, int line);

}  // namespace cenote

/// A programmer's error: on in every build, since a store that goes on after a broken invariant loses data. Never use
/// it for damage of stored bytes or for input; those are `Result`s.
#define ASSERT(...)                                                 \
  do {                                                              \
    if (!(__VA_ARGS__)) [[unlikely]]                                \
      ::cenote::assertion_failed(#__VA_ARGS__, __FILE__, __LINE__); \
  } while (false)
