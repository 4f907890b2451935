#include "cenote/cluster/coordinator.h"

namespace cenote::cluster {

Task<Result<std::vector<KeyValue>>> range_all(Coordinator& coordinator, std::string prefix) {
  constexpr std::size_t kPage = 256;
  std::vector<KeyValue> all;
  std::string after;
  for (;;) {
    CO_TRY(auto page, co_await coordinator.range(prefix, after, kPage));
    const bool last = page.size() < kPage;
    if (!page.empty()) after = page.back().key;
    all.insert(all.end(), std::make_move_iterator(page.begin()), std::make_move_iterator(page.end()));
    if (last) co_return all;
  }
}

}  // namespace cenote::cluster
