#include "path.h"

#include "cenote/base/bytes.h"
#include "cenote/base/format.h"
#include "cenote/posix/file_system.h"

namespace cenote::posix {

Result<std::vector<std::string>> split_path(std::string_view path) {
  if (path.empty() || path.front() != '/') {
    return failf(Code::kInvalidArgument, "'{}' is no absolute path: it must start with '/'", path);
  }
  if (path.size() > kMaxPathBytes) {
    return failf(Code::kNameTooLong, "path of {} bytes is over the limit of {}", path.size(), kMaxPathBytes);
  }
  if (path.contains('\0'))
    return failf(Code::kInvalidArgument, "path '{}' holds a zero byte", printable(as_bytes(path)));
  std::vector<std::string> components;
  std::size_t at = 0;
  while (at < path.size()) {
    const std::size_t end = std::min(path.find('/', at), path.size());
    const std::string_view component = path.substr(at, end - at);
    at = end + 1;
    if (component.empty() || component == ".") continue;
    if (component.size() > kMaxNameBytes) {
      return failf(Code::kNameTooLong, "'{}' is {} bytes long, over the limit of {} for a name", component,
                   component.size(), kMaxNameBytes);
    }
    components.emplace_back(component);
  }
  return components;
}

std::string_view last_component(std::string_view path) {
  while (path.ends_with('/')) path.remove_suffix(1);
  return path.substr(path.rfind('/') + 1);
}

Result<> validate_names_entry(std::string_view path) {
  const std::string_view last = last_component(path);
  if (last != "." && last != "..") return {};
  return failf(Code::kInvalidArgument, "'{}' ends in '{}', which is no name of an entry", path, last);
}

Result<> validate_name(std::string_view name) {
  if (name.empty() || name == "." || name == "..") {
    return failf(Code::kInvalidArgument, "'{}' cannot be created or removed as a name", name);
  }
  if (name.size() > kMaxNameBytes) {
    return failf(Code::kNameTooLong, "'{}' is {} bytes long, over the limit of {} for a name", name, name.size(),
                 kMaxNameBytes);
  }
  if (name.contains('/') || name.contains('\0')) {
    return failf(Code::kInvalidArgument, "name '{}' holds a '/' or a zero byte", printable(as_bytes(name)));
  }
  return {};
}

}  // namespace cenote::posix
