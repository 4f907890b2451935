#include "cenote/etcd/member_manager.h"

#include <algorithm>
#include <filesystem>
#include <map>
#include <thread>
#include <utility>

#include "cenote/base/format.h"
#include "cenote/cluster/engine_list.h"
#include "cenote/etcd/etcd_cluster.h"
#include "cenote/etcd/etcd_coordinator.h"
#include "cenote/etcd/membership_plan.h"
#include "cenote/runtime/sync.h"
#include "cenote/runtime/thread_refused.h"
#include "cenote/runtime/uring_reactor.h"

namespace cenote::etcd {
namespace {

using namespace std::chrono_literals;

constexpr Duration kCallPatience = 3s;
/// A list of members from a member that lags behind may lack the newest one.
constexpr Duration kForgetPatience = 30s;
constexpr Duration kProbePatience = 1s;
/// Whose membership ended against its will lets others have the next one, so many times the patience.
constexpr int kBackOff = 6;

}  // namespace

struct MemberManager::Impl {
  /// From the thread that ends it.
  struct Stop final : Mail {
    explicit Stop(CancelSource& s) : source(s) {}
    void deliver() override { source.cancel(); }
    CancelSource& source;
  };

  Impl(std::unique_ptr<UringReactor> r, MemberManagerOptions o, Logger l)
      : reactor(std::move(r)), options(std::move(o)), logger(std::move(l)), stop(stopping) {}

  static Task<> run(Impl& self);
  Task<Result<>> connect();
  Task<Result<>> look();
  Task<Result<MembershipView>> view(const JoinedSystem& joined);
  Task<Result<>> act(JoinedSystem joined, const MembershipView& view, MembershipPlan plan);
  Task<Result<>> add(JoinedSystem joined);
  Result<> begin(JoinedSystem joined, const MembershipView& view);
  Result<> forget(JoinedSystem joined);
  Result<> note(JoinedSystem& joined, const MembershipView& view);
  Result<> save(const JoinedSystem& joined) { return save_joined(options.data_directory, joined); }
  Until soon() { return {reactor->now() + kCallPatience, &stopping}; }
  /// For how long something has been so: since the first time of a row of calls.
  template <typename Key>
  Duration lasting(std::map<Key, Instant>& since, const Key& key, bool is_so);

  std::unique_ptr<UringReactor> reactor;
  MemberManagerOptions options;
  Logger logger;
  CancelSource stopping;
  Stop stop;
  std::unique_ptr<EtcdCluster> cluster;
  std::unique_ptr<EtcdCoordinator> coordinator;
  Task<bool> is_silent(ClusterMember member);
  bool may_add() const { return reactor->now() >= not_before && options.can_run(); }

