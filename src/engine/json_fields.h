#pragma once

#include <cstdint>
#include <map>
#include <nlohmann/json.hpp>
#include <string>
#include <string_view>

#include "cenote/base/error.h"
#include "cenote/base/uuid.h"

namespace cenote::engine {

using Json = nlohmann::json;

/// JSON that nobody has vouched for: kMalformed for what is no JSON object. Never throws.
Result<Json> parse_object(std::string_view text);

// Members of an object, kMalformed naming the member when it is absent or of another type.
Result<std::string> text_field(const Json& object, const char* name);
Result<std::uint64_t> number_field(const Json& object, const char* name);
Result<Uuid> uuid_field(const Json& object, const char* name);
/// An object whose members are all texts.
Result<std::map<std::string, std::string>> texts_field(const Json& object, const char* name);

/// The text of a JSON value; bytes that are no UTF-8 are replaced, so that it cannot fail.
std::string json_text(const Json& json, int indent = -1);

}  // namespace cenote::engine
