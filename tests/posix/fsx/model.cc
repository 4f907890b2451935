#include "fsx/model.h"

#include <algorithm>

namespace cenote::posix_tests {

std::string_view Model::part(std::uint64_t offset, std::uint64_t length) const {
  if (offset >= bytes_.size()) return {};
  return std::string_view(bytes_).substr(offset, length);
}

void Model::put(std::uint64_t offset, std::string_view data) {
  if (data.empty()) return;
  bytes_.resize(std::max<std::size_t>(bytes_.size(), offset + data.size()));
  bytes_.replace(offset, data.size(), data);
}

void Model::apply(const Operation& operation) {
  const std::uint64_t end = operation.offset + operation.length;
  switch (operation.action) {
    case Action::kWrite:
    case Action::kAppend:
    case Action::kMappedWrite:
      put(operation.offset, operation.data());
      break;
    case Action::kTruncate:
      bytes_.resize(operation.offset);
      break;
    case Action::kAllocate:
      if (operation.length > 0) bytes_.resize(std::max<std::size_t>(bytes_.size(), end));
      break;
    case Action::kZero:
      put(operation.offset, std::string(operation.length, '\0'));
      break;
    case Action::kPunch:
    case Action::kZeroBehind: {
      const std::uint64_t inside = part(operation.offset, operation.length).size();
      put(operation.offset, std::string(inside, '\0'));
      break;
    }
    case Action::kCopy:
      put(operation.target, std::string(part(operation.offset, operation.length)));
      break;
    default:
      break;
  }
}

}  // namespace cenote::posix_tests
