#include "choices.h"

#include <fmt/format.h>

#include <cstdio>
#include <fstream>

namespace cenote::posix_tests {

std::optional<Choices> read_choices(const std::string& path) {
  std::ifstream file(path);
  if (!file) {
    fmt::print(stderr, "cannot read {}\n", path);
    return std::nullopt;
  }
  Choices choices;
  int number = 0;
  for (std::string line; std::getline(file, line);) {
    ++number;
    if (line.empty() || line[0] == '#') continue;
    const std::size_t end = line.find(' ');
    const std::size_t reason = line.find_first_not_of(' ', end);
    if (end == std::string::npos || reason == std::string::npos) {
      fmt::print(stderr, "{}:{}: a choice is the name of a case and a reason\n", path, number);
      return std::nullopt;
    }
    if (!choices.emplace(line.substr(0, end), line.substr(reason)).second) {
      fmt::print(stderr, "{}:{}: '{}' is there twice\n", path, number, line.substr(0, end));
      return std::nullopt;
    }
  }
  return choices;
}

}  // namespace cenote::posix_tests
