#include "command_doc.h"

#include <CLI/CLI.hpp>

namespace cenote::cli {
namespace {

/// CLI11 tells choices only as text: "TEXT:{posix,kv}".
std::vector<std::string> choices_of(const std::string& type) {
  std::vector<std::string> choices;
  const std::size_t open = type.find(":{");
  const std::size_t close = type.rfind('}');
  if (open == std::string::npos || close == std::string::npos) return choices;
  std::string list = type.substr(open + 2, close - open - 2);
  for (std::size_t begin = 0; begin <= list.size();) {
    const std::size_t end = std::min(list.find(',', begin), list.size());
    choices.push_back(list.substr(begin, end - begin));
    begin = end + 1;
  }
  return choices;
}

OptionDoc option_of(const CLI::Option& option) {
  OptionDoc doc;
  for (const std::string& name : option.get_lnames()) doc.names.push_back("--" + name);
  for (const std::string& name : option.get_snames()) doc.names.push_back("-" + name);
  doc.help = option.get_description();
  if (option.get_items_expected_max() == 0) return doc;
  const std::string type = option.get_type_name();
  doc.choices = choices_of(type);
  doc.value = type.substr(0, type.find(':'));
  if (doc.value.empty()) doc.value = "VALUE";
  return doc;
}

CommandDoc describe_at(const CLI::App& app, const std::string& path) {
  CommandDoc doc;
  doc.path = path;
  doc.summary = app.get_description();
  doc.footer = app.get_footer();
  for (const CLI::Option* option : app.get_options()) {
    if (option->get_group().empty()) continue;
    // The program's own is understood everywhere, as all its options.
    if (option == app.get_help_ptr() && app.get_parent() != nullptr) continue;
    if (option->nonpositional()) {
      doc.options.push_back(option_of(*option));
    } else {
      doc.arguments.push_back({.name = option->get_single_name(),
                               .help = option->get_description(),
                               .required = option->get_required(),
                               .repeated = option->get_items_expected_max() > 1 && !names_many(*option)});
    }
  }
  for (const CLI::App* command : app.get_subcommands([](const CLI::App* each) { return !each->get_group().empty(); })) {
    doc.commands.push_back(
        describe_at(*command, path.empty() ? command->get_name() : path + " " + command->get_name()));
  }
  return doc;
}

void append(const CommandDoc& command, std::vector<const CommandDoc*>& all) {
  all.push_back(&command);
  for (const CommandDoc& inner : command.commands) append(inner, all);
}

}  // namespace

bool names_many(const CLI::Option& option) { return option.get_single_name().find("...") != std::string::npos; }

std::string_view CommandDoc::name() const {
  const std::size_t blank = path.rfind(' ');
  return blank == std::string::npos ? std::string_view(path) : std::string_view(path).substr(blank + 1);
}

CommandDoc describe(const CLI::App& app) { return describe_at(app, ""); }

std::vector<const CommandDoc*> flatten(const CommandDoc& command) {
  std::vector<const CommandDoc*> all;
  append(command, all);
  return all;
}

}  // namespace cenote::cli
