#include <unistd.h>

#include <csignal>

#include "cenote/base/format.h"
#include "cenote/base/log.h"
#include "cenote/base/metrics.h"
#include "cenote/engine/engine.h"
#include "context.h"

namespace cenote::cli {
namespace {

struct Arguments {
  std::string data, name, listen, control, targets, target_size, reactors, cache, log_size;
  std::string log_level = "info", log_file;
  std::vector<std::string> devices;
  bool insecure = false, pin_cpus = false, overwrite = false;
};

/// A flag that was given wins over environment and file.
void apply_flags(Settings& settings, const Arguments& arguments) {
  const auto apply = [&](std::string_view key, const std::string& value, std::string_view flag) {
    if (!value.empty()) settings.set_flag(key, value, flag);
  };
  apply("server.data", arguments.data, "--data");
  apply("server.name", arguments.name, "--name");
  apply("server.listen", arguments.listen, "--listen");
  apply("server.control", arguments.control, "--control");
  apply("server.targets", arguments.targets, "--targets");
  apply("server.target-size", arguments.target_size, "--target-size");
  apply("server.reactors", arguments.reactors, "--reactors");
  apply("server.cache", arguments.cache, "--cache");
  apply("server.log-size", arguments.log_size, "--log-size");
  if (arguments.insecure) settings.set_flag("server.insecure", "true", "--insecure");
  if (arguments.pin_cpus) settings.set_flag("server.pin-cpus", "true", "--pin-cpus");
}

Result<engine::EngineOptions> engine_options(const Settings& settings, const Arguments& arguments) {
  engine::EngineOptions options;
  options.data_directory = settings.text("server.data");
  options.system_name = settings.text("server.name");
  options.listen_address = settings.text("server.listen");
  options.control_address = settings.text("server.control");
  if (options.control_address == "none") options.control_address.clear();
  TRY(options.targets, settings.number("server.targets"));
  TRY(options.target_bytes, settings.bytes("server.target-size"));
  TRY(options.reactors, settings.number("server.reactors"));
  TRY(options.cache_bytes, settings.bytes("server.cache"));
  TRY(options.log_bytes, settings.bytes("server.log-size"));
  TRY(options.pin_cpus, settings.flag("server.pin-cpus"));
  TRY(options.insecure, settings.flag("server.insecure"));
  options.target_paths = arguments.devices;
  options.overwrite_devices = arguments.overwrite;
  return options;
}

Result<LogOptions> log_options(const Arguments& arguments) {
  LogOptions options;
  if (arguments.log_level == "error") options.level = LogLevel::kError;
  if (arguments.log_level == "warn") options.level = LogLevel::kWarn;
  if (arguments.log_level == "debug") options.level = LogLevel::kDebug;
  options.file = arguments.log_file;
  options.to_stderr = arguments.log_file.empty();
  options.background = true;
  return options;
}

/// SIGTERM and SIGINT, blocked in every thread that is started from now on and taken by `wait` alone.
class StopSignals {
 public:
  StopSignals() {
    sigemptyset(&signals_);
    sigaddset(&signals_, SIGTERM);
    sigaddset(&signals_, SIGINT);
    pthread_sigmask(SIG_BLOCK, &signals_, nullptr);
  }
  /// Blocks until one of them comes.
  void wait() {
    int signal = 0;
    while (sigwait(&signals_, &signal) != 0) {
    }
  }
  /// From now on another one ends the process at once; what is acknowledged is durable all the same.
  void let_the_next_one_kill() {
    const auto end = [](int) { _exit(130); };
    std::signal(SIGTERM, end);
    std::signal(SIGINT, end);
    pthread_sigmask(SIG_UNBLOCK, &signals_, nullptr);
  }

 private:
  sigset_t signals_{};
};

void announce(const Context& context, const engine::Engine& engine, const std::string& data, Duration start) {
  const std::string address = engine.addresses().empty() ? "" : engine.addresses().front().to_string();
  const double seconds = std::chrono::duration<double>(start).count();
  context.out.line(fmt::format("cenote is ready at {} (control {}), {} targets in {}, started in {:.3f} s", address,
                               engine.control_address().empty() ? "none" : engine.control_address(),
                               engine.identity().targets.size(), data, seconds));
  context.out.document({{"address", address},
                        {"control_address", engine.control_address()},
                        {"data", data},
                        {"targets", engine.identity().targets.size()},
                        {"start_seconds", seconds}});
  std::fflush(stdout);
}

Result<> serve(Context& context, const Arguments& arguments) {
  apply_flags(context.settings, arguments);
  TRY(engine::EngineOptions options, engine_options(context.settings, arguments));
  TRY(const LogOptions logs, log_options(arguments));
  const std::string data = options.data_directory;
  StopSignals signals;
  TRY(const auto output, LogOutput::open(logs));
  MetricRegistry metrics;
  const auto begun = std::chrono::steady_clock::now();
  TRY(const auto engine, engine::Engine::start(std::move(options), metrics, Logger(*output, "engine")));
  announce(context, *engine, data, std::chrono::steady_clock::now() - begun);
  signals.wait();
  signals.let_the_next_one_kill();
  return engine->stop();
}

}  // namespace

void add_server(CLI::App& app, Context& context) {
  const auto arguments = std::make_shared<Arguments>();
  CLI::App* server = add_verb(app, "server", "Run an engine; SIGTERM or Ctrl-C stops it cleanly",
                              "  cenote server --data /var/lib/cenote\n"
                              "  cenote server --data ./data --targets 2 --target-size 10GiB\n"
                              "  cenote server --data ./data --device /dev/nvme0n1 --device /dev/nvme1n1\n"
                              "Every setting can stand in the configuration file too: see 'cenote config show'.");
  server->add_option("--data", arguments->data, "data directory; created if it does not exist");
  server->add_option("--name", arguments->name, "name of a system that is created");
  server->add_option("--listen", arguments->listen, "where clients connect, ADDRESS:PORT");
  server->add_option("--control", arguments->control, "control port (HTTP), ADDRESS:PORT, or 'none'");
  server->add_option("--targets", arguments->targets, "storage targets of a new data directory");
  server->add_option("--target-size", arguments->target_size, "size of each target's file, like 10GiB");
  server->add_option("--device", arguments->devices, "block device or file to use as a target; may be repeated");
  server->add_flag("--overwrite", arguments->overwrite, "use a --device although it holds other data, which is lost");
  server->add_option("--reactors", arguments->reactors, "threads that serve data");
  server->add_option("--cache", arguments->cache, "metadata cache per target, like 256MiB");
  server->add_option("--log-size", arguments->log_size, "write-ahead log per target, at creation");
  server->add_flag("--pin-cpus", arguments->pin_cpus, "pin each reactor to a core");
  server->add_flag("--insecure", arguments->insecure, "allow listening beyond this machine without authentication");
  server->add_option("--log-level", arguments->log_level, "error, warn, info or debug")
      ->check(CLI::IsMember({"error", "warn", "info", "debug"}))
      ->capture_default_str();
  server->add_option("--log-file", arguments->log_file, "write logs there instead of to standard error; rotated");
  server->callback([=, &context] { context.action = [=, &context] { return serve(context, *arguments); }; });
}

}  // namespace cenote::cli
