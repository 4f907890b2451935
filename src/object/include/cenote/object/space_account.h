#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <string>

#include "cenote/base/error.h"
#include "cenote/base/uuid.h"

namespace cenote::object {

/// What containers hold: of all retained versions. Also amounts of it.
struct Usage {
  std::uint64_t bytes = 0;
  /// Each object once for every target that holds something of it (docs/adr/0009).
  std::uint64_t objects = 0;

  Usage operator+(Usage other) const { return {bytes + other.bytes, objects + other.objects}; }
  /// `other` must be part of it.
  Usage operator-(Usage other) const { return {bytes - other.bytes, objects - other.objects}; }
  friend bool operator==(const Usage&, const Usage&) = default;
};

/// What is stored in a container, or in all containers of a pool, over all targets of an engine, held to limits. A
/// target charges what an update adds before it applies it, and refunds what it has removed, so no sum ever passes its
/// limit, however many targets write at once. Any thread; nothing blocks.
///
/// Not durable: whoever opens the targets attaches their containers to fresh accounts.
class SpaceAccount {
 public:
  static constexpr std::uint64_t kNoLimit = UINT64_MAX;

  /// `name` is what errors call it: "pool 'p'". What is charged here is charged to `parent`, too. `id`: of the pool or
  /// container, for those who tell other engines of it.
  explicit SpaceAccount(std::string name, std::shared_ptr<SpaceAccount> parent = nullptr, Uuid id = {})
      : name_(std::move(name)), parent_(std::move(parent)), id_(id) {}
  SpaceAccount(const SpaceAccount&) = delete;
  SpaceAccount& operator=(const SpaceAccount&) = delete;

  /// Takes `added`, here and in the parent or nowhere: kQuotaExceeded names the account that has too little left.
  Result<> charge(Usage added);
  /// Whether `added` would fit at this moment. Nothing is taken meanwhile, so nobody is refused for a question.
  Result<> check_room(Usage added) const;
  /// Takes in what is stored already, or must not be refused, whatever the limits.
  void add(Usage stored);
  void refund(Usage removed);

  /// Limits below what is used refuse further writes and lose nothing.
  void set_limit(Usage most) {
    bytes_.limit.store(most.bytes, std::memory_order_relaxed);
    objects_.limit.store(most.objects, std::memory_order_relaxed);
  }
  /// From where on `over_soft_limit`; nothing is refused.
  void set_soft_limit(Usage most) {
    bytes_.soft_limit.store(most.bytes, std::memory_order_relaxed);
    objects_.soft_limit.store(most.objects, std::memory_order_relaxed);
  }
  Usage limit() const { return {bytes_.most(), objects_.most()}; }
  Usage soft_limit() const { return {bytes_.soft_most(), objects_.soft_most()}; }
  Usage used() const { return {bytes_.now(), objects_.now()}; }
  bool over_soft_limit() const { return bytes_.over_soft_limit() || objects_.over_soft_limit(); }
  /// Less than an eighth of a limit is left, here or in the parent: old versions are worth less than their space.
  bool is_scarce() const;
  /// How often a write did not fit, here or in the parent: who is refused needs space soon.
  std::uint64_t refusals() const;
  const std::string& name() const { return name_; }
  const Uuid& id() const { return id_; }
  const SpaceAccount* parent() const { return parent_.get(); }

 private:
  /// What is counted of one kind.
  struct Count {
    std::atomic<std::uint64_t> used{0};
    std::atomic<std::uint64_t> limit{kNoLimit};
    std::atomic<std::uint64_t> soft_limit{kNoLimit};

    std::uint64_t now() const { return used.load(std::memory_order_relaxed); }
    std::uint64_t most() const { return limit.load(std::memory_order_relaxed); }
    std::uint64_t soft_most() const { return soft_limit.load(std::memory_order_relaxed); }
    bool over_soft_limit() const { return now() > soft_most(); }
    bool fits(std::uint64_t now, std::uint64_t added) const;
    bool has_room(std::uint64_t added) const { return added == 0 || fits(now(), added); }
    bool take(std::uint64_t added);
    void give(std::uint64_t removed);
    bool is_scarce() const;
  };

  Error exceeded(const Count& count, const char* unit, std::uint64_t added) const;
  Result<> take(Usage added);
  void give(Usage removed);

  std::string name_;
  std::shared_ptr<SpaceAccount> parent_;
  Uuid id_;
  Count bytes_, objects_;
  mutable std::atomic<std::uint64_t> refusals_{0};
};

}  // namespace cenote::object
