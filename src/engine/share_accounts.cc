#include "share_accounts.h"

namespace cenote::engine {
namespace {

void set(object::SpaceAccount& account, const AccountTerms& terms) {
  account.set_limit(terms.limit);
  account.set_soft_limit(terms.soft_limit);
}

}  // namespace

ShareAccounts::Account ShareAccounts::of(const AccountTerms& pool, const AccountTerms& container) {
  Account parent;
  if (!pool.id.is_null()) {
    std::erase_if(pools_, [](const auto& entry) { return entry.second.expired(); });
    auto& kept = pools_[pool.id];
    parent = kept.lock();
    if (!parent) kept = parent = std::make_shared<object::SpaceAccount>(pool.name, nullptr, pool.id);
    set(*parent, pool);
  }
  Account& account = containers_[container.id];
  if (!account) account = std::make_shared<object::SpaceAccount>(container.name, std::move(parent), container.id);
  set(*account, container);
  return account;
}

void ShareAccounts::set_limits(const AccountTerms& terms) {
  if (const Account container = find(terms.id)) set(*container, terms);
  const auto pool = pools_.find(terms.id);
  if (pool == pools_.end()) return;
  if (const Account account = pool->second.lock()) set(*account, terms);
}

ShareAccounts::Account ShareAccounts::find(const Uuid& container) const {
  const auto found = containers_.find(container);
  return found == containers_.end() ? nullptr : found->second;
}

}  // namespace cenote::engine
