#include "man_page.h"

#include <fmt/format.h>

#include "exit_codes.h"
#include "settings.h"

namespace cenote::cli {
namespace {

/// Text of a paragraph: nothing in it is taken for a request or an escape of roff.
std::string escaped(std::string_view text) {
  std::string out;
  bool line_begins = true;
  for (const char c : text) {
    if (line_begins && (c == '.' || c == '\'')) out += "\\&";
    if (c == '\\') {
      out += "\\e";
    } else if (c == '-') {
      out += "\\-";
    } else {
      out += c;
    }
    line_begins = c == '\n';
  }
  return out;
}

/// Arguments of a command as its usage line shows them.
std::string usage_of(const CommandDoc& command) {
  std::string usage;
  for (const ArgumentDoc& argument : command.arguments) {
    const std::string name = argument.name + (argument.repeated ? "..." : "");
    usage += argument.required ? " " + name : " [" + name + "]";
  }
  if (!command.options.empty()) usage += " [OPTION...]";
  return usage;
}

std::string options_of(const CommandDoc& command) {
  std::string text;
  for (const ArgumentDoc& argument : command.arguments) {
    if (argument.help.empty()) continue;
    text += fmt::format(".TP\n\\fI{}\\fR\n{}\n", escaped(argument.name), escaped(argument.help));
  }
  for (const OptionDoc& option : command.options) {
    text += fmt::format(".TP\n\\fB{}\\fR", escaped(fmt::format("{}", fmt::join(option.names, ", "))));
    if (!option.choices.empty()) {
      text += fmt::format(" \\fI{}\\fR", escaped(fmt::format("{}", fmt::join(option.choices, "|"))));
    } else if (!option.value.empty()) {
      text += fmt::format(" \\fI{}\\fR", escaped(option.value));
    }
    text += fmt::format("\n{}\n", escaped(option.help));
  }
  return text;
}

std::string commands_of(const CommandDoc& root) {
  std::string text;
  for (const CommandDoc* command : flatten(root)) {
    if (command == &root || (!command->commands.empty() && command->arguments.empty())) continue;
    text += fmt::format(".SS cenote {}{}\n{}.\n{}", escaped(command->path), escaped(usage_of(*command)),
                        escaped(command->summary), options_of(*command));
    if (!command->footer.empty()) text += fmt::format(".PP\n.nf\n{}\n.fi\n", escaped(command->footer));
  }
  return text;
}

std::string settings_section() {
  std::string text;
  for (const SettingSpec& spec : setting_specs()) {
    text += fmt::format(".TP\n\\fB{}\\fR (environment: {})\n{}", escaped(spec.key), escaped(spec.environment),
                        escaped(spec.help));
    if (!spec.fallback.empty()) text += fmt::format("; default {}", escaped(spec.fallback));
    text += ".\n";
  }
  return text;
}

std::string exit_section() {
  std::string text;
  for (const ExitCodeDoc& doc : kExitCodeDocs) {
    text += fmt::format(".TP\n\\fB{}\\fR\n{}\n", static_cast<int>(doc.code), escaped(doc.meaning));
  }
  return text;
}

}  // namespace

std::string man_page(const CommandDoc& root, std::string_view version) {
  return fmt::format(
      R"(.TH CENOTE 1 "" "cenote {}" "Cenote"
.SH NAME
cenote \- {}
.SH SYNOPSIS
\fBcenote\fR [OPTION...] \fINOUN\fR \fIVERB\fR [ARGUMENT...]
.SH DESCRIPTION
Cenote keeps objects, keys and values, and files, on one or more servers. This command runs a server
(\fBcenote server\fR), a throw\-away system (\fBcenote dev\fR), and everything that a user or an administrator does with
either. A write has returned when it is durable.
.SH OPTIONS
These are understood before and after the verb.
{}.SH COMMANDS
{}.SH SETTINGS
A setting is taken from the first of these that has it: a flag, an environment variable, a TOML file (the one of
\fB\-\-config\fR or $CENOTE_CONFIG, else ~/.config/cenote/config.toml or /etc/cenote/config.toml), the default.
\fBcenote config show\fR prints each value and where it comes from.
{}.SH EXIT STATUS
{}.SH FILES
.TP
/etc/cenote/config.toml
settings of this machine
.TP
/var/lib/cenote
the default data directory of a server
)",
      escaped(version), escaped(root.summary), options_of(root), commands_of(root), settings_section(), exit_section());
}

}  // namespace cenote::cli
