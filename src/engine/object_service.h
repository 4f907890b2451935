#pragma once

#include <span>

#include "cenote/base/log.h"
#include "cenote/protocol/object_class.h"
#include "cenote/protocol/object_id.h"
#include "cenote/protocol/transaction_requests.h"
#include "cenote/rpc/service.h"
#include "client_gate.h"
#include "container_cache.h"
#include "engine_services.h"
#include "op_metrics.h"
#include "replication/target_groups.h"
#include "target.h"

namespace cenote::engine {

/// The targets of an engine by index, and what each is in redundancy groups.
struct ServedTargets {
  std::span<Target* const> targets;
  std::span<TargetGroups* const> groups;
};

/// Answers the requests that arrive at one data reactor: steers each to its target, which may be of another reactor.
///
/// Invariants: nothing of a connection (request, session, payload buffer) is touched on another reactor but the bytes
/// that the handler keeps until the answer is back; nothing of a target is touched but through `call_on`, its held
/// fetches excepted.
class ObjectService final : public rpc::Service {
 public:
  /// All of them outlive it; `containers` and `clients` are of the same reactor.
  ObjectService(Reactor& reactor, EngineServices& services, ServedTargets targets, ContainerCache& containers,
                ClientGate& clients, OpMetrics& metrics, Logger logger);

  Task<rpc::Response> handle(rpc::Request& request) override;
  bool is_read(rpc::Opcode opcode) const override;

 private:
  /// Nothing is read without a valid lease, and nothing answered.
  Task<rpc::Response> serve_under_lease(rpc::Request& request);
  /// The system is stopped.
  static Task<rpc::Response> refuse_stopped();
  /// kNotReady: the version of the pool's map that the request was served by has ended meanwhile.
  static Result<> check_unbroken(const rpc::Request& request);
  Task<rpc::Response> dispatch(rpc::Request& request);
  // One file each, in ops/.
  Task<rpc::Response> update(rpc::Request& request);
  Task<rpc::Response> fetch(rpc::Request& request);
  Task<rpc::Response> punch(rpc::Request& request);
  Task<rpc::Response> list(rpc::Request& request);
  Task<rpc::Response> query(rpc::Request& request);
  Task<rpc::Response> leased_fetch(rpc::Request& request);
  Task<rpc::Response> leased_query(rpc::Request& request);
  Task<rpc::Response> renew_leases(rpc::Request& request);
  Task<rpc::Response> begin(rpc::Request& request);
  Task<rpc::Response> commit(rpc::Request& request);
  Task<rpc::Response> admin(rpc::Request& request);
  Task<rpc::Response> oid_range(rpc::Request& request);
  Task<rpc::Response> pool_view(rpc::Request& request);
  Task<rpc::Response> targets(rpc::Request& request);
  Task<rpc::Response> entries(rpc::Request& request);
  Task<rpc::Response> rebuild(rpc::Request& request);
  Task<rpc::Response> unknown(rpc::Request& request);

  Task<Result<UpdateReply>> run_update(rpc::Request& request, OpTimer& timer);
  Task<Result<HeldFetch*>> run_fetch(rpc::Request& request);
  /// Of what is checked and routed.
  Task<Result<HeldFetch*>> fetch_at(Target& target, const FetchRequest& fetch, Instant deadline);
  struct LeasedFetch;
  Task<Result<LeasedFetch>> run_leased_fetch(rpc::Request& request);
  Task<Result<UpdateReply>> run_punch(rpc::Request& request);
  Task<Result<ListReply>> run_list(rpc::Request& request);
  Task<Result<QueryReply>> run_query(rpc::Request& request);
  Task<Result<LeasedQueryReply>> run_leased_query(rpc::Request& request);
  Task<Result<RenewLeasesReply>> run_renew_leases(rpc::Request& request);
  LeaseClient lease_client(const rpc::Request& request) const;
  /// Whether the target may give leases of it: it leads it, of a container that has them.
  bool gives_leases(const Target& target, const RoutedContainer& container, const ObjectId& object,
                    ByteView dkey) const;
  /// Until when a lease that is given now may last at most: another engine may lead when the own lease is over.
  Instant leases_end() const { return lease_ == nullptr ? kNoDeadline : lease_->until(); }
  Task<Result<BeginReply>> run_begin(rpc::Request& request);
  Task<Result<UpdateReply>> run_commit(rpc::Request& request, OpTimer& timer);
  Task<Result<std::string>> run_admin(rpc::Request& request);
  Task<Result<OidLease>> run_oid_range(rpc::Request& request);
  Task<Result<PoolView>> run_pool_view(rpc::Request& request);
  Task<Result<Bytes>> run_targets(rpc::Request& request);
  Task<Result<Bytes>> run_entries(rpc::Request& request);
  Task<Result<Bytes>> run_prepare(rpc::Request& request, Target& target);
  Task<Result<Bytes>> run_decide(rpc::Request& request, Target& target);
  Task<Result<Bytes>> run_settle(rpc::Request& request, Target& target);
  Task<Result<Bytes>> run_ask(rpc::Request& request, Target& target);
  Task<Result<Bytes>> run_rebuild(rpc::Request& request, Bytes& page);
  Task<> suspect(Target& target, Uuid container, object::EntryPlace place);
  Task<Result<Bytes>> run_read_history(rpc::Request& request, Target& target, Bytes& page);
  Task<Result<Bytes>> run_read_entry(rpc::Request& request, Target& target, Bytes& page);
  Task<Result<Bytes>> run_read_results(rpc::Request& request, Target& target, Bytes& page);
  Task<Result<Bytes>> run_await_settled(rpc::Request& request, Target& target);
  /// Carries out a change at all members of the groups that it touches, of which `target` leads the first.
  Task<Result<UpdateReply>> lead(rpc::Request& request, Target& target, RoutedContainer container, CommitRequest change,
                                 const media::Buffer& payload);
  /// Returns when nothing that is undecided is in the way of a request at this target; the caller keeps the request.
  template <typename Request>
  Task<Result<>> settle_before(Target& target, const Request& request, Instant deadline) {
    co_return co_await call_on(reactor_, target.reactor(),
                               [&] { return groups_of(target).member.settle_before(request, Until::at(deadline)); });
  }
  /// For a request whose memory is spent: the same, and the error that makes its client send it again.
  template <typename Request>
  Task<Error> busy_until_settled(Target& target, const Request& request, Instant deadline) {
    auto settled = co_await settle_before(target, request, deadline);
    if (!settled) co_return std::move(settled).error();
    co_return Error(Code::kBusy, "an earlier change of the same was not decided: try again");
  }
  /// For messages between members, which count in one version of the map only: kStaleMap in any other.
  Task<Result<RoutedContainer>> route(rpc::Request& request, Uuid container);
  TargetGroups& groups_of(const Target& target) const { return *groups_[target.index()]; }

