#include <csignal>
#include <cstdlib>

#include "cenote/base/exit_code.h"
#include "context.h"

namespace {

using cenote::cli::Context;

std::optional<std::string> environment(std::string_view name) {
  const char* value = std::getenv(std::string(name).c_str());
  return value == nullptr || *value == '\0' ? std::nullopt : std::optional<std::string>(value);
}

/// Flags that every command takes, before or after the verb.
struct GlobalFlags {
  std::string config, server, timeout;
  bool json = false, quiet = false;
};

void add_global_flags(CLI::App& app, GlobalFlags& flags) {
  app.add_option("--server", flags.server, "address of the system, HOST[:PORT] [env CENOTE_SERVER]");
  app.add_option("--timeout", flags.timeout, "how long an operation may take, like 500ms or 2m [env CENOTE_TIMEOUT]");
  app.add_option("--config", flags.config, "configuration file (TOML) [env CENOTE_CONFIG]");
  app.add_flag("--json", flags.json, "print one JSON document instead of text");
  app.add_flag("--quiet,-q", flags.quiet, "no progress and no remarks, results and errors only");
}

cenote::Result<> run(Context& context, const GlobalFlags& flags) {
  context.quiet = flags.quiet;
  TRY(auto settings, cenote::cli::Settings::load(
                         flags.config.empty() ? std::nullopt : std::optional<std::string>(flags.config), environment));
  context.settings = std::move(settings);
  if (!flags.server.empty()) context.settings.set_flag("client.server", flags.server, "--server");
  if (!flags.timeout.empty()) context.settings.set_flag("client.timeout", flags.timeout, "--timeout");
  CHECK_OK(context.prepare());
  return context.action();
}

/// Usage errors in the one-line form of all others, with where to look.
int usage_error(const CLI::App& app, const CLI::ParseError& error, const cenote::cli::Output& out) {
  std::string path = "cenote";
  for (const CLI::App* chosen = &app; !chosen->get_subcommands().empty();) {
    chosen = chosen->get_subcommands().front();
    path += " " + chosen->get_name();
  }
  out.error(cenote::Error(cenote::Code::kInvalidArgument, std::string(error.what()) + " (see '" + path + " --help')"));
  return static_cast<int>(cenote::ExitCode::kUsage);
}

}  // namespace

int main(int argc, char** argv) {
  // A reader that has gone away ends in a failed write, which is reported like any other error.
  std::signal(SIGPIPE, SIG_IGN);

  CLI::App app("Cenote: a distributed object store for files, objects, and keys and values", "cenote");
  app.require_subcommand(1);
  app.set_version_flag("--version", "cenote " CENOTE_VERSION);
  app.fallthrough();
  app.footer(
      "Examples:\n"
      "  cenote dev                                  # a throw-away system to try things on\n"
      "  cenote pool create scratch --size 1GiB\n"
      "  cenote container create scratch/home --type posix\n"
      "  cenote fs cp -r ~/photos scratch/home:/photos\n"
      "Exit codes: 0 done, 1 failed, 2 usage, 3 not found, 4 exists or conflicts, 5 unreachable, 6 no space, 7 damaged "
      "data,\n"
      "8 not permitted, 9 busy or locked, 10 timed out, 11 version mismatch, 130 interrupted");
  GlobalFlags flags;
  add_global_flags(app, flags);
  Context context;
  cenote::cli::add_commands(app, context);

  try {
    app.parse(argc, argv);
  } catch (const CLI::CallForHelp& help) {
    return app.exit(help);
  } catch (const CLI::CallForAllHelp& help) {
    return app.exit(help);
  } catch (const CLI::CallForVersion& version) {
    return app.exit(version);
  } catch (const CLI::ParseError& error) {
    context.out.set_json(flags.json);
    return usage_error(app, error, context.out);
  }
  context.out.set_json(flags.json);
  const auto done = run(context, flags);
  if (done) return static_cast<int>(cenote::ExitCode::kOk);
  context.out.error(done.error());
  return static_cast<int>(cenote::exit_code(done.error().code()));
}
