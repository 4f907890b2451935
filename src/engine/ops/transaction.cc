#include "cenote/base/format.h"
#include "cenote/cluster/pool_redundancy.h"
#include "cenote/runtime/cross_core.h"
#include "object_service.h"

namespace cenote::engine {

Task<rpc::Response> ObjectService::begin(rpc::Request& request) {
  const ClientGate::Pass pass(clients_);
  OpTimer timer(metrics_, OpKind::kBegin, reactor_);
  auto outcome = co_await run_begin(request);
  if (!outcome) co_return failed(request, timer, std::move(outcome).error());
  co_return answered(*outcome);
}

Task<Result<BeginReply>> ObjectService::run_begin(rpc::Request& request) {
  CO_TRY(Target* const target, steer(request));
  CO_TRY(const BeginRequest begin, decode_begin_request(request.body()));
  const RoutedContainer* container = containers_.find(begin.container, request.map_version());
  if (container == nullptr) {
    CO_TRY(container, co_await look_up(request, begin.container));
  }
  CO_CHECK_OK(check_version(request, *container));
  const Instant deadline = this->deadline(request);
  co_return co_await call_on(reactor_, target->reactor(),
                             [&] { return target->objects().begin(begin, Until{deadline, &target->cancel_source()}); });
}

Task<rpc::Response> ObjectService::commit(rpc::Request& request) {
  const ClientGate::Pass pass(clients_);
  OpTimer timer(metrics_, OpKind::kCommit, reactor_);
  auto outcome = co_await run_commit(request, timer);
  if (!outcome) co_return failed(request, timer, std::move(outcome).error());
  co_return answered(*outcome);
}

/// What the target answers for alone: a list of a spread object, for instance, would show only its own part.
Result<> ObjectService::check_home(const Target& target, const RoutedContainer& container,
                                   const CommitRequest& commit) const {
  const bool alone = container.layout->target_count() == 1;
  const auto check_whole = [&](const ObjectId& object) -> Result<> {
    if (alone || object.object_class() == ObjectClass::kS1) return check_home(target, container, object, {});
    return failf(Code::kUnsupported, "object {} is spread over all targets: a transaction has to stay on one",
                 object.to_string());
  };
  for (const AkeyRead& read : commit.reads) CHECK_OK(check_home(target, container, read.object, read.dkey));
  for (const ListRead& list : commit.lists) {
    if (list.request.level >= ListLevel::kAkeys) {
      CHECK_OK(check_home(target, container, list.request.object, list.request.dkey));
    } else if (list.request.level == ListLevel::kDkeys) {
      CHECK_OK(check_whole(list.request.object));
    } else if (!alone) {
      return fail(Code::kUnsupported, "objects are spread over all targets: a transaction has to stay on one");
    }
  }
  for (const QueryRead& query : commit.queries)
    CHECK_OK(query.request.dkey.empty() ? check_whole(query.request.object)
                                        : check_home(target, container, query.request.object, query.request.dkey));
  for (const PunchRequest& punch : commit.punches)
    CHECK_OK(punch.level == PunchLevel::kObject ? check_whole(punch.object)
                                                : check_home(target, container, punch.object, punch.dkey));
  for (const UpdateRequest& update : commit.updates)
    CHECK_OK(check_home(target, container, update.object, update.dkey));
  return {};
}

Task<Result<UpdateReply>> ObjectService::run_commit(rpc::Request& request, OpTimer& timer) {
  CO_TRY(Target* const target, steer(request));
  CO_TRY(CommitRequest commit, decode_commit_request(request.body()));
  commit.id = request_id(request);
  const std::uint32_t bytes = request.bulk_bytes();
  if (bytes > kMaxPayloadBytes)
    co_return failf(Code::kOutOfRange, "{} bytes of payload: one transaction carries at most {}", bytes,
                    kMaxPayloadBytes);
  const RoutedContainer* container = containers_.find(commit.container, request.map_version());
  if (container == nullptr) {
    CO_TRY(container, co_await look_up(request, commit.container));
  }
  CO_CHECK_OK(check_version(request, *container));
  CO_CHECK_OK(validate(commit));
  for (const UpdateRequest& update : commit.updates)
    CO_CHECK_OK(cluster::check_class(update.object, container->redundancy()));
  CO_TRY(const bool shared, needs_entry(commit, *container->layout, container->seed));
  const bool leased = container->leased;
  RoutedContainer routed;
  if (shared) {
    routed = *container;
    CO_TRY(const cluster::GroupKey group, leading_group(commit, container->seed));
    CO_TRY(const cluster::TargetId leader, container->layout->leader(group));
    if (!is(*target, *container->layout, leader))
      co_return failf(Code::kInvalidArgument, "target {} of engine {} does not lead the transaction", target->index(),
                      services_.rank().value());
  } else {
    CO_CHECK_OK(check_home(*target, *container, commit));
  }
  const Instant deadline = this->deadline(request);
  media::Buffer payload;
  if (bytes != 0) {
    CO_TRY(rpc::PulledBulk pulled, co_await request.pull(Until{deadline, &request.cancel_source()}));
    timer.received(pulled.bytes());
    payload = pulled.take(0);
  }
  if (shared) co_return co_await lead(request, *target, std::move(routed), std::move(commit), payload);
  const bool same_reactor = &target->reactor() == &reactor_;
  auto run = [&] {
    return target->objects().commit(commit, lend(payload, same_reactor), bytes,
                                    Until{deadline, &target->cancel_source()});
  };
  const PoolServing* const serving = serving_of(request);
  auto committed = co_await call_on(reactor_, target->reactor(),
                                    [&] { return fenced(*target, serving, leased, commit, deadline, run); });
  if (!committed && committed.error() == Code::kUndecided)
    co_return fail(co_await busy_until_settled(*target, commit, deadline));
  co_return committed;
}

}  // namespace cenote::engine
