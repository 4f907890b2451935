#include "context.h"

namespace cenote::cli {
namespace {

Result<> show(Context& context) {
  std::vector<std::vector<std::string>> rows;
  Json all = Json::object();
  for (const SettingSpec& spec : setting_specs()) {
    const Settings::Value& value = context.settings.get(spec.key);
    rows.push_back({std::string(spec.key), value.text, value.origin, std::string(spec.help)});
    all[std::string(spec.key)] = {{"value", value.text}, {"origin", value.origin}, {"environment", spec.environment}};
  }
  context.out.table({"SETTING", "VALUE", "FROM", "MEANING"}, rows);
  context.out.document(all);
  return {};
}

}  // namespace

void add_config(CLI::App& app, Context& context) {
  CLI::App* config =
      add_noun(app, "config", "Configuration: flags, environment and file",
               "A setting comes from the first of these that has it: a flag, an environment variable, a TOML file (the "
               "one of --config\n"
               "or $CENOTE_CONFIG, else ~/.config/cenote/config.toml, else /etc/cenote/config.toml), the default.");
  CLI::App* verb = add_verb(*config, "show", "Show every setting, its value and where the value comes from",
                            "  cenote config show\n  cenote --config test.toml config show --json");
  verb->callback([&context] { context.action = [&context] { return show(context); }; });
}

}  // namespace cenote::cli
