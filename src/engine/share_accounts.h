#pragma once

#include <memory>
#include <unordered_map>

#include "target_messages.h"

namespace cenote::engine {

/// What an engine charges its targets' containers to: accounts with the limits that the leader of the control state
/// tells, which are the engine's share of those that users set. In memory; the leader tells them anew after a start.
/// Control reactor only; the accounts themselves are any thread's.
class ShareAccounts {
 public:
  using Account = std::shared_ptr<object::SpaceAccount>;

  /// The container's account, made at the first call, with these limits now.
  Account of(const AccountTerms& pool, const AccountTerms& container);
  /// Sets the limits of a container or pool; of one that is not known nobody is charged.
  void set_limits(const AccountTerms& terms);
  /// Null if it is not known.
  Account find(const Uuid& container) const;
  bool contains(const Uuid& container) const { return containers_.contains(container); }
  void forget(const Uuid& container) { containers_.erase(container); }

 private:
  std::unordered_map<Uuid, Account> containers_;
  // A pool's is kept by those of its containers, and by those who still refund it for what is being removed.
  std::unordered_map<Uuid, std::weak_ptr<object::SpaceAccount>> pools_;
};

}  // namespace cenote::engine
