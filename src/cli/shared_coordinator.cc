#include "shared_coordinator.h"

#include <sys/random.h>

#include <filesystem>
#include <utility>

#include "cenote/base/format.h"
#include "cenote/cenote.hpp"
#include "cenote/engine/data_directory.h"
#include "cenote/etcd/etcd_coordinator.h"
#include "cenote/etcd/joined_system.h"
#include "cenote/etcd/membership_plan.h"
#include "cenote/runtime/uring_reactor.h"
#include "clock_check.h"
#include "member_addresses.h"

namespace cenote::cli {
namespace {

using namespace std::chrono_literals;

constexpr Duration kTrialPatience = 20s;
constexpr Duration kTrialLook = 500ms, kTrialPause = 20ms;
/// Of who joins: for an engine that does not answer at all, and for one that is making its coordinator ready.
constexpr Duration kSilencePatience = 5s;
constexpr Duration kMovePatience = 2min, kJoinPatience = 5min;
constexpr Duration kJoinPause = 250ms;

Result<std::string> draw_token() {
  std::uint64_t random[2];
  if (::getrandom(random, sizeof random, 0) != sizeof random)
    return fail(Code::kIoError, "the kernel gives no random number");
  return Uuid::from_random(random[0], random[1]).to_string();
}

Task<Result<>> see_that_it_answers(Reactor& reactor, etcd::EtcdOptions options, EtcdProcess& process, Logger logger,
                                   const std::atomic<bool>& stopping) {
  const Instant give_up = reactor.now() + kTrialPatience;
  for (;;) {
    auto opened = co_await etcd::EtcdCoordinator::open(reactor, options, logger, Until::at(reactor.now() + kTrialLook));
    if (opened) {
      co_return co_await (*opened)->close();
    }
    if (stopping) co_return fail(Code::kStopped, "the engine is stopping");
    const Error& why = opened.error();
    if (!(why == Code::kUnreachable || why == Code::kDeadlineExceeded || why == Code::kConnectionLost))
      co_return fail(why);
    if (const auto status = process.ended(); status)
      co_return failf(Code::kIoError, "etcd ends at once ({}): see what it says in the log of that server",
                      how_it_ended(*status));
    // Not as if the engine could not be reached.
    if (reactor.now() >= give_up)
      co_return failf(Code::kIoError, "etcd does not answer within {} s: {}",
                      std::chrono::duration_cast<std::chrono::seconds>(kTrialPatience).count(), why.message());
    co_await reactor.sleep_for(kTrialPause);
  }
}

}  // namespace

SharedCoordinator::SharedCoordinator(const Settings& settings, std::optional<CoordinatorChoice> choice,
                                     std::function<void()> restart, Logger logger)
    : settings_(settings), choice_(std::move(choice)), restart_(std::move(restart)), logger_(std::move(logger)) {}

SharedCoordinator::~SharedCoordinator() {
  stopping_ = true;
  if (thread_.joinable()) thread_.join();
}

engine::CoordinatorSharing::Place SharedCoordinator::where() {
  if (!choice_) return {};
  const auto& options = choice_->options;
  return {.endpoints = choice_->endpoints == nullptr ? options.endpoints : choice_->endpoints->get(),
          .root = options.root,
          .managed = choice_->managed};
}

Result<engine::CoordinatorSharing::Place> SharedCoordinator::share() {
  if (choice_) return where();
  const std::scoped_lock lock(mutex_);
  if (failure_) {
    const Error failure = *std::exchange(failure_, std::nullopt);
    return fail(failure.with_context("this engine cannot share its coordinator"));
  }
  if (state_ == State::kIdle) {
    if (thread_.joinable()) thread_.join();
    try {
      thread_ = std::thread([this] { prepare(); });
    } catch (const std::system_error&) {
      return fail(Code::kResourceExhausted, "the system allows no more threads");
    }
    state_ = State::kTrying;
  }
  return fail(Code::kNotReady, "the coordinator is being moved to where others can share it: try again");
}

void SharedCoordinator::prepare() {
  logger_.info("another engine joins: the control state will be moved to an etcd beside this one");
  auto tried = try_etcd();
  if (!tried) {
    std::error_code ignored;
    std::filesystem::remove_all(settings_.text("server.data") + "/etcd", ignored);
  }
  if (!tried) logger_.error("the coordinator cannot be shared", {{"error", tried.error()}});
  {
    const std::scoped_lock lock(mutex_);
    state_ = tried ? State::kRestarting : State::kIdle;
    if (!tried) failure_ = tried.error();
  }
  if (tried) restart_();
}

// The engine goes on meanwhile, and if anything fails.
Result<> SharedCoordinator::try_etcd() {
  TRY(const bool attended, settings_.flag("server.attendant"));
  if (!attended) return fail(settings_.wrong("server.attendant", "etcd is run by the attendant: allow one"));
  TRY(const MemberAddresses addresses, member_addresses(settings_));
  TRY(const EtcdProcessOptions process_options, etcd_process_options(settings_));
  TRY(const std::string token, draw_token());
  // The first engine of a system gets rank 0.
  etcd::OwnMember member{.name = etcd::member_name(cluster::Rank(0)),
                         .client_url = addresses.client_url,
                         .peer_url = addresses.peer_url,
                         .initial_cluster = {},
                         .token = token};
  member.initial_cluster = member.name + "=" + member.peer_url;
  const std::string data = process_options.data_directory;
  std::error_code ignored;
  std::filesystem::remove_all(data + "/etcd", ignored);
  TRY(auto process, EtcdProcess::start(process_options, member));
  etcd::EtcdOptions options{.endpoints = {addresses.client_url}, .root = settings_.text("server.coordinator-root")};
  TRY(const auto reactor, UringReactor::create({.queue_entries = 16, .spin = Duration(0)}));
  CHECK_OK(reactor->block_on(see_that_it_answers(*reactor, options, process, logger_.named("etcd"), stopping_)));
  process.stop();
  return etcd::save_joined(data, {.endpoints = {addresses.client_url},
                                  .root = options.root,
                                  .managed = true,
                                  .moving = true,
                                  .memberships = 1,
                                  .member = member});
}

namespace {

/// Where the coordinator of a system is now, as far as an engine says so at once.
Result<CoordinatorInfo> look_again(const std::string& system) {
  TRY(Client client, connect(system, {.timeout = 2s, .call_timeout = 2s, .name = "cenote-join"}));
  return client.coordinator({.timeout = 2s});
}

Error belongs_to_another(const Settings& settings, const std::string& data, const engine::Identity& identity) {
  return settings.wrong("server.join", fmt::format("data directory '{}' belongs to system '{}' ({}) already: join with "
                                                   "a new one, or leave --join out",
                                                   data, identity.name, identity.system.to_string()));
}

/// Whether the system of an engine can be joined by this one, before anything is begun there.
Result<> check_joinable(const Settings& settings, const std::string& data, const CoordinatorInfo& info) {
  const auto identity = engine::DataDirectory::read_identity(data);
  if (!identity && !(identity.error() == Code::kNotFound)) return fail(identity.error());
  // What has lost its way to its own system finds it again.
  const bool returns = identity && !identity->coordinator && identity->system == info.system;
  if (identity && !returns) return fail(belongs_to_another(settings, data, *identity));
  if (!identity) CHECK_OK(engine::DataDirectory::check_usable(data));
  // An etcd of its owner's is all there is to it.
  if (!info.endpoints.empty() && !info.managed) return {};
  CHECK_OK(member_addresses(settings));
  TRY(const bool attended, settings.flag("server.attendant"));
  if (attended) return {};
  return fail(settings.wrong("server.attendant", "engines of this system run etcd by their attendants: allow one"));
}

/// Says where the coordinator of the system is, once it is where it can be shared.
Result<CoordinatorInfo> ask_to_share(const Settings& settings, const std::string& system, const std::string& data,
                                     StopOfCalls& stop) {
  const auto begun = std::chrono::steady_clock::now();
  auto last_heard = begun;
  bool answered = false;
  for (;;) {
    Result<CoordinatorInfo> shared = fail(Code::kUnreachable);
    if (auto client = connect(system, {.timeout = 3s, .call_timeout = 3s, .name = "cenote-join"}); !client) {
      shared = fail(std::move(client).error());
    } else {
      if (!std::exchange(answered, true)) CHECK_OK(check_clock(system));
      shared = client->coordinator(stop.bounded({.timeout = 3s}));
      if (shared) {
        CHECK_OK(check_joinable(settings, data, *shared));
        shared = client->share_coordinator(stop.bounded({.timeout = 3s}));
      }
    }
    // From a machine whose clock is further off no request arrives that has not expired.
    if (!shared && shared.error() == Code::kRequestExpired) CHECK_OK(check_clock(system));
    if (stop.came()) return fail(Code::kStopped, "it was stopped before it had joined");
    if (shared) return shared;
    const Error& why = shared.error();
    const bool moving = why == Code::kNotReady || why == Code::kBusy || why == Code::kStopped;
    const bool silent = why == Code::kUnreachable || why == Code::kConnectionLost || why == Code::kDeadlineExceeded;
    const auto now = std::chrono::steady_clock::now();
    if (moving) last_heard = now;
    if (!(moving || silent) || now - begun >= kJoinPatience ||
        now - last_heard >= (answered ? kMovePatience : kSilencePatience)) {
      if (!answered && why == Code::kDeadlineExceeded) return fail(Code::kUnreachable, why.message());
      return shared;
    }
    if (stop.wait_for(kJoinPause)) return fail(Code::kStopped, "it was stopped before it had joined");
  }
}

}  // namespace

Result<> join_system(const Settings& settings, StopSignals& signals) {
  const std::string system = settings.text("server.join");
  if (system.empty()) return {};
  const std::string data = settings.text("server.data");
  TRY(auto joined, etcd::load_joined(data));
  // It knows where its system is, unless all of that has moved since.
  if (joined && (joined->moving || std::ranges::any_of(joined->endpoints, somebody_listens_at))) return {};
  if (!settings.text("server.coordinator").empty())
    return fail(settings.wrong("server.join",
                               "the system that is joined says where its coordinator is: leave "
                               "--coordinator out"));
  const auto own = engine::DataDirectory::read_identity(data);
  if (!joined && own && own->coordinator) return fail(belongs_to_another(settings, data, *own));
  StopOfCalls stop(signals);
  auto shared = joined ? look_again(system) : ask_to_share(settings, system, data, stop);
  if (!shared && shared.error() == Code::kStopped) return fail(shared.error());
  // As when all engines start anew: what it knows is right.
  if (joined && !shared) return {};
  if (!shared) return fail(shared.error().with_context(fmt::format("joining the system at {}", system)));
  if (shared->endpoints.empty()) return failf(Code::kProtocolError, "the system at {} names no coordinator", system);
  if (joined && (!own || own->system != shared->system)) return {};
  std::error_code failed;
  std::filesystem::create_directory(data, failed);
  if (failed) {
    return failf(Code::kPermissionDenied, "cannot create directory '{}' (its parent must exist and be writable): {}",
                 data, failed.message());
  }
  if (!joined) joined.emplace();
  joined->endpoints = shared->endpoints;
  joined->root = shared->root;
  joined->managed = shared->managed;
  return etcd::save_joined(data, *joined);
}

}  // namespace cenote::cli
