#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace cenote::cli {

/// What one check of `cenote doctor` found.
struct Finding {
  enum class Level : std::uint8_t { kOk, kWarn, kFail };

  Level level = Level::kOk;
  std::string check;   ///< what was looked at: "io_uring"; stable, since programs pick by it
  std::string found;   ///< what is there
  std::string advice;  ///< what to do and why; empty when all is well
};

using Findings = std::vector<Finding>;

inline std::string_view level_name(Finding::Level level) {
  switch (level) {
    case Finding::Level::kOk:
      return "ok";
    case Finding::Level::kWarn:
      return "warn";
    case Finding::Level::kFail:
      return "fail";
  }
  return "?";
}

inline Finding ok(std::string check, std::string found) {
  return {Finding::Level::kOk, std::move(check), std::move(found), ""};
}
inline Finding warn(std::string check, std::string found, std::string advice) {
  return {Finding::Level::kWarn, std::move(check), std::move(found), std::move(advice)};
}
inline Finding bad(std::string check, std::string found, std::string advice) {
  return {Finding::Level::kFail, std::move(check), std::move(found), std::move(advice)};
}

}  // namespace cenote::cli
