#include "shared_control.h"

#include <algorithm>

#include "cenote/base/format.h"
#include "cenote/cluster/pool_redundancy.h"
#include "control_records.h"

namespace cenote::engine {
namespace {

/// Where others find what listens at `address`. `advertised` was checked with the options.
std::string address_for_others(const rpc::Address& address, const std::string& advertised, bool with_port) {
  if (advertised.empty()) return address.to_string();
  rpc::Address told = *rpc::Address::parse(advertised, address.port);
  if (!with_port) told.port = address.port;
  return told.to_string();
}

}  // namespace

SharedControl::SharedControl(EngineHost& host, cluster::Coordinator& coordinator, ControlCopy& copy,
                             ServingLease& lease, TrustedClock& clock, SystemView& system, EngineLink& targets,
                             LayoutFollower& follower, Options options, Logger logger)
    : host_(host),
      coordinator_(coordinator),
      lease_(lease),
      clock_(clock),
      system_(system),
      targets_(targets),
      options_(std::move(options)),
      logger_(std::move(logger)),
      pools_(host.control(), coordinator, follower, copy, logger_),
      lease_changed_(host.control()) {}

SharedControl::~SharedControl() {
  ASSERT(clocks_ == nullptr && member_ == nullptr && supervisor_ == nullptr && leader_ == nullptr && link_ == nullptr);
}

Task<Result<>> SharedControl::claim_place() {
  const auto targets = static_cast<std::uint32_t>(options_.identity.targets.size());
  CO_TRY(place_, co_await cluster::claim_place(coordinator_, options_.identity.engine, targets, soon()));
  pools_.set_rank(place_.rank);
  co_return Result<>();
}

void SharedControl::make_member(std::vector<std::string> addresses, std::string control_address) {
  Reactor& reactor = host_.control();
  if (options_.process.is_null()) {
    const std::uint64_t high = reactor.random();
    options_.process = Uuid::from_random(high, reactor.random());
  }
  member_ = std::make_unique<cluster::Member>(
      reactor, coordinator_, pools_,
      cluster::MemberOptions{.rank = place_.rank,
                             .engine = options_.identity.engine,
                             .process = options_.process,
                             .addresses = std::move(addresses),
                             .control_address = std::move(control_address),
                             .fault_domain = options_.fault_domain,
                             .lease_ttl = options_.lease_ttl,
                             .call_timeout = options_.call_timeout,
                             .drift_margin = options_.drift_margin,
                             .may_register = [this] { return clocks_->verdict(); },
                             .report = [this](const Error& error) { on_trouble(error); },
                             .on_lease = [this] { on_lease(); },
                             .on_stop = [this] { on_stop(); }});
}

void SharedControl::make_supervisor() {
  supervisor_ = std::make_unique<cluster::Supervisor>(
      host_.control(), coordinator_,
      cluster::SupervisorOptions{.name = cluster::candidate_name(place_.rank, options_.process),
                                 .lease_ttl = options_.lease_ttl,
                                 .call_timeout = options_.call_timeout,
                                 .drift_margin = options_.drift_margin,
                                 .wall_now = [this] { return clock_.latest(host_.control()); },
                                 .may_lead = [this] { return clocks_->verdict(); },
                                 .report =
                                     [this](const Error& error) {
                                       // That is told by whoever finds it out.
                                       if (!(error == Code::kClockOff)) logger_.warn("supervisor", {{"error", error}});
                                     },
                                 .on_suspicion =
                                     [this](cluster::Rank rank, const std::string& why) {
                                       logger_.warn("an engine may be gone", {{"rank", rank}, {"why", why}});
                                     }});
}

Task<Result<>> SharedControl::join(std::vector<rpc::Address> addresses, std::string control_address) {
  Reactor& reactor = host_.control();
  LeaderRecord self{.rank = place_.rank, .addresses = {}};
  for (const rpc::Address& address : addresses)
    self.addresses.push_back(address_for_others(address, options_.advertise_address, true));
  if (const auto own = rpc::Address::parse(control_address); own)
    control_address = address_for_others(*own, options_.advertise_address, false);
  addresses_ = self.addresses;
  transport_ = host_.outgoing();
  clocks_ = std::make_unique<ClockWatch>(reactor, *transport_, coordinator_, clock_,
                                         ClockWatch::Options{.system = options_.identity.system,
                                                             .engine = options_.identity.engine,
                                                             .own = place_.rank,
                                                             .on_change = [this] { on_clock(); }},
                                         logger_);
  CO_CHECK_OK(co_await clocks_->look());
  make_member(self.addresses, std::move(control_address));
  const auto reach = [this](LeaderTerm& term, std::vector<cluster::ListedEngine> engines) {
    const LeaderTargets::Options wanted{
        .system = options_.identity.system,
        .engine = options_.identity.engine,
        .own = place_.rank,
        .on_suspicion = [this](cluster::Rank rank, const std::string& why) { supervisor_->suspect(rank, why); }};
    return std::make_unique<LeaderTargets>(host_.control(), *transport_, term, targets_, std::move(engines), wanted);
  };
  leader_ = std::make_unique<ControlLeader>(
      reactor, coordinator_, *member_, system_,
      ControlLeader::Options{.self = encode(self), .targets = reach, .returns = options_.returns}, logger_);
  link_ = std::make_unique<LeaderLink>(
      reactor, coordinator_, *transport_,
      LeaderLink::Options{.system = options_.identity.system, .engine = options_.identity.engine}, logger_);
  member_->start();
  clocks_->start();
  // An earlier process of this engine that was killed has a lease for a while.
  const Instant patience = reactor.now() + options_.lease_ttl + options_.drift_margin + 2 * options_.call_timeout;
  while (!member_->may_serve()) {
    if (!co_await lease_changed_.wait(Until::at(patience))) co_return fail(co_await why_not_registered());
  }
  make_supervisor();
  supervisor_->start();
  leader_->start();
  link_->start();
  logger_.info("registered with the coordinator",
               {{"rank", place_.rank}, {"incarnation", member_->incarnation()}, {"first_target", place_.first_target}});
  co_return Result<>();
}

// Only a registration from elsewhere tells of a copy; one from here is that of a process which died, whose lease has
// not ended, or has ended unseen while the coordinator was away.
Task<Error> SharedControl::why_not_registered() {
  if (trouble_ && !(*trouble_ == Code::kBusy)) co_return trouble_->with_context("registering with the coordinator");
  const auto listed = co_await cluster::list_engines(coordinator_, soon());
  const cluster::ListedEngine* const seen =
      listed && place_.rank.value() < listed->size() ? &(*listed)[place_.rank.value()] : nullptr;
  if (seen == nullptr || !seen->up || seen->addresses.empty() || seen->addresses == addresses_) {
    co_return Error(Code::kBusy, fmt::format("engine {} (rank {}) did not get its registration in time: an earlier "
                                             "process of it had not been seen to end; start it again",
                                             options_.identity.engine.to_string(), place_.rank.value()));
  }
  co_return Error(
      Code::kLocked,
      fmt::format("engine {} (rank {}) runs already, at {}: two directories with one identity must never run "
                  "at once; stop that one, and remove the copy",
                  options_.identity.engine.to_string(), place_.rank.value(), seen->addresses.front()));
}

Task<> SharedControl::stop() {
  if (clocks_ != nullptr) co_await clocks_->stop();
  if (link_ != nullptr) co_await link_->stop();
  if (leader_ != nullptr) co_await leader_->stop();
  // Both together, where the coordinator is away: what is not said ends with the lease.
  const Until until = soon();
  if (supervisor_ != nullptr) co_await supervisor_->stop(until);
  pools_.stop();
  if (member_ != nullptr) co_await member_->stop(until);
  co_await pools_.end();
  link_.reset();
  leader_.reset();
  supervisor_.reset();
  member_.reset();
  clocks_.reset();
  transport_.reset();
}

void SharedControl::on_lease() {
  lease_.set(member_->valid_until());
  if (leader_ != nullptr) leader_->on_lease();
  if (member_->may_serve()) trouble_.reset();
  lease_changed_.notify_all();
}

void SharedControl::on_stop() {
  if (member_->stopped()) {
    logger_.warn("the system is stopped: nothing is served until 'cenote system start'", {{"rank", place_.rank}});
  } else {
    logger_.info("the system goes on", {{"rank", place_.rank}});
  }
}

void SharedControl::on_clock() {
  lease_.set_clock_off(!clocks_->verdict());
  member_->reconsider();
  if (supervisor_ != nullptr) supervisor_->reconsider();
}

void SharedControl::on_trouble(const Error& error) {
  trouble_ = error;
  if (!(error == Code::kClockOff)) logger_.warn("membership", {{"error", error}});
}

Task<Result<std::string>> SharedControl::admin(AdminRequest request, Until until) {
  if (link_ == nullptr) co_return fail(Code::kNotReady, "the engine is starting or stopping: try again");
  const bool own = link_->leader() && link_->leader()->rank == place_.rank;
  // One that another engine passed on goes no further: they might pass it on for ever.
  if (own || leader_->leads() || request.forwarded) co_return co_await leader_->handle(std::move(request), until);
  co_return co_await link_->forward(std::move(request), until);
}

Task<Result<std::vector<PoolEngine>>> SharedControl::members_of(const cluster::PoolMap& map, Until until) {
  CO_TRY(auto listed, co_await cluster::list_engines(coordinator_, until));
  std::vector<PoolEngine> members;
  for (cluster::ListedEngine& engine : listed) {
    const bool has_part =
        std::ranges::find(map.engines(), engine.place.rank, &cluster::MapEngine::rank) != map.engines().end();
    if (has_part) members.push_back({engine.place.rank.value(), std::move(engine.addresses)});
  }
  co_return members;
}

Task<Result<std::vector<std::string>>> SharedControl::addresses_of(cluster::Rank engine) {
  CO_TRY(auto listed, co_await cluster::list_engines(coordinator_, soon()));
  for (cluster::ListedEngine& found : listed)
    if (found.place.rank == engine && found.up) co_return std::move(found.addresses);
  co_return std::vector<std::string>();
}

Task<std::vector<PoolTrouble>> SharedControl::degraded_pools() {
  std::vector<PoolTrouble> degraded;
  if (member_ == nullptr) co_return degraded;
  for (const auto& [id, pool] : member_->pools()) {
    auto state = cluster::pool_state(*pool.map, pool.active, pool.redundancy, pool.suspended);
    if (state.starts_with("degraded")) degraded.push_back({.id = id, .label = {}, .state = std::move(state)});
  }
  for (PoolTrouble& pool : degraded) {
    const auto entry = co_await coordinator_.get(pool_key(pool.id), soon());
    if (!entry) break;  // the others would wait as long
    const auto record = *entry ? decode_pool(pool.id, (*entry)->value) : fail(Code::kNotFound);
    if (record) pool.label = record->label;
  }
  co_return degraded;
}

std::optional<cluster::Rank> SharedControl::leading() const {
  if (link_ == nullptr) return std::nullopt;
  // It knows of itself before it is told.
  if (leader_->leads()) return place_.rank;
  return link_->leader() ? std::optional(link_->leader()->rank) : std::nullopt;
}

Task<std::vector<EngineInfo>> SharedControl::engines() {
  auto listed = co_await cluster::list_engines(coordinator_, soon());
  const bool current = listed.has_value();
  if (current) seen_ = *std::move(listed);
  std::vector<EngineInfo> engines;
  for (const cluster::ListedEngine& engine : seen_) {
    const char* const state = !current ? kEngineUnknown : engine.up ? kEngineUp : kEngineGone;
    engines.push_back({.rank = engine.place.rank.value(),
                       .id = engine.place.engine,
                       .addresses = engine.addresses,
                       .control_address = engine.control_address,
                       .fault_domain = engine.fault_domain,
                       .state = state,
                       .first_target = engine.place.first_target,
                       .targets = engine.place.targets,
                       .leader = leading() == engine.place.rank});
  }
  co_return engines;
}

}  // namespace cenote::engine
