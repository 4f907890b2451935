#include "fsx/operation.h"

#include <fmt/format.h>

#include <algorithm>

namespace cenote::posix_tests {

namespace {

constexpr std::string_view kNames[kActions] = {
    "read",  "write", "append",    "mapped-read", "mapped-write", "truncate", "allocate", "allocate-keep",
    "punch", "zero",  "zero-keep", "copy",        "sync",         "reopen",   "holes",    "check"};

}  // namespace

std::string_view to_string(Action action) { return kNames[static_cast<std::size_t>(action)]; }

int action_of(std::string_view name) {
  const auto found = std::ranges::find(kNames, name);
  return found == std::end(kNames) ? -1 : static_cast<int>(found - kNames);
}

std::string Operation::describe() const {
  std::string text = fmt::format("{} client {} {} ", number, client, to_string(action));
  switch (action) {
    case Action::kTruncate:
      return text + fmt::format("to {:#x}", offset);
    case Action::kCopy:
      return text + fmt::format("[{:#x}, {:#x}) to {:#x}, {} bytes", offset, offset + length, target, length);
    case Action::kSync:
    case Action::kReopen:
    case Action::kHoles:
    case Action::kCheck:
      text.pop_back();
      return text;
    default:
      return text + fmt::format("[{:#x}, {:#x}), {} bytes", offset, offset + length, length);
  }
}

std::string Operation::data() const {
  // Never zero, so that data is told from holes; the number of the operation is in its first bytes.
  Random bytes(pattern);
  std::string data = fmt::format("<{}>", number);
  data.resize(length, ' ');
  for (std::size_t at = std::min(data.size(), fmt::format("<{}>", number).size()); at < data.size(); ++at) {
    data[at] = static_cast<char>('!' + bytes.below(94));
  }
  return data;
}

std::uint64_t Sequence::draw_offset(std::uint64_t limit) {
  std::uint64_t offset = random_.below(limit + 1);
  // Borders of blocks are where mistakes live.
  constexpr std::uint64_t kBorders[] = {512, 4096, 65536};
  if (random_.percent(40)) offset -= offset % kBorders[random_.below(std::size(kBorders))];
  if (random_.percent(10) && offset > 0) --offset;
  return offset;
}

Operation Sequence::next(std::uint64_t size) {
  Operation operation;
  operation.number = number_++;
  // Some operations at a time: a hand-over costs a close and an open.
  if (plan_.clients > 1 && random_.percent(25)) client_ = static_cast<unsigned>(random_.below(plan_.clients));
  operation.client = client_;
  operation.action = plan_.actions[random_.below(plan_.actions.size())];
  operation.pattern = random_.next();
  // Mostly near what is there, so that operations meet.
  const std::uint64_t limit = random_.percent(70) ? std::min(size, plan_.size_max) : plan_.size_max;
  operation.offset = draw_offset(limit);
  operation.length =
      1 + random_.below(random_.percent(50) ? std::min<std::uint64_t>(5000, plan_.length_max) : plan_.length_max);
  operation.target = draw_offset(plan_.size_max);
  if (operation.action == Action::kAppend) operation.offset = size;
  if (operation.action == Action::kCopy) {
    operation.length = std::min(operation.length, size - std::min(size, operation.offset));
    operation.length = std::min(operation.length, plan_.size_max - operation.target);
    const bool overlap = operation.offset < operation.target + operation.length &&
                         operation.target < operation.offset + operation.length;
    if (overlap) operation.length = 0;
  }
  if (operation.action == Action::kMappedRead) {
    operation.length = std::min(operation.length, size - std::min(size, operation.offset));
  }
  operation.length = std::min(operation.length, plan_.size_max - std::min(plan_.size_max, operation.offset));
  return operation;
}

}  // namespace cenote::posix_tests
