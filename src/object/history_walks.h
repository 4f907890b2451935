#pragma once

#include <algorithm>
#include <optional>
#include <vector>

#include "cenote/base/error.h"
#include "cenote/base/format.h"
#include "cenote/base/time.h"
#include "cenote/base/uuid.h"
#include "cenote/store/types.h"

namespace cenote::object {

/// The walks over the histories of containers that are going on: while there is one of a container, nothing in its tree
/// is merged, split or moved, so that a walk in pages misses nothing. In memory only, and each for a bounded time after
/// its last page, so whoever walks may vanish.
///
/// Invariant: ids are random, so that none is that of a walk before a restart; at most kMost walks, and of one reader,
/// as far as it is known (not 0), at most one through each tree.
class HistoryWalks {
 public:
  static constexpr std::size_t kMost = 64;
  static constexpr Duration kLease = std::chrono::seconds(30);

  /// kResourceExhausted: there are too many.
  Result<> begin(std::uint64_t id, const Uuid& container, store::TreeId tree, std::uint64_t reader, Instant now) {
    std::erase_if(walks_, [&](const Walk& walk) {
      return walk.until <= now || (reader != 0 && walk.reader == reader && walk.tree == tree);
    });
    if (walks_.size() >= kMost)
      return failf(Code::kResourceExhausted, "{} histories are being read here, the most that are possible", kMost);
    walks_.push_back({id, container, tree, reader, now + kLease});
    return {};
  }
  /// Whether it still is going on; then it goes on for another while.
  bool renew(std::uint64_t id, const Uuid& container, store::TreeId tree, Instant now) {
    const auto found = std::ranges::find(walks_, id, &Walk::id);
    if (found == walks_.end() || found->container != container || found->tree != tree || found->until <= now)
      return false;
    found->until = now + kLease;
    return true;
  }
  void end(std::uint64_t id) {
    std::erase_if(walks_, [id](const Walk& walk) { return walk.id == id; });
  }
  bool going_on(const Uuid& container, Instant now) const {
    return std::ranges::any_of(walks_,
                               [&](const Walk& walk) { return walk.container == container && walk.until > now; });
  }

 private:
  struct Walk {
    std::uint64_t id = 0;
    Uuid container;
    store::TreeId tree;
    std::uint64_t reader = 0;
    Instant until{};
  };
  std::vector<Walk> walks_;
};

}  // namespace cenote::object
