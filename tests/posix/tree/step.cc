#include "tree/step.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <vector>

#include "kit/random.h"

namespace cenote::posix_tests {

namespace {

constexpr std::string_view kNames[kDeeds] = {"create",   "write",       "append",  "truncate",   "mkdir",
                                             "mkfifo",   "link",        "symlink", "rename",     "rename-noreplace",
                                             "exchange", "unlink",      "rmdir",   "chmod",      "chown",
                                             "setxattr", "removexattr", "hold",    "write-held", "release-held"};

std::vector<std::string_view> split(std::string_view line) {
  std::vector<std::string_view> fields;
  for (;;) {
    const std::size_t end = line.find('\t');
    fields.push_back(line.substr(0, end));
    if (end == std::string_view::npos) return fields;
    line.remove_prefix(end + 1);
  }
}

bool number_from(std::string_view text, std::uint64_t& number) {
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  return error == std::errc() && end == text.data() + text.size();
}

}  // namespace

std::string_view to_string(Deed deed) { return kNames[static_cast<std::size_t>(deed)]; }

std::string Step::data() const {
  Random bytes(value);
  std::string data(length, '\0');
  for (char& byte : data) byte = static_cast<char>('!' + bytes.below(94));
  return data;
}

std::string Step::to_line() const {
  return fmt::format("{}\t{}\t{}\t{}\t{}\t{}\t{}", number, to_string(deed), path, other, value, offset, length);
}

std::optional<Step> Step::parse(std::string_view line) {
  const auto fields = split(line);
  if (fields.size() != 7) return std::nullopt;
  const auto name = std::ranges::find(kNames, fields[1]);
  Step step;
  if (name == std::end(kNames) || !number_from(fields[0], step.number) || !number_from(fields[4], step.value) ||
      !number_from(fields[5], step.offset) || !number_from(fields[6], step.length)) {
    return std::nullopt;
  }
  step.deed = static_cast<Deed>(name - kNames);
  step.path = fields[2];
  step.other = fields[3];
  return step;
}

}  // namespace cenote::posix_tests
