#pragma once

#include "cenote/cluster/election.h"

namespace cenote::engine {

/// The coordinator as one leader uses it: its transactions take effect only while it leads, whatever it believes
/// itself. Reads are as they are.
class FencedCoordinator final : public cluster::Coordinator {
 public:
  /// Outlived by `coordinator`. `post` is the key of the election that `leader` won.
  FencedCoordinator(cluster::Coordinator& coordinator, std::string post, cluster::Revision leader)
      : coordinator_(coordinator), post_(std::move(post)), leader_(leader) {}

  Task<Result<std::optional<cluster::KeyValue>>> get(std::string key, Until until = {}) override {
    return coordinator_.get(std::move(key), until);
  }
  Task<Result<std::vector<cluster::KeyValue>>> range(std::string prefix, std::string after, std::size_t limit,
                                                     Until until = {}) override {
    return coordinator_.range(std::move(prefix), std::move(after), limit, until);
  }
  /// kNotReady, besides what others say: it leads no longer.
  Task<Result<cluster::Revision>> commit(cluster::Transaction transaction, Until until = {}) override {
    transaction.require(post_, leader_);
    auto done = co_await coordinator_.commit(std::move(transaction), until);
    if (done || !(done.error() == Code::kConditionFailed)) co_return done;
    CO_TRY(const auto post, co_await coordinator_.get(post_, until));
    if (post && post->modified == leader_) co_return done;
    co_return fail(Code::kNotReady, "this engine does not lead the control service any more: try again");
  }
  Task<Result<cluster::Revision>> revision(Until until = {}) override { return coordinator_.revision(until); }
  Result<std::unique_ptr<cluster::Watch>> watch(std::string prefix, cluster::Revision after) override {
    return coordinator_.watch(std::move(prefix), after);
  }
  Task<Result<cluster::Lease>> grant_lease(Duration ttl, Until until = {}) override {
    return coordinator_.grant_lease(ttl, until);
  }
  Task<Result<cluster::Lease>> keep_alive(cluster::LeaseId lease, Until until = {}) override {
    return coordinator_.keep_alive(lease, until);
  }
  Task<Result<>> revoke_lease(cluster::LeaseId lease, Until until = {}) override {
    return coordinator_.revoke_lease(lease, until);
  }
  /// Leaves the coordinator open.
  Task<Result<>> close() override { co_return Result<>(); }

 private:
  cluster::Coordinator& coordinator_;
  std::string post_;
  cluster::Revision leader_;
};

}  // namespace cenote::engine
