#include "kit/check.h"

#include <algorithm>
#include <cstring>

namespace cenote::posix_tests {

std::string error_name(int error) {
  if (error == 0) return "success";
  const char* name = ::strerrorname_np(error);
  return name != nullptr ? name : fmt::format("errno {}", error);
}

void fail(std::string what, Here here) {
  std::string_view file = here.file_name();
  file.remove_prefix(file.rfind('/') + 1);
  throw Failure{fmt::format("{} ({}:{})", what, file, here.line())};
}

void fails(int error, long result, Here here) { fails({error}, result, here); }

void fails(std::initializer_list<int> errors, long result, Here here) {
  const int actual = result == -1 ? errno : 0;
  if (std::ranges::find(errors, actual) != errors.end()) return;
  std::string expected;
  for (const int error : errors) expected += (expected.empty() ? "" : " or ") + error_name(error);
  fail(fmt::format("expected {}, got {}", expected, error_name(actual)), here);
}

void that(bool holds, std::string_view what, Here here) {
  if (!holds) fail(fmt::format("expected that {}", what), here);
}

std::string show(std::string_view bytes) {
  constexpr std::size_t kShown = 60;
  std::string text;
  for (const char byte : bytes.substr(0, kShown)) {
    const auto value = static_cast<unsigned char>(byte);
    text += value >= 0x20 && value < 0x7f ? std::string(1, byte) : fmt::format("\\x{:02x}", value);
  }
  return bytes.size() > kShown ? fmt::format("\"{}\"... of {} bytes", text, bytes.size()) : "\"" + text + "\"";
}

}  // namespace cenote::posix_tests
