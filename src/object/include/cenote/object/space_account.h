#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <string>

#include "cenote/base/error.h"

namespace cenote::object {

/// Bytes stored in a container, or in all containers of a pool, over all targets of an engine, held to a limit: stored
/// bytes of all retained versions. A target charges what an update adds before it applies it, and refunds what it has
/// removed, so the sum never passes the limit, however many targets write at once. Any thread; nothing blocks.
///
/// Not durable: whoever opens the targets attaches their containers to fresh accounts.
class SpaceAccount {
 public:
  static constexpr std::uint64_t kNoLimit = UINT64_MAX;

  /// `name` is what errors call it: "pool 'p'". What is charged here is charged to `parent`, too.
  explicit SpaceAccount(std::string name, std::shared_ptr<SpaceAccount> parent = nullptr)
      : name_(std::move(name)), parent_(std::move(parent)) {}
  SpaceAccount(const SpaceAccount&) = delete;
  SpaceAccount& operator=(const SpaceAccount&) = delete;

  /// Takes `bytes`, here and in the parent or nowhere: kQuotaExceeded names the account that has too little left.
  Result<> charge(std::uint64_t bytes);
  /// Whether `charge` would succeed at this moment.
  Result<> check_room(std::uint64_t bytes) const;
  /// Takes in what is stored already, whatever the limit.
  void add(std::uint64_t bytes);
  void refund(std::uint64_t bytes);

  /// A limit below what is used refuses further writes and loses nothing.
  void set_limit(std::uint64_t bytes) { limit_.store(bytes, std::memory_order_relaxed); }
  /// Bytes from which `over_soft_limit`; nothing is refused.
  void set_soft_limit(std::uint64_t bytes) { soft_limit_.store(bytes, std::memory_order_relaxed); }
  std::uint64_t used() const { return used_.load(std::memory_order_relaxed); }
  bool over_soft_limit() const { return used() > soft_limit_.load(std::memory_order_relaxed); }
  /// Less than an eighth of the limit is left, here or in the parent: old versions are worth less than their space.
  bool is_scarce() const;
  /// How often a write did not fit, here or in the parent: who is refused needs space soon.
  std::uint64_t refusals() const;
  const std::string& name() const { return name_; }

 private:
  Error exceeded(std::uint64_t bytes) const;
  bool fits(std::uint64_t used, std::uint64_t bytes) const;

  std::string name_;
  std::shared_ptr<SpaceAccount> parent_;
  std::atomic<std::uint64_t> used_{0};
  std::atomic<std::uint64_t> limit_{kNoLimit};
  std::atomic<std::uint64_t> soft_limit_{kNoLimit};
  mutable std::atomic<std::uint64_t> refusals_{0};
};

}  // namespace cenote::object
