#include "context.h"

#include <fmt/format.h>

namespace cenote::cli {

Result<> Context::prepare() {
  TRY(bounds_.timeout, settings.duration("client.timeout"));
  if (bounds_.timeout > Duration::zero()) return {};
  return fail(settings.wrong("client.timeout", "no operation can end in no time: allow some, like 30s"));
}

Result<Client> Context::connect_another() {
  async::ConnectOptions options;
  options.name = "cenote-cli";
  options.timeout = std::min<Duration>(bounds_.timeout, std::chrono::seconds(5));
  options.call_timeout = bounds_.timeout;
  return connect(settings.text("client.server"), options);
}

Result<Client*> Context::client() {
  if (!client_) {
    TRY(auto connected, connect_another());
    client_.emplace(std::move(connected));
  }
  return &*client_;
}

CLI::App* add_noun(CLI::App& app, const std::string& name, const std::string& description, const std::string& remark) {
  CLI::App* noun = app.add_subcommand(name, description);
  noun->require_subcommand(1);
  // Without one of its own a noun would repeat the examples of the whole program.
  noun->footer(fmt::format("{}\nArguments and examples of each: 'cenote {} {} --help'.", remark, name, "SUBCOMMAND"));
  return noun;
}

CLI::App* add_verb(CLI::App& noun, const std::string& name, const std::string& description,
                   const std::string& examples) {
  CLI::App* verb = noun.add_subcommand(name, description);
  verb->footer("Examples:\n" + examples);
  return verb;
}

Result<Container> open_container(Context& context, std::string_view name, const std::string& snapshot) {
  TRY(const ContainerName parsed, parse_container(name));
  TRY(Client * client, context.client());
  TRY(Container container, client->open_container(parsed.pool, parsed.container, context.bounds()));
  if (snapshot.empty()) return container;
  return container.at_snapshot(snapshot, context.bounds());
}

void add_snapshot_option(CLI::App& verb, std::string& snapshot, const char* description) {
  const auto check = [](const std::string& name) {
    return name.empty() ? std::string("a name is needed") : std::string();
  };
  verb.add_option("--snapshot", snapshot, description)->type_name("NAME")->check(check);
}

namespace {

void fall_through(CLI::App& command) {
  command.fallthrough();
  for (CLI::App* inner : command.get_subcommands({})) fall_through(*inner);
}

}  // namespace

void add_commands(CLI::App& app, Context& context) {
  add_server(app, context);
  add_dev(app, context);
  add_system(app, context);
  add_engine(app, context);
  add_top(app, context);
  add_pool(app, context);
  add_container(app, context);
  add_object(app, context);
  add_kv(app, context);
  add_fs(app, context);
  add_run(app, context);
  add_bench(app, context);
  add_doctor(app, context);
  add_debug(app, context);
  add_rekey(app, context);
  add_config(app, context);
  add_completion(app, context);
  // Global flags are understood after the verb, too.
  for (CLI::App* noun : app.get_subcommands({})) fall_through(*noun);
}

}  // namespace cenote::cli