  /// The target that the header names: kInvalidArgument for one that is not there.
  Result<Target*> steer(const rpc::Request& request) const;
  /// What `containers_` does not have: waits until it may be served, until the request's deadline.
  Task<Result<const RoutedContainer*>> look_up(rpc::Request& request, Uuid container);
  /// kStaleMap when the request was made for another version of the pool's map.
  /// From here on it is answered only if that version is served until then.
  static Result<> check_version(rpc::Request& request, const RoutedContainer& container);
  /// kInvalidArgument when the dkey's home is another target: what was stored here would never be found.
  Result<> check_home(const Target& target, const RoutedContainer& container, const ObjectId& object,
                      ByteView dkey) const;
  Result<> check_home(const Target& target, const RoutedContainer& container, const CommitRequest& commit) const;
  /// The version of the map that the request was checked by; nullptr: of a pool that has none.
  static const PoolServing* serving_of(const rpc::Request& request) {
    return static_cast<const PoolServing*>(request.kept().get());
  }
  /// On the target's reactor: what changes data without an entry, under that version. Whoever has a lease of it was
  /// asked before. kStaleMap: the target works on another version by now.
  template <typename Change, typename MakeTask>
  Task<Result<UpdateReply>> fenced(Target& target, const PoolServing* serving, bool leased, const Change& change,
                                   Instant deadline, MakeTask& make_task) {
    if (leased) return run_leased(target, serving, change, deadline, make_task);
    return serving == nullptr ? make_task() : run_fenced(groups_of(target).member, *serving, make_task);
  }
  template <typename MakeTask>
  static Task<Result<UpdateReply>> run_fenced(GroupMember& member, const PoolServing& serving, MakeTask& make_task) {
    CO_TRY(const VersionFence::Pass pass, member.enter(serving.pool(), serving.version()));
    co_return co_await make_task();
  }
  template <typename Change, typename MakeTask>
  Task<Result<UpdateReply>> run_leased(Target& target, const PoolServing* serving, const Change& change,
                                       Instant deadline, MakeTask& make_task) {
    LeaseTable::Change entered(groups_of(target).leases, change);
    CO_CHECK_OK(co_await entered.enter(change.id.session, Until{deadline, &target.cancel_source()}));
    if (serving != nullptr) co_return co_await run_fenced(groups_of(target).member, *serving, make_task);
    co_return co_await make_task();
  }
  /// kInvalidArgument unless the target has all that belongs to the dkey.
  Result<> check_reader(const Target& target, const RoutedContainer& container, const ObjectId& object,
                        ByteView dkey) const;
  /// What a target may show of all that it holds: where data has moved it may have parts of what is elsewhere by now,
  /// or not yet here. Empty: all of it.
  object::HistoryFilter shown_at(const Target& target, const RoutedContainer& container) const;
  bool is(const Target& target, const cluster::PoolLayout& layout, cluster::TargetId id) const;
  /// A buffer goes back to the pool of the connection's reactor, and its registration counts there only: another
  /// reactor gets a view of its memory, which `keeper` holds until the request has ended.
  static media::Buffer lend(media::Buffer& keeper, bool same_reactor) {
    return same_reactor ? std::move(keeper) : media::Buffer::borrow(keeper.span());
  }
  /// The moment at which the request's expiry passes, for waits of this process.
  Instant deadline(const rpc::Request& request) const;
  /// Identity of the request for the durable table of results.
  static RequestId request_id(const rpc::Request& request);
  /// The reply of a failed request; its message goes to the client. What is the engine's own trouble (media, damage) is
  /// logged here, once.
  rpc::Response failed(const rpc::Request& request, OpTimer& timer, Error error) const;
  static rpc::Response succeeded(ByteView body);
  template <typename Reply>
  rpc::Response answered(const Reply& reply) {
    encoded_.clear();
    encode(reply, encoded_);
    return succeeded(encoded_);
  }

  Reactor& reactor_;
  EngineServices& services_;
  const ServingLease* const lease_;
  std::span<Target* const> targets_;
  std::span<TargetGroups* const> groups_;
  OpMetrics& metrics_;
  Logger logger_;
  ContainerCache& containers_;
  ClientGate& clients_;
  Bytes encoded_;  // memory for `answered`
};

}  // namespace cenote::engine
