#include "mount_program.h"

#include <sys/eventfd.h>
#include <syslog.h>
#include <unistd.h>

#include <filesystem>
#include <optional>

#include "cenote/base/format.h"
#include "cenote/base/log.h"
#include "cenote/fuse/front.h"
#include "cenote/rpc/tcp.h"
#include "daemon.h"
#include "open_files.h"
#include "stop_signals.h"

namespace cenote::cli {
namespace {

// After a stop signal: how long programs that are at work in the mount may go on with it.
constexpr Duration kGrace = std::chrono::seconds(5);
constexpr Duration kConnecting = std::chrono::seconds(5);

/// Takes the mount away when a stop signal comes, in a thread, as that may have to wait for what it mounts.
class Unmounter {
 public:
  /// All of them outlive it.
  Unmounter(UringReactor& reactor, fuse::Front& front, StopSignals& signals, const Logger& log)
      : reactor_(reactor), front_(front), signals_(signals), log_(log), over_(::eventfd(0, EFD_CLOEXEC)) {
    stop_.front = &front;
    thread_ = std::thread([this] { watch(); });
  }
  Unmounter(const Unmounter&) = delete;
  Unmounter& operator=(const Unmounter&) = delete;
  ~Unmounter() {
    static_cast<void>(::eventfd_write(over_, 1));
    thread_.join();
    ::close(over_);
  }

 private:
  struct Stop final : Mail {
    fuse::Front* front = nullptr;
    void deliver() override { front->stop(); }
  };

  bool is_over(Duration most) { return signals_.wait_for(most, over_) == StopSignals::Woken::kInput; }
  void watch() {
    for (;;) {
      const auto woken = signals_.wait_for(std::chrono::hours(1), over_);
      if (woken == StopSignals::Woken::kInput) return;
      if (woken == StopSignals::Woken::kSignal) break;
    }
    log_.info("asked to stop", {});
    if (const auto done = front_.unmount(); !done) log_.error("the mount stays", {{"error", done.error()}});
    if (is_over(kGrace)) return;
    // Somebody still has files open, which fail from now on.
    reactor_.post(stop_);
  }

