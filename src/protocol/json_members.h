#pragma once

// What the JSON forms of the control requests are read and written with.

#include <cstdint>
#include <map>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <string_view>

#include "cenote/base/error.h"
#include "cenote/base/format.h"
#include "cenote/base/uuid.h"

namespace cenote::json {

using Json = nlohmann::json;

/// Reads the members of one JSON object. The first one that is missing or of the wrong type makes the reader bad for
/// good; the caller checks `finish` once.
class Members {
 public:
  Members(std::string_view what, const Json& object) : what_(what), object_(object) {
    if (!object_.is_object()) note("is no JSON object");
  }

  std::string text(const char* name) { return value(name, &Json::is_string, std::string()); }
  std::uint64_t number(const char* name) { return value(name, &Json::is_number_unsigned, std::uint64_t{0}); }
  std::uint32_t small(const char* name) {
    const std::uint64_t wide = number(name);
    if (wide > UINT32_MAX) note(fmt::format("member '{}' is too large", name));
    return static_cast<std::uint32_t>(wide);
  }
  Uuid uuid(const char* name) {
    auto parsed = Uuid::parse(text(name));
    if (!parsed) note(fmt::format("member '{}' is no UUID", name));
    return parsed.value_or(Uuid());
  }
  std::string text_or(const char* name, std::string fallback) { return has(name) ? text(name) : std::move(fallback); }
  bool flag_or(const char* name, bool fallback) {
    return has(name) ? value(name, &Json::is_boolean, fallback) : fallback;
  }
  std::uint64_t number_or(const char* name, std::uint64_t fallback) { return has(name) ? number(name) : fallback; }
  std::uint32_t small_or(const char* name, std::uint32_t fallback) { return has(name) ? small(name) : fallback; }
  std::optional<std::uint64_t> number_if(const char* name) {
    return has(name) ? std::optional(number(name)) : std::nullopt;
  }
  std::optional<std::string> text_if(const char* name) { return has(name) ? std::optional(text(name)) : std::nullopt; }
  std::map<std::string, std::string> texts(const char* name) {
    std::map<std::string, std::string> all;
    if (!has(name)) return all;
    const Json& member = object_.at(name);
    if (!member.is_object()) note(fmt::format("member '{}' is no object", name));
    if (!problem_.empty()) return all;
    for (const auto& [key, entry] : member.items()) {
      if (!entry.is_string()) note(fmt::format("'{}' in member '{}' is no string", key, name));
      if (problem_.empty()) all.emplace(key, entry.get<std::string>());
    }
    return all;
  }
  const Json* array(const char* name) {
    if (!has(name) || !object_.at(name).is_array()) {
      note(fmt::format("member '{}' is missing or no array", name));
      return nullptr;
    }
    return &object_.at(name);
  }
  void note(std::string problem) {
    if (problem_.empty()) problem_ = std::move(problem);
  }
  Result<> finish() const {
    if (problem_.empty()) return {};
    return failf(Code::kMalformed, "{}: {}", what_, problem_);
  }

 private:
  bool has(const char* name) const { return object_.is_object() && object_.contains(name); }

  template <typename T>
  T value(const char* name, bool (Json::*is_type)() const noexcept, T fallback) {
    if (!has(name)) {
      note(fmt::format("member '{}' is missing", name));
      return fallback;
    }
    const Json& member = object_.at(name);
    if (!(member.*is_type)()) {
      note(fmt::format("member '{}' has the wrong type", name));
      return fallback;
    }
    return member.get<T>();
  }

  std::string_view what_;
  const Json& object_;
  std::string problem_;
};

inline Result<Json> parse(std::string_view what, std::string_view text) {
  Json parsed = Json::parse(text, nullptr, /*allow_exceptions=*/false);
  if (parsed.is_discarded()) return failf(Code::kMalformed, "{}: not valid JSON", what);
  return parsed;
}

inline std::string dump(const Json& json) {
  // Labels and properties are validated text; anything else is shown with replacement characters instead of failing.
  return json.dump(-1, ' ', false, Json::error_handler_t::replace);
}

}  // namespace cenote::json
