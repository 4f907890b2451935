#pragma once

#include "cenote/cluster/election.h"
#include "leader_term.h"

namespace cenote::engine {

/// The coordinator as one leader uses it: its transactions take effect only while it leads, whatever it believes
/// itself. Reads are as they are. What was read and written the leader's term is told. kNotReady once that is over.
class FencedCoordinator final : public cluster::Coordinator {
 public:
  /// Outlived by coordinator and term. `post` is the key of the election that `leader` won.
  FencedCoordinator(cluster::Coordinator& coordinator, std::string post, cluster::Revision leader, LeaderTerm& term)
      : coordinator_(coordinator), post_(std::move(post)), leader_(leader), term_(term) {}

  Task<Result<std::optional<cluster::KeyValue>>> get(std::string key, Until until = {}) override {
    CO_CHECK_OK(check());
    auto found = co_await coordinator_.get(std::move(key), until);
    if (found && *found) term_.note_decided((*found)->modified);
    co_return found;
  }
  Task<Result<std::vector<cluster::KeyValue>>> range(std::string prefix, std::string after, std::size_t limit,
                                                     Until until = {}) override {
    CO_CHECK_OK(check());
    auto found = co_await coordinator_.range(std::move(prefix), std::move(after), limit, until);
    if (!found) co_return found;
    for (const cluster::KeyValue& entry : *found) term_.note_decided(entry.modified);
    co_return found;
  }
  /// kNotReady, besides what others say: it leads no longer.
  Task<Result<cluster::Revision>> commit(cluster::Transaction transaction, Until until = {}) override {
    CO_CHECK_OK(check());
    transaction.require(post_, leader_);
    auto done = co_await coordinator_.commit(std::move(transaction), until);
    if (done) term_.note_decided(*done);
    if (done || !(done.error() == Code::kConditionFailed)) co_return done;
    CO_TRY(const auto post, co_await coordinator_.get(post_, until));
    if (post && post->modified == leader_) co_return done;
    co_return leads_no_longer();
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
  static std::unexpected<Error> leads_no_longer() {
    return fail(Code::kNotReady, "this engine does not lead the control service any more: try again");
  }
  Result<> check() const {
    if (term_.over()) return leads_no_longer();
    return {};
  }

  cluster::Coordinator& coordinator_;
  std::string post_;
  cluster::Revision leader_;
  LeaderTerm& term_;
};

}  // namespace cenote::engine
