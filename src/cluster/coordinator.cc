#include "cenote/cluster/coordinator.h"

#include <set>

#include "cenote/base/bytes.h"
#include "cenote/base/format.h"

namespace cenote::cluster {
namespace {

Result<> check_key(const std::string& key) {
  if (key.empty()) return fail(Code::kInvalidArgument, "a coordinator key has no name");
  if (key.size() > kMaxStateKeyBytes) {
    return failf(Code::kOutOfRange, "coordinator key '{}' is longer than {} bytes", printable(as_bytes(key)),
                 kMaxStateKeyBytes);
  }
  return {};
}

}  // namespace

Result<> check_transaction(const Transaction& transaction) {
  if (transaction.comparisons().size() + transaction.changes().size() > kMaxTransactionOperations) {
    return failf(Code::kOutOfRange, "coordinator transaction has more than {} operations", kMaxTransactionOperations);
  }
  for (const auto& comparison : transaction.comparisons()) CHECK_OK(check_key(comparison.key));
  std::set<std::string_view> changed;
  for (const auto& change : transaction.changes()) {
    CHECK_OK(check_key(change.key));
    if (change.value && change.value->size() > kMaxStateValueBytes) {
      return failf(Code::kOutOfRange, "value of coordinator key '{}' is {} bytes, over the limit of {}",
                   printable(as_bytes(change.key)), change.value->size(), kMaxStateValueBytes);
    }
    if (!changed.insert(change.key).second) {
      return failf(Code::kInvalidArgument, "coordinator transaction changes key '{}' twice",
                   printable(as_bytes(change.key)));
    }
  }
  return {};
}

Result<> check_ttl(Duration ttl) {
  if (ttl >= kMinLeaseTtl && ttl <= kMaxLeaseTtl) return {};
  return failf(Code::kOutOfRange, "a lease of {} ms: it must be between {} s and {} s",
               std::chrono::duration_cast<std::chrono::milliseconds>(ttl).count(),
               std::chrono::duration_cast<std::chrono::seconds>(kMinLeaseTtl).count(),
               std::chrono::duration_cast<std::chrono::seconds>(kMaxLeaseTtl).count());
}

Task<Result<std::vector<KeyValue>>> range_all(Coordinator& coordinator, std::string prefix, Until until) {
  constexpr std::size_t kPage = 256;
  std::vector<KeyValue> all;
  std::string after;
  for (;;) {
    CO_TRY(auto page, co_await coordinator.range(prefix, after, kPage, until));
    const bool last = page.size() < kPage;
    if (!page.empty()) after = page.back().key;
    all.insert(all.end(), std::make_move_iterator(page.begin()), std::make_move_iterator(page.end()));
    if (last) co_return all;
  }
}

}  // namespace cenote::cluster
