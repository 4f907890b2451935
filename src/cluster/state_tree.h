#pragma once

#include <optional>
#include <vector>

#include "cenote/cluster/coordinator.h"
#include "cenote/store/view.h"

// The coordinator's tree, seen from inside `Store::run`: docs/formats/control-state.md, "In the store". Plain
// functions; what they return may not be durable yet (View::seen).
namespace cenote::cluster {

inline constexpr std::string_view kStateTreeName = "coordinator";

/// Without its lease, which is not in the store.
Result<std::optional<KeyValue>> find_entry(store::View& view, store::TreeId tree, const std::string& key);
Result<std::vector<KeyValue>> find_entries(store::View& view, store::TreeId tree, std::string_view prefix,
                                           std::string_view after, std::size_t limit);
Result<Revision> last_revision(store::View& view, store::TreeId tree);
/// kConditionFailed, naming the key.
Result<> check_comparison(store::View& view, store::TreeId tree, const Transaction::Comparison& comparison);
/// Where the state was moved to, if it was: nobody may go by this copy any more.
Result<std::optional<std::string>> moved_to(store::View& view, store::TreeId tree);
/// Up to `limit` keys that belong to leases.
Result<std::vector<std::string>> leased_keys(store::View& view, store::TreeId tree, std::size_t limit);

/// One transaction on its way into a batch.
class StateChange {
 public:
  StateChange(store::TreeId tree, Revision revision);
  void put(const std::string& key, std::string_view value);
  void erase(const std::string& key);
  /// The key belongs to a lease from now on; or to none, which need not be said of a key that did not.
  void mark_leased(const std::string& key);
  void unmark_leased(const std::string& key);
  void mark_moved(std::string_view where);
  store::Batch& batch() { return batch_; }

 private:
  store::TreeId tree_;
  Revision revision_;
  store::Batch batch_;
};

}  // namespace cenote::cluster
