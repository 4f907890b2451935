#include "attendant.h"
#include "cenote/base/format.h"
#include "cenote/base/log.h"
#include "cenote/base/metrics.h"
#include "cenote/engine/engine.h"
#include "context.h"
#include "etcd_source.h"
#include "open_files.h"
#include "server_options.h"
#include "setting_flags.h"
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

Result<> serve(Context& context, const Arguments& arguments) {
  arguments.flags.apply(context.settings);
  TRY(engine::EngineOptions options, engine_options(context.settings));
  TRY(options.process, Attendant::divide(context.settings));
  options.overwrite_devices = arguments.overwrite;
  TRY(auto outside, coordinator_options(context.settings));
  std::optional<EtcdSource> etcd;
  if (outside) options.coordinator = &etcd.emplace(*std::move(outside));
  TRY(const LogOptions logs, log_options(context.settings));
  const std::string data = options.data_directory;
  StopSignals signals;
  TRY(const auto output, LogOutput::open(logs));
  const Logger logger(*output, "engine");
  if (const std::uint64_t limit = raise_open_files_limit(); limit < kOpenFilesLeast) {
    logger.warn(
        "few open files are allowed, and each client takes one: raise 'ulimit -n', or LimitNOFILE= of the service",
        {{"limit", limit}, {"least", kOpenFilesLeast}});
  }
  MetricRegistry metrics;
  const auto begun = std::chrono::steady_clock::now();
  auto engine = engine::Engine::start(std::move(options), metrics, logger);
  if (!engine) return fail(in_terms_of_settings(context.settings, engine.error()));
  Attendant::note_ready();
  announce(context, **engine, data, std::chrono::steady_clock::now() - begun);
  signals.wait();
  signals.let_the_next_one_kill();
  return (*engine)->stop();
}

}  // namespace

void add_server(CLI::App& app, Context& context) {
  const auto arguments = std::make_shared<Arguments>();
  CLI::App* server =
      add_verb(app, "server", "Run an engine; SIGTERM or Ctrl-C stops it cleanly",
               "  cenote server --data /var/lib/cenote\n"
               "  cenote server --data ./data --targets 2 --target-size 10GiB\n"
               "  cenote server --data ./data --devices /dev/nvme0n1,/dev/nvme1n1\n"
               "  cenote server --data ./data --devices /dev/sda --wal-devices /dev/nvme0n1\n"
               "  cenote server --data ./data1 --coordinator http://127.0.0.1:2379    # one engine of several\n"
               "Every flag has a setting in the configuration file, too: see 'cenote config show'.");
  arguments->flags.add_section(*server, "server.");
  server->add_flag("--overwrite", arguments->overwrite, "use devices although they hold other data, which is lost");
  server->callback([=, &context] { context.action = [=, &context] { return serve(context, *arguments); }; });
}

}  // namespace cenote::cli
