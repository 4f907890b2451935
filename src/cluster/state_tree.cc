#include "state_tree.h"

#include <algorithm>

#include "cenote/base/format.h"
#include "state_format.h"

namespace cenote::cluster {
namespace {

using store::Cursor;
using store::TreeId;
using store::View;

// State keys are prefixed so that neither the revision counter nor what is known of leases can collide with one.
constexpr std::string_view kRevisionKey = "r";
constexpr std::string_view kStatePrefix = "k";
constexpr std::string_view kLeasedPrefix = "l";
constexpr std::string_view kMovedKey = "m";

std::string stored_key(std::string_view key) { return std::string(kStatePrefix).append(key); }
std::string leased_key(std::string_view key) { return std::string(kLeasedPrefix).append(key); }

}  // namespace

Result<std::optional<KeyValue>> find_entry(View& view, TreeId tree, const std::string& key) {
  TRY(const auto stored, view.get(tree, as_bytes(stored_key(key))));
  if (!stored) return std::optional<KeyValue>();
  TRY(KeyValue entry, decode_value(key, *stored));
  return std::optional(std::move(entry));
}

Result<std::vector<KeyValue>> find_entries(View& view, TreeId tree, std::string_view prefix, std::string_view after,
                                           std::size_t limit) {
  std::vector<KeyValue> found;
  const std::string first = stored_key(std::max(prefix, after));
  const std::string wanted = stored_key(prefix);
  Cursor cursor(view, tree);
  TRY(bool more, cursor.seek(as_bytes(first)));
  while (more && found.size() < limit && as_text(cursor.key()).starts_with(wanted)) {
    const std::string_view key = as_text(cursor.key()).substr(kStatePrefix.size());
    if (key > after || after.empty()) {
      TRY(auto entry, decode_value(std::string(key), cursor.value()));
      found.push_back(std::move(entry));
    }
    TRY(more, cursor.next());
  }
  return found;
}

Result<Revision> last_revision(View& view, TreeId tree) {
  TRY(const auto stored, view.get(tree, as_bytes(kRevisionKey)));
  if (!stored) return Revision(0);
  return decode_revision(*stored);
}

Result<> check_comparison(View& view, TreeId tree, const Transaction::Comparison& comparison) {
  TRY(const auto entry, find_entry(view, tree, comparison.key));
  const Revision actual = entry ? entry->modified : Revision(0);
  if (actual != comparison.revision) {
    return failf(Code::kConditionFailed, "'{}' changed meanwhile (revision {}, expected {})", comparison.key,
                 actual.value(), comparison.revision.value());
  }
  return {};
}

Result<std::optional<std::string>> moved_to(View& view, TreeId tree) {
  TRY(const auto stored, view.get(tree, as_bytes(kMovedKey)));
  if (!stored) return std::optional<std::string>();
  return std::optional(std::string(as_text(*stored)));
}

Result<std::vector<std::string>> leased_keys(View& view, TreeId tree, std::size_t limit) {
  std::vector<std::string> keys;
  Cursor cursor(view, tree);
  TRY(bool more, cursor.seek(as_bytes(kLeasedPrefix)));
  while (more && keys.size() < limit && as_text(cursor.key()).starts_with(kLeasedPrefix)) {
    keys.emplace_back(as_text(cursor.key()).substr(kLeasedPrefix.size()));
    TRY(more, cursor.next());
  }
  return keys;
}

StateChange::StateChange(TreeId tree, Revision revision) : tree_(tree), revision_(revision) {
  batch_.put(tree_, as_bytes(kRevisionKey), encode_revision(revision));
}

void StateChange::put(const std::string& key, std::string_view value) {
  batch_.put(tree_, as_bytes(stored_key(key)), encode_value(revision_, value));
}

void StateChange::erase(const std::string& key) { batch_.erase(tree_, as_bytes(stored_key(key))); }

void StateChange::mark_leased(const std::string& key) { batch_.put(tree_, as_bytes(leased_key(key)), {}); }

void StateChange::mark_moved(std::string_view where) { batch_.put(tree_, as_bytes(kMovedKey), as_bytes(where)); }

void StateChange::unmark_leased(const std::string& key) { batch_.erase(tree_, as_bytes(leased_key(key))); }

}  // namespace cenote::cluster