  std::map<std::uint32_t, Instant> gone;    // engines
  std::map<std::uint64_t, Instant> silent;  // members
  std::map<bool, Instant> not_listed;       // our own
  std::map<bool, Instant> vacant;
  Instant not_before{};
  std::string last_trouble;
  std::thread thread;
};

template <typename Key>
Duration MemberManager::Impl::lasting(std::map<Key, Instant>& since, const Key& key, bool is_so) {
  if (!is_so) {
    since.erase(key);
    return Duration(0);
  }
  return reactor->now() - since.try_emplace(key, reactor->now()).first->second;
}

Task<> MemberManager::Impl::run(Impl& self) {
  Event never(*self.reactor);
  while (!self.stopping.cancelled()) {
    Result<> looked = co_await self.connect();
    if (looked) looked = co_await self.look();
    const std::string trouble = looked ? "" : looked.error().to_string();
    // Once, not every second: who cannot reach etcd says so elsewhere, too.
    if (!trouble.empty() && trouble != self.last_trouble && !self.stopping.cancelled())
      self.logger.warn("the members of etcd are not looked after", {{"error", trouble}});
    self.last_trouble = trouble;
    static_cast<void>(co_await never.wait({self.reactor->now() + self.options.period, &self.stopping}));
  }
  if (self.cluster != nullptr) co_await self.cluster->close();
  if (self.coordinator != nullptr) static_cast<void>(co_await self.coordinator->close());
}

Task<Result<>> MemberManager::Impl::connect() {
  if (cluster == nullptr) {
    CO_TRY(cluster, EtcdCluster::open(*reactor, options.coordinator, logger));
  }
  if (coordinator == nullptr) {
    CO_TRY(coordinator, co_await EtcdCoordinator::open(*reactor, options.coordinator, logger, soon()));
  }
  co_return Result<>();
}

Task<Result<>> MemberManager::Impl::look() {
  CO_TRY(auto joined, load_joined(options.data_directory));
  if (!joined) co_return failf(Code::kNotFound, "'{}' has joined no system any more", options.data_directory);
  CO_TRY(const MembershipView seen, co_await view(*joined));
  CO_CHECK_OK(note(*joined, seen));
  co_return co_await act(*std::move(joined), seen, plan_membership(seen));
}

Task<Result<MembershipView>> MemberManager::Impl::view(const JoinedSystem& joined) {
  MembershipView view{.own = joined.member, .peer_url = options.peer_url, .patience = options.patience};
  view.own_data_lost = joined.member && has_lost_data(options.data_directory, *joined.member);
  CO_TRY(auto members, co_await cluster->members(soon()));
  for (ClusterMember& member : members) {
    const bool is_quiet = co_await is_silent(member);
    const Duration since = lasting(silent, member.id, is_quiet);
    view.members.push_back({.member = std::move(member), .silent = since});
  }
  // Its data belongs to where it was: one that runs elsewhere may be a copy, and there may be another one.
  if (joined.member && joined.member->runs() && joined.member->client_url != options.client_url)
    view.own_data_lost = true;
  CO_TRY(const auto engines, co_await cluster::list_engines(*coordinator, soon()));
  bool found = false;
  for (const cluster::ListedEngine& engine : engines) {
    const cluster::Rank rank = engine.place.rank;
    view.engines.push_back({.rank = rank, .up = engine.up, .gone = lasting(gone, rank.value(), !engine.up)});
    if (engine.place.engine != options.engine) continue;
    view.self = rank;
    found = true;
  }
  if (!found) co_return failf(Code::kNotReady, "engine {} has no place yet", options.engine.to_string());
  view.vacant = lasting(vacant, true, view.members.size() < wanted_members(view));
  view.may_add = may_add();
  co_return view;
}

Task<bool> MemberManager::Impl::is_silent(ClusterMember member) {
  if (member.name.empty() || member.client_urls.empty()) co_return true;
  co_return !co_await cluster->answers(member.client_urls.front(), {reactor->now() + kProbePatience, &stopping});
}

/// What the cluster says is kept, for the next start.
Result<> MemberManager::Impl::note(JoinedSystem& joined, const MembershipView& view) {
  std::vector<ClusterMember> members;
  for (const auto& m : view.members) members.push_back(m.member);
  JoinedSystem now = joined;
  if (auto endpoints = voting_endpoints(members); !endpoints.empty()) now.endpoints = std::move(endpoints);
  if (now.member && now.member->runs() && !view.own_data_lost)
    now.member->started = now.member->started || std::ranges::any_of(members, [&](const ClusterMember& member) {
                            return member.name == now.member->name;
                          });
  if (now == joined) return {};
  CHECK_OK(save(now));
  if (now.endpoints != joined.endpoints) options.endpoints->set(now.endpoints);
  joined = std::move(now);
  return {};
}

Task<Result<>> MemberManager::Impl::act(JoinedSystem joined, const MembershipView& view, MembershipPlan plan) {
  const bool unlisted = plan.step == MembershipStep::kForget;
  const Duration unlisted_for = lasting(not_listed, true, unlisted);
  switch (plan.step) {
    case MembershipStep::kNone:
      co_return Result<>();
    case MembershipStep::kAdd:
      co_return co_await add(std::move(joined));
    case MembershipStep::kStart:
      co_return begin(std::move(joined), view);
    case MembershipStep::kForget:
      if (unlisted_for < kForgetPatience) co_return Result<>();
      co_return forget(std::move(joined));
    case MembershipStep::kPromote: {
      auto promoted = co_await cluster->promote(plan.member, soon());
      // It has not caught up.
      if (!promoted && promoted.error() == Code::kConditionFailed) co_return Result<>();
      if (promoted) logger.info("the member of etcd that runs here has a vote");
      co_return promoted;
    }
    case MembershipStep::kRemove: {
      auto removed = co_await cluster->remove(plan.member, soon());
      if (removed) logger.warn("a member of etcd is put out", {{"member", fmt::format("{:x}", plan.member)}});
      if (!removed && removed.error() == Code::kNotFound) co_return Result<>();
      co_return removed;
    }
  }
  co_return Result<>();
}

/// What is wanted is written first: whoever finds the member in the cluster knows whose it is.
Task<Result<>> MemberManager::Impl::add(JoinedSystem joined) {
  if (!joined.member) {
    CO_TRY(const auto engines, co_await cluster::list_engines(*coordinator, soon()));
    const auto self = std::ranges::find(engines, options.engine, [](const auto& e) { return e.place.engine; });
    if (self == engines.end()) co_return Result<>();
    joined.member = OwnMember{.name = member_name(self->place.rank),
                              .client_url = options.client_url,
                              .peer_url = options.peer_url,
                              .number = next_membership(options.data_directory, joined)};
    joined.memberships = joined.member->number;
    CO_CHECK_OK(save(joined));
  }
  auto added = co_await cluster->add_learner(joined.member->peer_url, soon());
  // Somebody else was faster.
  if (!added && added.error() == Code::kConditionFailed) co_return Result<>();
  co_return added;
}

Result<> MemberManager::Impl::begin(JoinedSystem joined, const MembershipView& view) {
  std::vector<ClusterMember> members;
  for (const auto& m : view.members) members.push_back(m.member);
  joined.member->initial_cluster = initial_cluster_of(members, *joined.member);
  CHECK_OK(save(joined));
  logger.info("this engine runs a member of etcd from now on", {{"member", joined.member->name}});
  options.changed();
  return {};
}

Result<> MemberManager::Impl::forget(JoinedSystem joined) {
  // What it knew is the cluster's, which goes on without it.
  std::erase_if(joined.over, [this](std::uint32_t number) {
    std::error_code ignored;
    return !std::filesystem::exists(member_folder(options.data_directory, {.number = number}), ignored);
  });
  joined.over.push_back(joined.member->number);
  joined.member.reset();
  not_before = reactor->now() + kBackOff * options.patience;
  CHECK_OK(save(joined));
  logger.warn("the member of etcd that ran here was put out of the cluster");
  options.changed();
  return {};
}

Result<std::unique_ptr<MemberManager>> MemberManager::start(MemberManagerOptions options, Logger logger) {
  TRY(auto reactor, UringReactor::create({.queue_entries = 16, .spin = Duration(0)}));
  auto impl = std::make_unique<Impl>(std::move(reactor), std::move(options), std::move(logger));
  Impl& running = *impl;
  try {
    running.thread = std::thread([&running] { running.reactor->block_on(Impl::run(running)); });
  } catch (const std::system_error& refused) {
    return fail(thread_refused(refused));
  }
  return std::unique_ptr<MemberManager>(new MemberManager(std::move(impl)));
}

MemberManager::MemberManager(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}

MemberManager::~MemberManager() {
  impl_->reactor->post(impl_->stop);
  impl_->thread.join();
}

}  // namespace cenote::etcd
