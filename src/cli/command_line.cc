#include "command_line.h"

#include "cenote/base/exit_code.h"
#include "cenote/base/format.h"
#include "command_doc.h"
#include "exit_codes.h"
#include "last_resort.h"

namespace cenote::cli {
namespace {

void add_global_flags(CLI::App& app, GlobalFlags& flags) {
  app.add_option("--server", flags.server, "address of the system, HOST[:PORT] [env CENOTE_SERVER]")->take_last();
  app.add_option("--timeout", flags.timeout, "how long an operation may take, like 500ms or 2m [env CENOTE_TIMEOUT]")
      ->take_last();
  app.add_option("--config", flags.config, "configuration file (TOML) [env CENOTE_CONFIG]")->take_last();
  app.add_flag("--json", flags.json, "print one JSON document instead of text");
  app.add_flag("--quiet,-q", flags.quiet, "no progress and no remarks, results and errors only");
}

/// Help of a command names the options that the program understands everywhere; CLI11 lists its own only.
class HelpFormatter : public CLI::Formatter {
 public:
  std::string make_footer(const CLI::App* app) const override {
    std::string own = CLI::Formatter::make_footer(app);
    if (app->get_parent() == nullptr) return own;
    return own + "Every command takes --server, --timeout, --config, --json and --quiet, too: see 'cenote --help'.\n";
  }
  std::string make_option_usage(const CLI::Option* option) const override {
    // Such a name says itself what may be repeated.
    if (names_many(*option)) return option->get_name(true);
    return CLI::Formatter::make_option_usage(option);
  }
};

std::string footer() {
  std::string codes;
  for (const ExitCodeDoc& doc : kExitCodeDocs) {
    codes += fmt::format("{}{} {}", codes.empty() ? "" : ", ", static_cast<int>(doc.code), doc.meaning);
  }
  return "Examples:\n"
         "  cenote dev                                  # a throw-away system to try things on\n"
         "  cenote pool create scratch --size 1GiB\n"
         "  cenote container create scratch/home --type posix\n"
         "  cenote fs cp -r ~/photos scratch/home:/photos\n"
         "Exit codes: " +
         codes;
}

Result<> run(Context& context, const GlobalFlags& flags, Settings::Environment environment) {
  context.quiet = flags.quiet;
  const auto file = flags.config.empty() ? std::nullopt : std::optional<std::string>(flags.config);
  TRY(context.settings, Settings::load(file, environment));
  if (!flags.server.empty()) context.settings.set_flag("client.server", flags.server, "--server");
  if (!flags.timeout.empty()) context.settings.set_flag("client.timeout", flags.timeout, "--timeout");
  CHECK_OK(context.prepare());
  CHECK_OK(context.action());
  return context.out.finish();
}

/// Usage errors in the one-line form of all others, with where to look.
Error usage_error(const CLI::App& app, const CLI::ParseError& error) {
  std::string path = "cenote";
  const std::vector<std::string> unknown = app.remaining(true);
  for (const CLI::App* chosen = &app; !chosen->get_subcommands().empty();) {
    chosen = chosen->get_subcommands().front();
    path += " " + chosen->get_name();
  }
  // A word that is no verb reads as a missing verb to the parser.
  if (error.get_exit_code() == static_cast<int>(CLI::ExitCodes::RequiredError) && !unknown.empty()) {
    return Error(Code::kInvalidArgument,
                 fmt::format("no command '{} {}' (see '{} --help')", path, unknown.front(), path));
  }
  return Error(Code::kInvalidArgument, fmt::format("{} (see '{} --help')", error.what(), path));
}

int exit_with(const Output& out, const Error& error) {
  out.error(error);
  return static_cast<int>(exit_code(error.code()));
}

}  // namespace

void build_command_line(CLI::App& app, GlobalFlags& flags, Context& context) {
  app.description("Cenote: a distributed object store for files, objects, and keys and values");
  app.name("cenote");
  app.require_subcommand(1);
  app.set_version_flag("--version", std::string("cenote ") + CENOTE_VERSION);
  app.fallthrough();
  app.footer(footer());
  // Commands inherit it when they are added.
  app.formatter(std::make_shared<HelpFormatter>());
  add_global_flags(app, flags);
  add_commands(app, context);
}

int run_command_line(int argc, char** argv, Settings::Environment environment, Mounter mounter) {
  CLI::App app;
  GlobalFlags flags;
  Context context;
  context.arguments.assign(argv, argv + argc);
  context.mounter = std::move(mounter);
  build_command_line(app, flags, context);
  try {
    app.parse(argc, argv);
  } catch (const CLI::Success& help_or_version) {
    return app.exit(help_or_version);
  } catch (const CLI::ParseError& error) {
    context.out.set_json(flags.json);
    return exit_with(context.out, usage_error(app, error));
  }
  context.out.set_json(flags.json);
  try {
    const auto done = run(context, flags, environment);
    return done ? static_cast<int>(context.exit) : exit_with(context.out, done.error());
  } catch (const std::exception& exception) {
    return exit_with(context.out, failure_of(exception));
  }
}

}  // namespace cenote::cli
