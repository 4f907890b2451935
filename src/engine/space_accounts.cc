#include "space_accounts.h"

#include <charconv>

#include "cenote/base/format.h"

namespace cenote::engine {
namespace {

using Properties = std::map<std::string, std::string>;

Result<std::uint64_t> limit_in(const Properties& properties, const char* name) {
  const auto found = properties.find(name);
  if (found == properties.end()) return object::SpaceAccount::kNoLimit;
  return parse_quota(name, found->second);
}

Result<object::Usage> limits_in(const Properties& properties, const char* bytes, const char* objects) {
  object::Usage limits;
  TRY(limits.bytes, limit_in(properties, bytes));
  TRY(limits.objects, limit_in(properties, objects));
  return limits;
}

Result<> set_limits(object::SpaceAccount& account, const Properties& properties) {
  TRY(const object::Usage most, limits_in(properties, kQuotaProperty, kObjectQuotaProperty));
  TRY(const object::Usage soft, limits_in(properties, kSoftQuotaProperty, kSoftObjectQuotaProperty));
  account.set_limit(most);
  account.set_soft_limit(soft);
  return {};
}

Result<> set_pool_limits(object::SpaceAccount& account, const PoolRecord& pool) {
  Properties limits = pool.properties;
  limits[kQuotaProperty] = std::to_string(pool.size_bytes);
  return set_limits(account, limits);
}

}  // namespace

bool is_quota(std::string_view property) {
  return property == kQuotaProperty || property == kSoftQuotaProperty || property == kObjectQuotaProperty ||
         property == kSoftObjectQuotaProperty;
}

Result<std::uint64_t> parse_quota(const std::string& name, const std::string& value) {
  if (value == "none") return object::SpaceAccount::kNoLimit;
  std::uint64_t number = 0;
  const char* const end = value.data() + value.size();
  const auto [stop, problem] = std::from_chars(value.data(), end, number);
  if (problem == std::errc() && stop == end && number < object::SpaceAccount::kNoLimit) return number;
  return failf(Code::kInvalidArgument, "property '{}' is '{}': it may be a number or 'none'", name,
               printable(as_bytes(value)));
}

Result<SpaceAccounts::Account> SpaceAccounts::pool_account(const PoolRecord& pool) {
  Account& account = pools_[pool.id];
  if (!account) {
    account = std::make_shared<object::SpaceAccount>(fmt::format("pool '{}'", pool.label), nullptr, pool.id);
    CHECK_OK(set_pool_limits(*account, pool));
  }
  return account;
}

Result<SpaceAccounts::Account> SpaceAccounts::set_limits(const PoolRecord& pool) {
  TRY(Account account, pool_account(pool));
  CHECK_OK(set_pool_limits(*account, pool));
  return account;
}

Result<SpaceAccounts::Account> SpaceAccounts::of(const PoolRecord& pool, const ContainerRecord& container,
                                                 const std::map<std::string, std::string>& properties) {
  Account& account = containers_[container.id];
  if (!account) {
    TRY(Account parent, pool_account(pool));
    account = std::make_shared<object::SpaceAccount>(fmt::format("container '{}/{}'", pool.label, container.label),
                                                     std::move(parent), container.id);
  }
  CHECK_OK(engine::set_limits(*account, properties));
  return account;
}

}  // namespace cenote::engine
