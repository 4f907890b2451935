#include "json_fields.h"

#include <algorithm>

#include "cenote/base/format.h"

namespace cenote::engine {
namespace {

Result<const Json*> field(const Json& object, const char* name) {
  const auto found = object.find(name);
  if (found == object.end()) return failf(Code::kMalformed, "member '{}' is missing", name);
  return &*found;
}

}  // namespace

Result<Json> parse_object(std::string_view text) {
  // Copying and printing a document recurse once per level: one that is nested without end would end the stack.
  constexpr int kDepthMax = 32;
  bool too_deep = false;
  const auto look = [&too_deep](int depth, Json::parse_event_t, Json&) {
    too_deep = too_deep || depth > kDepthMax;
    return !too_deep;
  };
  constexpr bool kExceptions = false;
  Json json = Json::parse(text, look, kExceptions);
  if (too_deep) return failf(Code::kMalformed, "nested deeper than {} levels", kDepthMax);
  if (json.is_discarded()) return fail(Code::kMalformed, "not valid JSON");
  if (!json.is_object()) return fail(Code::kMalformed, "not a JSON object");
  return json;
}

Result<std::string> text_field(const Json& object, const char* name) {
  TRY(const Json* value, field(object, name));
  if (!value->is_string()) return failf(Code::kMalformed, "member '{}' is no string", name);
  return value->get<std::string>();
}

Result<std::uint64_t> number_field(const Json& object, const char* name) {
  TRY(const Json* value, field(object, name));
  if (!value->is_number_unsigned()) return failf(Code::kMalformed, "member '{}' is no whole number from 0", name);
  return value->get<std::uint64_t>();
}

Result<Uuid> uuid_field(const Json& object, const char* name) {
  TRY(const std::string text, text_field(object, name));
  auto id = Uuid::parse(text);
  if (!id) return failf(Code::kMalformed, "member '{}' is no UUID: '{}'", name, printable(as_bytes(text)));
  return id;
}

Result<std::map<std::string, std::string>> texts_field(const Json& object, const char* name) {
  TRY(const Json* value, field(object, name));
  const auto is_text = [](const Json& member) { return member.is_string(); };
  if (!value->is_object() || !std::ranges::all_of(*value, is_text))
    return failf(Code::kMalformed, "member '{}' is no object of strings", name);
  return value->get<std::map<std::string, std::string>>();
}

std::string json_text(const Json& json, int indent) {
  return json.dump(indent, ' ', false, Json::error_handler_t::replace);
}

}  // namespace cenote::engine
