#pragma once

#include <functional>
#include <map>
#include <string>

#include "cenote/cluster/coordinator.h"
#include "cenote/runtime/scope.h"
#include "cenote/runtime/sim_reactor.h"
#include "membership_format.h"

// For tests of membership: clocks that run apart, a coordinator that is far away, and what it really holds.
namespace cenote::cluster::membership_sim {

/// A node whose monotonic clock runs `rate` times as fast as the world's.
class DriftingReactor final : public Reactor {
 public:
  DriftingReactor(SimReactor& node, double rate) : node_(node), rate_(rate), start_(node.now()) {}

  Instant now() const override { return start_ + scaled(node_.now() - start_, rate_); }
  WallTime wall_now() const override { return node_.wall_now(); }
  std::uint64_t random() override { return node_.random(); }
  void fill_secret(MutableBytes into) override { node_.fill_secret(into); }
  void schedule(std::coroutine_handle<> handle) override { node_.schedule(handle); }
  void schedule_next_turn(std::coroutine_handle<> handle) override { node_.schedule_next_turn(handle); }
  void arm(Timer& timer, Instant at) override {
    // Rounded up, so that the clock has reached `at` when the timer fires.
    node_.arm(timer, at == kNoDeadline ? at : start_ + scaled(at - start_, 1 / rate_) + std::chrono::microseconds(1));
  }
  void disarm(Timer& timer) override { node_.disarm(timer); }
  void post(Mail& mail) override { node_.post(mail); }
  bool is_current() const override { return node_.is_current(); }

 private:
  static Duration scaled(Duration time, double rate) {
    return Duration(static_cast<std::int64_t>(static_cast<double>(time.count()) * rate));
  }

  SimReactor& node_;
  double rate_;
  Instant start_;
};

/// The pool maps that the coordinator holds, as its transactions made them.
class Truth {
 public:
  /// Called with each new map, and the one before it.
  std::function<void(const PoolMap* before, const PoolMap& now)> on_map = [](const PoolMap*, const PoolMap&) {};

  void note(const Transaction& transaction, Revision revision) {
    for (const auto& [key, value, lease] : transaction.changes()) {
      if (!key.starts_with(kPoolPrefix) || !value) continue;
      auto& [at, text] = values_[key];
      if (revision > at) std::tie(at, text) = std::tuple(revision, *value);
      pool_ = *pool_of_key(key);
    }
    take_map();
    const auto active = values_.find(active_key(pool_));
    if (active != values_.end()) active_ = decode_active(active->second.second)->version;
  }

  MapVersion active() const { return active_; }
  MapVersion wanted() const { return maps_.empty() ? MapVersion(0) : maps_.rbegin()->first; }
  const PoolMap* map(MapVersion version) const {
    const auto found = maps_.find(version);
    return found == maps_.end() ? nullptr : &found->second;
  }

 private:
  void take_map() {
    const auto head = values_.find(head_key(pool_));
    if (head == values_.end() || maps_.contains(decode_head(head->second.second)->version)) return;
    Bytes bytes;
    for (std::size_t i = 0; values_.contains(piece_key(pool_, i)); ++i) {
      const ByteView piece = as_bytes(values_.at(piece_key(pool_, i)).second);
      bytes.insert(bytes.end(), piece.begin(), piece.end());
    }
    auto map = decode_pool_map(bytes);
    ASSERT(map.has_value());
    const PoolMap* before = maps_.empty() ? nullptr : &maps_.rbegin()->second;
    const MapVersion version = map->version();
    on_map(before, maps_.emplace(version, *std::move(map)).first->second);
  }

  Uuid pool_;
  std::map<std::string, std::pair<Revision, std::string>> values_;
  std::map<MapVersion, PoolMap> maps_;
  MapVersion active_;
};

/// What happens to the calls of one process.
struct Weather {
  Duration request_delay_max{};
  Duration answer_delay_max{};
  std::uint32_t loss_percent = 0;  ///< of answers; of those of changes half take effect late
};

/// A process's way to the coordinator. Keeps the contract of `Coordinator`, and no more.
class RemoteCoordinator final : public Coordinator {
 public:
  RemoteCoordinator(SimWorld& world, Reactor& reactor, Coordinator& there, Truth& truth)
      : world_(world), reactor_(reactor), there_(there), truth_(truth), late_(reactor) {}

  bool reachable = true;
  Weather weather;

