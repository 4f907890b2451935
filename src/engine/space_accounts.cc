#include "space_accounts.h"

#include <charconv>

#include "cenote/base/format.h"

namespace cenote::engine {
namespace {

Result<std::uint64_t> limit_in(const std::map<std::string, std::string>& properties, const char* name) {
  const auto found = properties.find(name);
  if (found == properties.end()) return object::SpaceAccount::kNoLimit;
  return parse_quota(name, found->second);
}

}  // namespace

Result<std::uint64_t> parse_quota(const std::string& name, const std::string& value) {
  if (value == "none") return object::SpaceAccount::kNoLimit;
  std::uint64_t bytes = 0;
  const char* const end = value.data() + value.size();
  const auto [stop, problem] = std::from_chars(value.data(), end, bytes);
  if (problem == std::errc() && stop == end && bytes < object::SpaceAccount::kNoLimit) return bytes;
  return failf(Code::kInvalidArgument, "property '{}' is '{}': it may be a number of bytes or 'none'", name,
               printable(as_bytes(value)));
}

SpaceAccounts::Account SpaceAccounts::pool_account(const PoolRecord& pool) {
  Account& account = pools_[pool.id];
  if (!account) {
    account = std::make_shared<object::SpaceAccount>(fmt::format("pool '{}'", pool.label));
    account->set_limit(pool.size_bytes);
  }
  return account;
}

Result<SpaceAccounts::Account> SpaceAccounts::of(const PoolRecord& pool, const ContainerRecord& container,
                                                 const std::map<std::string, std::string>& properties) {
  TRY(const std::uint64_t limit, limit_in(properties, kQuotaProperty));
  TRY(const std::uint64_t soft_limit, limit_in(properties, kSoftQuotaProperty));
  Account& account = containers_[container.id];
  if (!account) {
    account = std::make_shared<object::SpaceAccount>(fmt::format("container '{}/{}'", pool.label, container.label),
                                                     pool_account(pool));
  }
  account->set_limit(limit);
  account->set_soft_limit(soft_limit);
  return account;
}

}  // namespace cenote::engine
