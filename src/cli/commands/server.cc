#include <sys/eventfd.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

#include "attendant.h"
#include "cenote/base/format.h"
#include "cenote/base/log.h"
#include "cenote/base/metrics.h"
#include "cenote/engine/engine.h"
#include "cenote/etcd/member_manager.h"
#include "context.h"
#include "etcd_process.h"
#include "etcd_source.h"
#include "member_addresses.h"
#include "open_files.h"
#include "server_options.h"
#include "setting_flags.h"
#include "shared_coordinator.h"
#include "stop_signals.h"

namespace cenote::cli {
namespace {

struct Arguments {
  SettingFlags flags;
  bool overwrite = false;
};

void announce(const Context& context, const engine::Engine& engine, const std::string& data, Duration start) {
  const std::string address = engine.addresses().front().to_string();
  const std::string& control = engine.control_address();
  const std::size_t targets = engine.identity().targets.size();
  const double seconds = std::chrono::duration<double>(start).count();
  context.out.line(fmt::format("cenote is ready at {} (control {}), {} target{} in {}, started in {:.3f} s", address,
                               control.empty() ? "none" : "http://" + control, targets, targets == 1 ? "" : "s", data,
                               seconds));
  context.out.event({{"address", address},
                     {"control_address", control},
                     {"data", data},
                     {"targets", targets},
                     {"start_seconds", seconds}});
}

/// An event that any thread can bring about, and that the one that waits for signals waits for, too.
class RestartWish {
 public:
  RestartWish() : event_(::eventfd(0, EFD_CLOEXEC)) {}
  RestartWish(const RestartWish&) = delete;
  RestartWish& operator=(const RestartWish&) = delete;
  ~RestartWish() { ::close(event_); }
  void raise() const { static_cast<void>(::eventfd_write(event_, 1)); }
  int descriptor() const { return event_; }