  UringReactor& reactor_;
  fuse::Front& front_;
  StopSignals& signals_;
  const Logger& log_;
  int over_;
  Stop stop_;
  std::thread thread_;
};

/// What the coroutines work with; belongs to the function that blocks on them.
struct Mounting {
  Context& context;
  const MountArguments& arguments;
  ContainerName name;
  std::string directory;
  UringReactor& reactor;
  rpc::Transport& transport;
  StopSignals& signals;
  const Logger& log;
  std::optional<Daemon>& daemon;
};

/// For programs that go past the kernel (docs/operations/interception.md).
std::optional<posix::MountIdentity> identity_of(const Mounting& mounting, const ContainerInfo& container) {
  const MountArguments& arguments = mounting.arguments;
  if (arguments.single_client) return std::nullopt;
  const auto timeout = std::chrono::duration_cast<std::chrono::milliseconds>(mounting.context.bounds().timeout);
  return posix::MountIdentity{.servers = mounting.context.settings.text("client.server"),
                              .pool = container.pool.to_string(),
                              .container = container.id.to_string(),
                              .snapshot = arguments.snapshot,
                              .timeout_ms = static_cast<std::uint64_t>(timeout.count()),
                              .multi_user = arguments.multi_user};
}

fuse::FrontOptions front_options(const Mounting& mounting, const ContainerInfo& container) {
  const MountArguments& arguments = mounting.arguments;
  return {.session = {.mount_point = mounting.directory,
                      .source = arguments.container,
                      .multi_user = arguments.multi_user,
                      .read_only = arguments.read_only || !arguments.snapshot.empty(),
                      .single_client = arguments.single_client,
                      .auto_unmount = arguments.auto_unmount,
                      .kernel_options = arguments.kernel_options},
          .timeout = mounting.context.bounds().timeout,
          .identity = identity_of(mounting, container)};
}

void announce(const Mounting& mounting) {
  const Context& context = mounting.context;
  if (!context.quiet && mounting.arguments.foreground)
    context.out.line(fmt::format("'{}' is mounted on '{}'", mounting.arguments.container, mounting.directory));
  context.out.event({{"mounted", mounting.directory}, {"container", mounting.arguments.container}});
}

Task<Result<>> serve(Mounting* mounting, posix::FileSystem* files, ContainerInfo container) {
  CO_TRY(auto front, fuse::Front::mount(mounting->reactor, *files, front_options(*mounting, container),
                                        mounting->log.named("fuse")));
  announce(*mounting);
  if (mounting->daemon) mounting->daemon->ready();
  mounting->log.info("mounted", {{"container", mounting->arguments.container}, {"directory", mounting->directory}});
  const Unmounter unmounter(mounting->reactor, *front, mounting->signals, mounting->log);
  co_await front->serve();
  mounting->log.info("unmounted", {{"directory", mounting->directory}});
  co_return Result<>();
}

Task<Result<>> open_and_serve(Mounting* mounting, async::Client* client) {
  CO_TRY(async::Container container, co_await client->open_container(mounting->name.pool, mounting->name.container));
  if (!mounting->arguments.snapshot.empty()) {
    CO_TRY(container, co_await container.at_snapshot(mounting->arguments.snapshot));
  }
  const ContainerInfo info = container.info();
  CO_TRY(auto files, co_await posix::FileSystem::open(std::move(container)));
  auto served = co_await serve(mounting, files.get(), info);
  co_await files->close();
  co_return served;
}

Task<Result<>> connect_and_serve(Mounting* mounting) {
  CO_TRY(auto addresses, rpc::parse_addresses(mounting->context.settings.text("client.server")));
  const Duration timeout = mounting->context.bounds().timeout;
  CO_TRY(auto client, co_await async::Client::connect(
                          mounting->reactor, mounting->transport, std::move(addresses),
                          {.timeout = std::min(timeout, kConnecting), .call_timeout = timeout, .name = "cenote-fuse"}));
  auto served = co_await open_and_serve(mounting, client.get());
  co_await client->close();
  co_return served;
}

Result<LogOptions> log_options_of(const MountArguments& arguments) {
  LogOptions options;
  TRY(options.level, parse_log_level(arguments.log_level));
  options.file = arguments.log_file;
  options.background = true;
  options.to_stderr = arguments.foreground && arguments.log_file.empty();
  if (!arguments.foreground && arguments.log_file.empty()) {
    ::openlog("cenote-fuse", LOG_PID, LOG_DAEMON);
    options.capture = [](std::string_view line) {
      ::syslog(LOG_NOTICE, "%.*s", static_cast<int>(line.size()), line.data());
    };
  }
  return options;
}

Result<std::string> absolute(const std::string& path) {
  std::error_code failed;
  std::filesystem::path result = std::filesystem::absolute(path, failed).lexically_normal();
  if (failed) return failf(Code::kInvalidArgument, "'{}' is no usable path: {}", path, failed.message());
  if (result.filename().empty() && result.has_relative_path()) result = result.parent_path();
  return result.string();
}

}  // namespace

Result<> mount_and_serve(Context& context, const MountArguments& arguments) {
  TRY(const ContainerName name, parse_container(arguments.container));
  TRY(const std::string directory, absolute(arguments.directory));
  std::optional<Daemon> daemon;
  if (!arguments.foreground) {
    TRY(auto begun, Daemon::begin());
    daemon.emplace(std::move(begun));
  }
  raise_open_files_limit();
  StopSignals signals;
  TRY(const LogOptions logs, log_options_of(arguments));
  TRY(const auto output, LogOutput::open(logs));
  const Logger log(*output, "mount");
  TRY(const auto reactor, UringReactor::create());
  rpc::TcpTransport transport(*reactor);
  Mounting mounting{.context = context,
                    .arguments = arguments,
                    .name = name,
                    .directory = directory,
                    .reactor = *reactor,
                    .transport = transport,
                    .signals = signals,
                    .log = log,
                    .daemon = daemon};
  return reactor->block_on(connect_and_serve(&mounting));
}

}  // namespace cenote::cli
