#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <unordered_map>

#include "cenote/base/error.h"
#include "cenote/base/uuid.h"
#include "cenote/object/space_account.h"
#include "control_records.h"

namespace cenote::engine {

// Properties of a container or pool: most bytes and objects it may hold, "none" for no limit of its own; and the same
// for those from which a tool warns, where nothing is refused. The bytes of a pool are its size.
inline constexpr const char* kQuotaProperty = "quota";
inline constexpr const char* kSoftQuotaProperty = "quota-soft";
inline constexpr const char* kObjectQuotaProperty = "quota-objects";
inline constexpr const char* kSoftObjectQuotaProperty = "quota-objects-soft";

bool is_quota(std::string_view property);
/// kInvalidArgument unless `value` is a number or "none".
Result<std::uint64_t> parse_quota(const std::string& name, const std::string& value);

/// What pools and containers are charged to: a pool up to its size, a container up to its quota. Kept in memory and
/// made anew from the control state at each start. Control reactor only; the accounts themselves are any thread's.
class SpaceAccounts {
 public:
  using Account = std::shared_ptr<object::SpaceAccount>;

  /// The container's account with the limits that its properties set; made at the first call, under its pool's.
  Result<Account> of(const PoolRecord& pool, const ContainerRecord& container,
                     const std::map<std::string, std::string>& properties);
  /// The pool's account, with its limits as they are now.
  Result<Account> set_limits(const PoolRecord& pool);
  /// Nobody is charged any more: what goes on being removed is refunded all the same.
  void forget_container(const Uuid& container) { containers_.erase(container); }
  void forget_pool(const Uuid& pool) { pools_.erase(pool); }

 private:
  Result<Account> pool_account(const PoolRecord& pool);

  std::unordered_map<Uuid, Account> pools_;
  std::unordered_map<Uuid, Account> containers_;
};

}  // namespace cenote::engine
