#pragma once

#include <memory>
#include <utility>

#include "cenote/cluster/coordinator.h"
#include "cenote/runtime/cross_core.h"
#include "cenote/runtime/sim_reactor.h"
#include "cenote/runtime/sync.h"

namespace cenote::engine {

/// A simulated engine's way to a coordinator on another node, for one life of its software: when it is cut nothing the
/// software does has an effect any more. Keeps the contract of `Coordinator`.
class SimCoordinatorLink final : public cluster::Coordinator {
 public:
  /// Nodes and coordinator outlive it.
  SimCoordinatorLink(SimReactor& home, SimReactor& there, cluster::Coordinator& coordinator)
      : home_(home), there_(there), coordinator_(coordinator) {}

  bool reachable = true;

  Task<Result<std::optional<cluster::KeyValue>>> get(std::string key, Until until = {}) override {
    return ask<std::optional<cluster::KeyValue>>(
        [this, key = std::move(key)](Until at) { return coordinator_.get(key, at); }, until);
  }
  Task<Result<std::vector<cluster::KeyValue>>> range(std::string prefix, std::string after, std::size_t limit,
                                                     Until until = {}) override {
    return ask<std::vector<cluster::KeyValue>>([this, prefix = std::move(prefix), after = std::move(after), limit](
                                                   Until at) { return coordinator_.range(prefix, after, limit, at); },
                                               until);
  }
  Task<Result<cluster::Revision>> commit(cluster::Transaction transaction, Until until = {}) override {
    return ask<cluster::Revision>(
        [this, transaction = std::move(transaction)](Until at) { return coordinator_.commit(transaction, at); }, until,
        Code::kOutcomeUnknown);
  }
  Task<Result<cluster::Revision>> revision(Until until = {}) override {
    return ask<cluster::Revision>([this](Until at) { return coordinator_.revision(at); }, until);
  }
  Result<std::unique_ptr<cluster::Watch>> watch(std::string prefix, cluster::Revision after) override {
    TRY(auto watch, coordinator_.watch(std::move(prefix), after));
    return std::make_unique<FarWatch>(*this, std::move(watch));
  }
  Task<Result<cluster::Lease>> grant_lease(Duration ttl, Until until = {}) override {
    return ask<cluster::Lease>([this, ttl](Until at) { return coordinator_.grant_lease(ttl, at); }, until);
  }
  Task<Result<cluster::Lease>> keep_alive(cluster::LeaseId lease, Until until = {}) override {
    return ask<cluster::Lease>([this, lease](Until at) { return coordinator_.keep_alive(lease, at); }, until);
  }
  Task<Result<>> revoke_lease(cluster::LeaseId lease, Until until = {}) override {
    return ask<void>([this, lease](Until at) { return coordinator_.revoke_lease(lease, at); }, until);
  }
  /// Leaves the coordinator open.
  Task<Result<>> close() override { co_return Result<>(); }

 private:
  /// A cancellation does not cross nodes, so waits there are short.
  class FarWatch final : public cluster::Watch {
   public:
    FarWatch(SimCoordinatorLink& link, std::unique_ptr<cluster::Watch> watch) : link_(link), watch_(std::move(watch)) {}
    Task<Result<std::vector<cluster::WatchEvent>>> next(Until until) override {
      for (;;) {
        const Instant slice = std::min(until.deadline, link_.home_.now() + std::chrono::milliseconds(50));
        while (!link_.reachable) CO_CHECK_OK(co_await link_.wait(until));
        auto events = co_await call_on(link_.home_, link_.there_, [&] { return watch_->next(Until::at(slice)); });
        if (events || !(events.error() == Code::kDeadlineExceeded)) co_return events;
        if (link_.home_.now() >= until.deadline) co_return events;
        if (until.cancel != nullptr && until.cancel->cancelled()) co_return fail(Code::kCancelled);
      }
    }

   private:
    SimCoordinatorLink& link_;
    std::unique_ptr<cluster::Watch> watch_;
  };

  template <typename T, typename MakeTask>
  Task<Result<T>> ask(MakeTask make_task, Until until, Code answer_lost = Code::kUnreachable) {
    if (!reachable) {
      CO_CHECK_OK(co_await wait(until));
      co_return fail(Code::kUnreachable, "the coordinator cannot be reached");
    }
    if (until.cancel != nullptr && until.cancel->cancelled()) co_return fail(Code::kCancelled);
    Result<T> answer = co_await call_on(home_, there_, [&] { return make_task(Until::at(until.deadline)); });
    if (!reachable) co_return fail(answer_lost, "the coordinator's answer was lost");
    co_return answer;
  }
  /// A moment, unless `until` ends it.
  Task<Result<>> wait(Until until) {
    const Instant at = home_.now() + std::chrono::milliseconds(20);
    Event never(home_);
    const auto ended = co_await never.wait(until.no_later_than(at));
    if (ended.error() == Code::kCancelled || home_.now() < at) co_return ended;
    co_return Result<>();
  }

  SimReactor& home_;
  SimReactor& there_;
  cluster::Coordinator& coordinator_;
};

}  // namespace cenote::engine
