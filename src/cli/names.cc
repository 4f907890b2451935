#include "names.h"

#include <algorithm>

#include "cenote/base/format.h"

namespace cenote::cli {

Result<ContainerName> parse_container(std::string_view text) {
  const std::size_t slash = text.find('/');
  const bool one_inside = slash != std::string_view::npos && slash != 0 && slash + 1 != text.size() &&
                          text.find('/', slash + 1) == std::string_view::npos;
  if (!one_inside) return failf(Code::kInvalidArgument, "'{}' names no container: write POOL/CONTAINER", text);
  return ContainerName{std::string(text.substr(0, slash)), std::string(text.substr(slash + 1))};
}

std::optional<RemotePath> parse_remote(std::string_view text) {
  if (text.empty() || text.front() == '/' || text.front() == '.') return std::nullopt;
  // Labels may hold colons, paths too: the name ends at the first one that a slash follows.
  const std::size_t colon = text.find(":/");
  if (colon == std::string_view::npos || !parse_container(text.substr(0, colon))) return std::nullopt;
  return RemotePath{std::string(text.substr(0, colon)), std::string(text.substr(colon + 1))};
}

std::string check_rank(const std::string& text) {
  const bool digits =
      !text.empty() && text.size() <= 9 && std::ranges::all_of(text, [](char c) { return c >= '0' && c <= '9'; });
  return digits ? "" : fmt::format("'{}' is no rank: they are numbers from 0 on, see 'cenote system query'", text);
}

}  // namespace cenote::cli
