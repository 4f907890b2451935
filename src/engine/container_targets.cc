#include "container_targets.h"

#include <algorithm>
#include <tuple>

namespace cenote::engine {

bool is_of_the_way(const Error& error) {
  switch (error.code()) {
    case Code::kUnreachable:
    case Code::kConnectionLost:
    case Code::kDeadlineExceeded:
    case Code::kNotReady:
      return true;
    default:
      return false;
  }
}

std::vector<HeldContainer> merge_held(const std::vector<std::vector<HeldContainer>>& targets) {
  const auto place = [](const HeldContainer& held) {
    const object::CloneSource source = held.source.value_or(object::CloneSource());
    return std::tuple(held.id, held.kept, source.container, source.epoch, held.last_rollback);
  };
  std::vector<HeldContainer> all;
  for (const auto& target : targets) all.insert(all.end(), target.begin(), target.end());
  std::ranges::sort(all, {}, place);
  const auto [end, last] = std::ranges::unique(all);
  all.erase(end, last);
  if (all.size() <= kMaxHeldContainers) return all;
  // All ways of a container are told together.
  std::size_t size = kMaxHeldContainers;
  while (size < all.size() && all[size].id == all[size - 1].id) ++size;
  all.resize(size);
  return all;
}

}  // namespace cenote::engine