  Task<Result<std::optional<KeyValue>>> get(std::string key, Until until) override {
    CO_CHECK_OK(co_await request(until));
    auto answer = co_await there_.get(std::move(key));
    CO_CHECK_OK(co_await answered(until));
    co_return answer;
  }
  Task<Result<std::vector<KeyValue>>> range(std::string prefix, std::string after, std::size_t limit,
                                            Until until) override {
    CO_CHECK_OK(co_await request(until));
    auto answer = co_await there_.range(std::move(prefix), std::move(after), limit);
    CO_CHECK_OK(co_await answered(until));
    co_return answer;
  }
  Task<Result<Revision>> revision(Until until) override {
    CO_CHECK_OK(co_await request(until));
    auto answer = co_await there_.revision();
    CO_CHECK_OK(co_await answered(until));
    co_return answer;
  }
  Task<Result<Revision>> commit(Transaction transaction, Until until) override {
    CO_CHECK_OK(co_await request(until));
    if (world_.chance(weather.loss_percent, 200)) {
      late_.spawn(commit_late(*this, std::move(transaction), Duration(world_.random_below(2'000'000'000))));
      co_return fail(Code::kOutcomeUnknown);
    }
    auto answer = co_await there_.commit(transaction);
    if (answer) truth_.note(transaction, *answer);
    if (!co_await answered(until)) co_return fail(Code::kOutcomeUnknown);
    co_return answer;
  }
  Result<std::unique_ptr<Watch>> watch(std::string prefix, Revision after) override {
    TRY(auto watch, there_.watch(std::move(prefix), after));
    return std::make_unique<RemoteWatch>(*this, std::move(watch));
  }
  Task<Result<Lease>> grant_lease(Duration ttl, Until until) override {
    CO_CHECK_OK(co_await request(until));
    auto answer = co_await there_.grant_lease(ttl);
    CO_CHECK_OK(co_await answered(until));
    co_return answer;
  }
  Task<Result<Lease>> keep_alive(LeaseId lease, Until until) override {
    CO_CHECK_OK(co_await request(until));
    auto answer = co_await there_.keep_alive(lease);
    CO_CHECK_OK(co_await answered(until));
    co_return answer;
  }
  Task<Result<>> revoke_lease(LeaseId lease, Until until) override {
    CO_CHECK_OK(co_await request(until));
    auto answer = co_await there_.revoke_lease(lease);
    CO_CHECK_OK(co_await answered(until));
    co_return answer;
  }
  /// Waits for what is late, and leaves the coordinator open.
  Task<Result<>> close() override {
    co_await late_.drain();
    co_return Result<>();
  }

 private:
  class RemoteWatch final : public Watch {
   public:
    RemoteWatch(RemoteCoordinator& from, std::unique_ptr<Watch> there) : from_(from), there_(std::move(there)) {}
    Task<Result<std::vector<WatchEvent>>> next(Until until) override {
      CO_CHECK_OK(co_await from_.pass_time(from_.below(from_.weather.answer_delay_max), until));
      while (!from_.reachable) CO_CHECK_OK(co_await from_.pass_time(std::chrono::milliseconds(50), until));
      co_return co_await there_->next(until);
    }

   private:
    RemoteCoordinator& from_;
    std::unique_ptr<Watch> there_;
  };

  static Task<> commit_late(RemoteCoordinator& self, Transaction transaction, Duration delay) {
    co_await self.reactor_.sleep_for(delay);
    const auto answer = co_await self.there_.commit(transaction);
    if (answer) self.truth_.note(transaction, *answer);
  }

  Duration below(Duration bound) {
    return Duration(world_.random_below(static_cast<std::uint64_t>(bound.count()) + 1));
  }
  Task<Result<>> pass_time(Duration time, Until until) {
    const Instant at = reactor_.now() + time;
    Event never(reactor_);
    const auto ended = co_await never.wait(until.no_later_than(at));
    if (ended.error() == Code::kCancelled) co_return ended;
    if (reactor_.now() < at) co_return fail(Code::kDeadlineExceeded);
    co_return Result<>();
  }
  Task<Result<>> request(Until until) {
    if (reachable) CO_CHECK_OK(co_await pass_time(below(weather.request_delay_max), until));
    if (reachable) co_return Result<>();
    CO_CHECK_OK(co_await pass_time(std::chrono::milliseconds(20), until));
    co_return fail(Code::kUnreachable);
  }
  Task<Result<>> answered(Until until) {
    if (world_.chance(weather.loss_percent, 100)) co_return fail(Code::kUnreachable);
    CO_CHECK_OK(co_await pass_time(below(weather.answer_delay_max), until));
    if (!reachable) co_return fail(Code::kUnreachable);
    co_return Result<>();
  }

  SimWorld& world_;
  Reactor& reactor_;
  Coordinator& there_;
  Truth& truth_;
  Scope late_;
};

}  // namespace cenote::cluster::membership_sim
