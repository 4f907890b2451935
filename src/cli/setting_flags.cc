#include "setting_flags.h"

#include <fmt/format.h>

#include "cenote/base/assert.h"

namespace cenote::cli {

std::string flag_of(std::string_view key) { return fmt::format("--{}", key.substr(key.find('.') + 1)); }

void SettingFlags::add(CLI::App& verb, std::string_view key, std::string_view fallback) {
  const auto& specs = setting_specs();
  const auto spec = std::ranges::find(specs, key, &SettingSpec::key);
  ASSERT(spec != specs.end());
  Bound& bound = bound_[std::string(key)];
  if (fallback.empty()) fallback = spec->fallback;
  const std::string preset = fallback.empty() ? "" : fmt::format(" [default {}]", fallback);
  const std::string help = fmt::format("{}{} [env {}]", spec->help, preset, spec->environment);
  if (spec->fallback == "false") {
    verb.add_flag(flag_of(key), bound.given, help);
    return;
  }
  CLI::Option* option = verb.add_option(flag_of(key), bound.text, help)->take_last();
  if (!spec->choices.empty())
    option->check(CLI::IsMember(std::vector<std::string>(spec->choices.begin(), spec->choices.end())));
}

void SettingFlags::add_section(CLI::App& verb, std::string_view section) {
  for (const SettingSpec& spec : setting_specs()) {
    if (spec.key.starts_with(section)) add(verb, spec.key);
  }
}

void SettingFlags::apply(Settings& settings) const {
  for (const auto& [key, bound] : bound_) {
    if (bound.given) settings.set_flag(key, "true", flag_of(key));
    if (!bound.text.empty()) settings.set_flag(key, bound.text, flag_of(key));
  }
}

}  // namespace cenote::cli
