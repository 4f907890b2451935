#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "cenote/base/error.h"

namespace cenote::cli {

/// POOL/CONTAINER of an argument.
struct ContainerName {
  std::string pool, container;
};
/// kInvalidArgument with the form, when `text` is something else.
Result<ContainerName> parse_container(std::string_view text);

/// POOL/CONTAINER:/PATH.
struct RemotePath {
  std::string container;  ///< POOL/CONTAINER
  std::string path;       ///< absolute
};
/// nullopt: not of that form, so a local path. A local path that looks like one is written with "./" before it.
std::optional<RemotePath> parse_remote(std::string_view text);

/// For an option that takes ranks of engines: what is wrong with `text`, or nothing. An empty one is no rank either,
/// which a script gives whose variable is not set.
std::string check_rank(const std::string& text);

}  // namespace cenote::cli
