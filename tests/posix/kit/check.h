#pragma once

#include <fmt/format.h>

#include <cerrno>
#include <concepts>
#include <initializer_list>
#include <source_location>
#include <string>
#include <string_view>
#include <utility>

namespace cenote::posix_tests {

/// Thrown by a check that does not hold: what was expected, what came, and where. Ends the case, as in other
/// frameworks.
struct Failure {
  std::string what;
};
/// Thrown when a file system does not offer something that it need not offer.
struct NotOffered {
  std::string what;
};

using Here = std::source_location;

/// "ENOENT"; "success" for 0.
std::string error_name(int error);
[[noreturn]] void fail(std::string what, Here here = Here::current());

/// The result of a system call that must succeed.
template <std::integral T>
T ok(T result, Here here = Here::current()) {
  if (result == static_cast<T>(-1)) fail(fmt::format("expected success, got {}", error_name(errno)), here);
  return result;
}

/// A system call that must fail with `error`, or with one of `errors`.
void fails(int error, long result, Here here = Here::current());
void fails(std::initializer_list<int> errors, long result, Here here = Here::current());

/// A system call for something that a file system may decline with EOPNOTSUPP; the case ends then as "not offered".
template <std::integral T>
T offered(T result, std::string_view what, Here here = Here::current()) {
  if (result == static_cast<T>(-1) && errno == EOPNOTSUPP) throw NotOffered{std::string(what)};
  return ok(result, here);
}

void that(bool holds, std::string_view what, Here here = Here::current());

/// Printable, and cut when long.
std::string show(std::string_view bytes);

template <typename A, typename B>
void same(const A& actual, const B& expected, std::string_view what, Here here = Here::current()) {
  if constexpr (std::integral<A> && std::integral<B>) {
    if (!std::cmp_equal(actual, expected)) fail(fmt::format("{}: expected {}, got {}", what, expected, actual), here);
  } else {
    const std::string_view left(actual), right(expected);
    if (left != right) fail(fmt::format("{}: expected {}, got {}", what, show(right), show(left)), here);
  }
}

}  // namespace cenote::posix_tests
