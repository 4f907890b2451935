#include "cenote/base/format.h"
#include "cenote/base/log.h"
#include "cenote/base/metrics.h"
#include "cenote/engine/engine.h"
#include "context.h"
#include "encryption_key.h"
#include "server_options.h"
#include "setting_flags.h"
#include "stop_signals.h"
#include "temporary_directory.h"

namespace cenote::cli {
namespace {

constexpr std::uint64_t kTargetBytes = 1ull << 30;
constexpr const char* kAnyPort = "127.0.0.1:0";

Result<engine::EngineOptions> dev_options(const Settings& settings, const std::string& directory) {
  TRY(engine::EngineOptions options, engine_options(settings));
  options.data_directory = directory;
  if (options.target_bytes == 0) options.target_bytes = kTargetBytes;
  // What is thrown away soon takes the space that it uses, not the space that it may use.
  options.preallocate = false;
  return options;
}

/// At the usual addresses; while something else has them, and nobody asked for these, at any.
Result<std::unique_ptr<engine::Engine>> start(const Settings& settings, engine::EngineOptions options,
                                              MetricRegistry& metrics, const Logger& logger) {
  auto engine = engine::Engine::start(options, metrics, logger);
  const bool asked_for =
      settings.get("server.listen").origin != "default" || settings.get("server.control").origin != "default";
  if (engine || engine.error() != Code::kExists || asked_for) return engine;
  options.listen_address = kAnyPort;
  options.control_address = kAnyPort;
  return engine::Engine::start(std::move(options), metrics, logger);
}

Result<> fill(const std::string& address) {
  TRY(Client client, connect(address));
  CHECK_OK(client.create_pool({.label = "dev", .size_bytes = 0}));
  CHECK_OK(client.create_container({.pool = "dev", .label = "kv", .type = "kv", .properties = {}}));
  CHECK_OK(client.create_container({.pool = "dev", .label = "files", .type = "posix", .properties = {}}));
  return {};
}

void announce(const Context& context, const engine::Engine& engine, Duration start) {
  const std::string address = engine.addresses().front().to_string();
  const double seconds = std::chrono::duration<double>(start).count();
  const bool usual = address == context.settings.text("client.server");
  context.out.line(fmt::format(
      "A throw-away system is ready at {} after {:.2f} s. Ctrl-C ends it and removes everything.\n"
      "Try in another terminal:\n"
      "{}"
      "  cenote kv put dev/kv colour blue\n"
      "  cenote kv get dev/kv colour\n"
      "  cenote fs cp -r /usr/share/doc dev/files:/doc\n"
      "  cenote fs ls dev/files:/doc\n"
      "  cenote bench dev/kv{}",
      address, seconds, usual ? "" : fmt::format("  export CENOTE_SERVER={}\n", address),
      engine.control_address().empty() ? "" : fmt::format("\n  curl http://{}/metrics", engine.control_address())));
  context.out.event({{"address", address},
                     {"control_address", engine.control_address()},
                     {"pool", "dev"},
                     {"containers", {"dev/kv", "dev/files"}},
                     {"start_seconds", seconds}});
}

Result<> run(Context& context, const SettingFlags& flags) {
  flags.apply(context.settings);
  // Somebody at a terminal wants to see what goes wrong, not what goes well.
  if (context.settings.get("server.log-level").origin == "default")
    context.settings.set_flag("server.log-level", "warn", "cenote dev");
  TRY(const LogOptions logs, log_options(context.settings));
  const auto begun = std::chrono::steady_clock::now();
  StopSignals signals;
  TRY(const auto output, LogOutput::open(logs));
  TRY(const TemporaryDirectory directory, TemporaryDirectory::create("cenote-dev-"));
  TRY(engine::EngineOptions options, dev_options(context.settings, directory.path()));
  MetricRegistry metrics;
  auto engine = start(context.settings, std::move(options), metrics, Logger(*output, "engine"));
  if (!engine) return fail(in_terms_of_settings(context.settings, engine.error()));
  CHECK_OK(fill((*engine)->addresses().front().to_string()));
  announce(context, **engine, std::chrono::steady_clock::now() - begun);
  signals.wait();
  signals.let_the_next_one_kill();
  return (*engine)->stop();
}

}  // namespace

void add_dev(CLI::App& app, Context& context) {
  const auto flags = std::make_shared<SettingFlags>();
  CLI::App* dev = add_verb(app, "dev", "Run a throw-away system to try things on, with a pool and two containers",
                           "  cenote dev\n"
                           "  cenote dev --target-size 8GiB --listen 127.0.0.1:9000");
  for (const char* key : {"server.targets", "server.reactors", "server.cache"}) flags->add(*dev, key);
  flags->add(*dev, "server.listen", "127.0.0.1:7777, or any free port while that is in use");
  flags->add(*dev, "server.control", "127.0.0.1:7778, or any free port");
  flags->add(*dev, "server.target-size", "1GiB");
  flags->add(*dev, "server.log-level", "warn");
  add_key_flags(*dev, *flags);
  dev->callback([=, &context] { context.action = [=, &context] { return run(context, *flags); }; });
}

}  // namespace cenote::cli
