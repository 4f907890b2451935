#pragma once

#include <map>
#include <optional>
#include <string>

namespace cenote::posix_tests {

/// What a file system does differently on purpose: the name of a case and the reason. See README.md for the form.
using Choices = std::map<std::string, std::string>;

/// Nothing, and a line about it on standard error, when the file cannot be read or a line is no choice.
std::optional<Choices> read_choices(const std::string& path);

}  // namespace cenote::posix_tests
