#pragma once

#include <optional>
#include <string>
#include <string_view>

namespace cenote::etcd {

/// Keys and values in etcd's JSON (RFC 4648, with padding).
std::string to_base64(std::string_view bytes);
/// nullopt for what is none.
std::optional<std::string> from_base64(std::string_view text);

}  // namespace cenote::etcd