 private:
  int event_;
};

/// Waits for the wish to stop. False: for the one to start again.
bool wait_for_stop(StopSignals& signals, const RestartWish& restart) {
  for (;;) {
    const auto woken = signals.wait_for(std::chrono::hours(1), restart.descriptor());
    if (woken != StopSignals::Woken::kTime) return woken == StopSignals::Woken::kSignal;
  }
}

/// The program begins anew, as it was called, as the same process.
Error start_again(const Context& context) {
  std::vector<char*> arguments;
  for (const std::string& argument : context.arguments) arguments.push_back(const_cast<char*>(argument.c_str()));
  arguments.push_back(nullptr);
  ::execv("/proc/self/exe", arguments.data());
  return Error(Code::kIoError, fmt::format("cannot start again ({}): start it by hand", std::strerror(errno)));
}

constexpr Duration kLeastEtcdPatience = std::chrono::seconds(5);

Result<Duration> etcd_patience(const Settings& settings) {
  TRY(const Duration patience, settings.duration("server.etcd-patience"));
  // A new member takes a moment to come.
  if (patience >= kLeastEtcdPatience) return patience;
  return fail(settings.wrong("server.etcd-patience", "it is at least 5s: a new member takes a moment to start"));
}

Result<std::unique_ptr<etcd::MemberManager>> manage_members(const Settings& settings, const CoordinatorChoice& choice,
                                                            Uuid engine, Logger logger) {
  TRY(const MemberAddresses addresses, member_addresses(settings));
  TRY(const Duration patience, etcd_patience(settings));
  return etcd::MemberManager::start(
      {.data_directory = settings.text("server.data"),
       .coordinator = choice.options,
       .endpoints = choice.endpoints,
       .engine = engine,
       .client_url = addresses.client_url,
       .peer_url = addresses.peer_url,
       .patience = patience,
       .can_run = [program = settings.text("server.etcd")] { return find_program(program).has_value(); },
       .changed = [] { Attendant::note_members_changed(); }},
      std::move(logger));
}

Result<> note_moved(const std::string& data) {
  TRY(auto joined, etcd::load_joined(data));
  ASSERT(joined.has_value());
  joined->moving = false;
  return etcd::save_joined(data, *joined);
}

constexpr Duration kMovePatience = std::chrono::minutes(5), kMovePause = std::chrono::seconds(1);

/// What an etcd that is slow for a while says.
bool is_passing(const Error& error) {
  return error == Code::kUnreachable || error == Code::kDeadlineExceeded || error == Code::kOutcomeUnknown ||
         error == Code::kConnectionLost || error == Code::kNotReady;
}

/// Nothing of a start but the coordinator has a deadline. What it did not answer in time the next start does anew.
Error of_start(const Error& error) {
  if (!(error == Code::kDeadlineExceeded) && !(error == Code::kOutcomeUnknown)) return error;
  return Error(
      Code::kUnreachable,
      fmt::format("the coordinator is too slow: see what it is busy with, and start again ({})", error.message()));
}

/// True: it is to be started again.
Result<bool> run_engine(Context& context, engine::EngineOptions options, const Logger& logger, StopSignals& signals) {
  const Settings& settings = context.settings;
  TRY(const auto choice, coordinator_of(settings));
  std::optional<EtcdSource> source;
  if (choice) {
    options.coordinator = &source.emplace(*choice, [&signals] { return signals.wait_for(Duration::zero()); });
    options.move_control_state = choice->moving;
  }
  const RestartWish restart;
  SharedCoordinator sharing(settings, choice, [&restart] { restart.raise(); }, logger.named("join"));
  options.sharing = &sharing;
  const std::string data = options.data_directory;
  MetricRegistry metrics;
  const auto begun = std::chrono::steady_clock::now();
  auto engine = engine::Engine::start(options, metrics, logger);
  // Its own coordinator is not used any more, so it can only go on.
  for (auto give_up = begun + kMovePatience; choice && choice->moving && !engine && is_passing(engine.error());) {
    if (std::chrono::steady_clock::now() >= give_up) break;
    logger.warn("the control state is not moved yet", {{"error", engine.error()}});
    if (signals.wait_for(kMovePause)) return false;
    engine = engine::Engine::start(options, metrics, logger);
  }
  options.encryption_key.reset();
  // Only where it was asked to while it waited for others.
  if (!engine && engine.error() == Code::kStopped) return false;
  if (!engine) return fail(in_terms_of_settings(settings, choice ? of_start(engine.error()) : engine.error()));
  if (choice && choice->moving) CHECK_OK(note_moved(data));
  Attendant::note_ready();
  std::unique_ptr<etcd::MemberManager> members;
  if (choice && choice->managed) {
    TRY(members, manage_members(settings, *choice, (*engine)->identity().engine, logger.named("members")));
  }
  announce(context, **engine, data, std::chrono::steady_clock::now() - begun);
  const bool stop = wait_for_stop(signals, restart);
  if (stop) signals.let_the_next_one_kill();
  members.reset();
  CHECK_OK((*engine)->stop());
  return !stop;
}

Result<bool> serve_with_logs(Context& context, engine::EngineOptions options, const LogOptions& logs,
                             StopSignals& signals) {
  TRY(const auto output, LogOutput::open(logs));
  const Logger logger(*output, "engine");
  if (const std::uint64_t limit = raise_open_files_limit(); limit < kOpenFilesLeast) {
    logger.warn(
        "few open files are allowed, and each client takes one: raise 'ulimit -n', or LimitNOFILE= of the service",
        {{"limit", limit}, {"least", kOpenFilesLeast}});
  }
  return run_engine(context, std::move(options), logger, signals);
}

Result<> serve(Context& context, const Arguments& arguments) {
  arguments.flags.apply(context.settings);
  TRY(engine::EngineOptions options, engine_options(context.settings));
  // Also of the first engine, which others may join later.
  CHECK_OK(etcd_patience(context.settings));
  CHECK_OK(coordinator_of(context.settings));
  StopSignals signals;
  const auto joined = join_system(context.settings, signals);
  // Nothing has begun that would have to be stopped.
  if (!joined && joined.error() == Code::kStopped) return {};
  CHECK_OK(joined);
  TRY(options.process, Attendant::divide(context.settings));
  options.overwrite_devices = arguments.overwrite;
  TRY(const LogOptions logs, log_options(context.settings));
  TRY(const bool again, serve_with_logs(context, std::move(options), logs, signals));
  if (again) return fail(start_again(context));
  return {};
}

}  // namespace

void add_server(CLI::App& app, Context& context) {
  const auto arguments = std::make_shared<Arguments>();
  CLI::App* server = add_verb(
      app, "server", "Run an engine; SIGTERM or Ctrl-C stops it cleanly",
      "  cenote server --data /var/lib/cenote\n"
      "  cenote server --data ./data --targets 2 --target-size 10GiB\n"
      "  cenote server --data ./data --devices /dev/nvme0n1,/dev/nvme1n1\n"
      "  cenote server --data ./data --devices /dev/sda --wal-devices /dev/nvme0n1\n"
      "  cenote server --data ./data2 --listen 127.0.0.2 --join 127.0.0.1      # one engine of several\n"
      "  cenote server --data ./data1 --coordinator http://127.0.0.1:2379    # the same with an etcd of yours\n"
      "Every flag has a setting in the configuration file, too: see 'cenote config show'.");
  arguments->flags.add_section(*server, "server.");
  server->add_flag("--overwrite", arguments->overwrite, "use devices although they hold other data, which is lost");
  server->callback([=, &context] { context.action = [=, &context] { return serve(context, *arguments); }; });
}

}  // namespace cenote::cli
