#include "quota_text.h"

#include <charconv>
#include <optional>

#include "cenote/base/format.h"
#include "settings.h"

namespace cenote::cli {
namespace {

using Properties = std::map<std::string, std::string>;

/// The limit that a property sets; none: the property is not set, or to 'none'.
std::optional<std::uint64_t> limit_of(const Properties& properties, const char* property) {
  const auto found = properties.find(property);
  if (found == properties.end() || found->second == "none") return std::nullopt;
  const auto number = parse_bytes(found->second);
  return number ? std::optional(*number) : std::nullopt;
}

std::string used_text(std::uint64_t used, std::optional<std::uint64_t> limit, std::optional<std::uint64_t> soft,
                      std::string (*shown)(std::uint64_t)) {
  std::string text = shown(used);
  if (limit) text += " of " + shown(*limit);
  if (soft && used > *soft) text += fmt::format(" (over {})", shown(*soft));
  return text;
}

/// "2M" is 2,000,000: objects are counted in thousands.
Result<std::uint64_t> parse_count(std::string_view name, std::string_view text) {
  std::uint64_t number = 0;
  const char* const begin = text.data();
  const char* const end = begin + text.size();
  const auto [stop, problem] = std::from_chars(begin, end, number);
  const std::string_view unit(stop, static_cast<std::size_t>(end - stop));
  std::uint64_t factor = 0;
  if (unit.empty()) factor = 1;
  if (unit == "k") factor = 1'000;
  if (unit == "M") factor = 1'000'000;
  if (unit == "G") factor = 1'000'000'000;
  if (problem != std::errc() || factor == 0 || number > UINT64_MAX / factor)
    return failf(Code::kInvalidArgument, "'{}={}': write a number like 5000, 200k or 2M, or none", name, text);
  return number * factor;
}

}  // namespace

Result<std::pair<std::string, std::string>> parse_property(std::string_view text) {
  const std::size_t equals = text.find('=');
  if (equals == std::string_view::npos || equals == 0)
    return failf(Code::kInvalidArgument, "'{}' is no property: write KEY=VALUE", text);
  std::pair property(std::string(text.substr(0, equals)), std::string(text.substr(equals + 1)));
  const auto& [name, value] = property;
  if (value == "none") return property;
  if (name == "quota" || name == "quota-soft") {
    TRY(const std::uint64_t bytes, parse_bytes(value));
    property.second = std::to_string(bytes);
  } else if (name == "quota-objects" || name == "quota-objects-soft") {
    TRY(const std::uint64_t count, parse_count(name, value));
    property.second = std::to_string(count);
  }
  return property;
}

Result<Properties> parse_properties(const std::vector<std::string>& texts) {
  Properties properties;
  for (const std::string& text : texts) {
    TRY(auto property, parse_property(text));
    properties.insert(std::move(property));
  }
  return properties;
}

std::string used_bytes_text(std::uint64_t used, const Properties& properties) {
  return used_text(used, limit_of(properties, "quota"), limit_of(properties, "quota-soft"),
                   [](std::uint64_t bytes) { return human_bytes(bytes); });
}

std::string used_objects_text(std::uint64_t used, const Properties& properties) {
  return used_text(used, limit_of(properties, "quota-objects"), limit_of(properties, "quota-objects-soft"),
                   [](std::uint64_t count) { return std::to_string(count); });
}

}  // namespace cenote::cli
