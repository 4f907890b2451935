#include "context.h"

#include "cenote/base/format.h"

namespace cenote::cli {

Result<> Context::prepare() {
  TRY(const std::uint64_t timeout, parse_nanoseconds(settings.text("client.timeout")));
  bounds_.timeout = std::chrono::nanoseconds(static_cast<std::int64_t>(timeout));
  return {};
}

Result<Client*> Context::client() {
  if (!client_) {
    async::ConnectOptions options;
    options.name = "cenote-cli";
    options.timeout = std::min<Duration>(bounds_.timeout, std::chrono::seconds(5));
    TRY(auto connected, connect(settings.text("client.server"), options));
    client_.emplace(std::move(connected));
  }
  return &*client_;
}

CLI::App* add_verb(CLI::App& noun, const std::string& name, const std::string& description,
                   const std::string& examples) {
  CLI::App* verb = noun.add_subcommand(name, description);
  verb->footer("Examples:\n" + examples);
  return verb;
}

Result<ContainerName> parse_container(std::string_view text) {
  const std::size_t slash = text.find('/');
  if (slash == std::string_view::npos || slash == 0 || slash + 1 == text.size() ||
      text.find('/', slash + 1) != std::string_view::npos) {
    return failf(Code::kInvalidArgument, "'{}' names no container: write POOL/CONTAINER", text);
  }
  return ContainerName{std::string(text.substr(0, slash)), std::string(text.substr(slash + 1))};
}

Result<Container> open_container(Context& context, std::string_view name) {
  TRY(const ContainerName parsed, parse_container(name));
  TRY(Client * client, context.client());
  return client->open_container(parsed.pool, parsed.container, context.bounds());
}

std::optional<RemotePath> parse_remote(std::string_view text) {
  const std::size_t colon = text.find(":/");
  // A local path may hold a colon too, but not in a first component that has exactly one slash before it and none at
  // the start.
  if (colon == std::string_view::npos || colon == 0 || text.front() == '/' || text.front() == '.') return std::nullopt;
  if (!parse_container(text.substr(0, colon))) return std::nullopt;
  return RemotePath{std::string(text.substr(0, colon)), std::string(text.substr(colon + 1))};
}

void add_commands(CLI::App& app, Context& context) {
  add_server(app, context);
  add_pool(app, context);
  add_container(app, context);
  add_object(app, context);
  add_kv(app, context);
  add_fs(app, context);
  add_bench(app, context);
  add_config(app, context);
  // Global flags are understood after the verb, too.
  for (CLI::App* noun : app.get_subcommands({})) {
    noun->fallthrough();
    for (CLI::App* verb : noun->get_subcommands({})) verb->fallthrough();
  }
}

}  // namespace cenote::cli
