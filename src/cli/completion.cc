#include "completion.h"

#include <fmt/format.h>

namespace cenote::cli {
namespace {

/// A word of bash, zsh or (the rules agree for what help texts hold) fish.
std::string in_quotes(std::string_view text) {
  std::string word = "'";
  for (const char c : text) {
    if (c == '\'') {
      word += "'\\''";
    } else {
      word += c == '\n' ? ' ' : c;
    }
  }
  return word + "'";
}

/// The text that the scripts match: where the walk is, and the next word.
std::string step(const CommandDoc& at, std::string_view word) { return in_quotes(fmt::format("{}|{}", at.path, word)); }

/// Options of the program are understood everywhere, so their pattern leaves the place open.
std::string option_pattern(const CommandDoc& at, std::string_view option) {
  return at.path.empty() ? fmt::format("*{}", in_quotes(fmt::format("|{}", option))) : step(at, option);
}

std::string fish_option_pattern(const CommandDoc& at, std::string_view option) {
  return at.path.empty() ? in_quotes(fmt::format("*|{}", option)) : step(at, option);
}

std::string joined(const std::vector<std::string>& words, std::string_view separator) {
  return fmt::format("{}", fmt::join(words, separator));
}

std::vector<std::string> names_of(const std::vector<CommandDoc>& commands) {
  std::vector<std::string> names;
  for (const CommandDoc& command : commands) names.emplace_back(command.name());
  return names;
}

/// Option names at `at`, those of the program included.
std::vector<std::string> option_names(const CommandDoc& root, const CommandDoc& at) {
  std::vector<std::string> names;
  for (const OptionDoc& option : at.options) names.insert(names.end(), option.names.begin(), option.names.end());
  if (&at == &root) return names;
  for (const OptionDoc& option : root.options) names.insert(names.end(), option.names.begin(), option.names.end());
  return names;
}

/// The arms of the `case` that walks over one word; the same in bash and zsh.
std::string walk_arms(const CommandDoc& root) {
  std::string arms;
  for (const CommandDoc* at : flatten(root)) {
    std::vector<std::string> words, valued;
    for (const CommandDoc& command : at->commands) words.push_back(step(*at, command.name()));
    for (const OptionDoc& option : at->options) {
      for (const std::string& name : option.names) {
        if (!option.value.empty()) valued.push_back(option_pattern(*at, name));
      }
    }
    if (!valued.empty()) arms += fmt::format("      {}) ((++index)) ;;\n", joined(valued, " | "));
    if (!words.empty())
      arms += fmt::format("      {}) command=\"${{command:+$command }}$word\" ;;\n", joined(words, " | "));
  }
  return arms;
}

/// Arms for the value of the option before the cursor; `offer` prints what follows the choices.
std::string value_arms(const CommandDoc& root, std::string_view offer, std::string_view otherwise) {
  std::string arms;
  for (const CommandDoc* at : flatten(root)) {
    for (const OptionDoc& option : at->options) {
      if (option.value.empty()) continue;
      std::vector<std::string> patterns;
      for (const std::string& name : option.names) patterns.push_back(option_pattern(*at, name));
      const std::string action = option.choices.empty() ? std::string(otherwise)
                                                        : fmt::format(fmt::runtime(offer), joined(option.choices, " "));
      arms += fmt::format("    {}) {} ;;\n", joined(patterns, " | "), action);
    }
  }
  return arms;
}

}  // namespace

std::string bash_completion(const CommandDoc& root) {
  std::string places;
  for (const CommandDoc* at : flatten(root)) {
    places +=
        fmt::format("    {}) commands={} options={} ;;\n", in_quotes(at->path),
                    in_quotes(joined(names_of(at->commands), " ")), in_quotes(joined(option_names(root, *at), " ")));
  }
  return fmt::format(
      R"(# Completion of cenote for bash, printed by 'cenote completion bash'.
_cenote() {{
  local current=${{COMP_WORDS[COMP_CWORD]}} command= word index commands options
  COMPREPLY=()
  for ((index = 1; index < COMP_CWORD; ++index)); do
    word=${{COMP_WORDS[index]}}
    case "$command|$word" in
{}    esac
  done
  # An empty answer makes bash offer file names.
  case "$command|${{COMP_WORDS[COMP_CWORD - 1]}}" in
{}  esac
  case "$command" in
{}  esac
  if [[ $current == -* ]]; then commands=$options; fi
  COMPREPLY=($(compgen -W "$commands" -- "$current"))
}}
complete -o default -F _cenote cenote
)",
      walk_arms(root), value_arms(root, "COMPREPLY=($(compgen -W '{}' -- \"$current\")); return", "return"), places);
}

std::string zsh_completion(const CommandDoc& root) {
  const auto described = [](const std::vector<std::string>& names, std::string_view help) {
    std::string words;
    for (const std::string& name : names) words += " " + in_quotes(fmt::format("{}:{}", name, help));
    return words;
  };
  std::string places;
  for (const CommandDoc* at : flatten(root)) {
    std::string commands, options;
    for (const CommandDoc& command : at->commands)
      commands += described({std::string(command.name())}, command.summary);
    for (const OptionDoc& option : at->options) options += described(option.names, option.help);
    if (at != &root) {
      for (const OptionDoc& option : root.options) options += described(option.names, option.help);
    }
    places +=
        fmt::format("    {})\n      commands=({})\n      options=({}) ;;\n", in_quotes(at->path), commands, options);
  }
  return fmt::format(
      R"(#compdef cenote
# Completion of cenote for zsh, printed by 'cenote completion zsh'.
_cenote() {{
  local command= word index
  local -a commands options
  for ((index = 2; index < CURRENT; ++index)); do
    word=${{words[index]}}
    case "$command|$word" in
{}    esac
  done
  case "$command|${{words[CURRENT - 1]}}" in
{}  esac
  case "$command" in
{}  esac
  if [[ $PREFIX == -* ]]; then
    _describe -o option options
  elif (($#commands)); then
    _describe command commands
  else
    _files
  fi
}}
if [[ $zsh_eval_context[-1] == loadautofunc ]]; then _cenote "$@"; else compdef _cenote cenote; fi
)",
      walk_arms(root), value_arms(root, "compadd -- {}; return", "_files; return"), places);
}

std::string fish_completion(const CommandDoc& root) {
  std::string arms, completions;
  for (const CommandDoc* at : flatten(root)) {
    const std::string place = at->path.empty() ? "" : fmt::format(" -n \"__cenote_at {}\"", in_quotes(at->path));
    std::vector<std::string> words, valued;
    for (const CommandDoc& command : at->commands) {
      words.push_back(step(*at, command.name()));
      completions += fmt::format("complete -c cenote -n \"__cenote_at {}\" -f -a {} -d {}\n", in_quotes(at->path),
                                 in_quotes(command.name()), in_quotes(command.summary));
    }
    for (const OptionDoc& option : at->options) {
      std::string line = "complete -c cenote" + place;
      for (const std::string& name : option.names) {
        line += name.starts_with("--") ? " -l " + name.substr(2) : " -s " + name.substr(1);
        if (!option.value.empty()) valued.push_back(fish_option_pattern(*at, name));
      }
      if (!option.value.empty())
        line += option.choices.empty() ? " -r" : " -x -a " + in_quotes(joined(option.choices, " "));
      completions += fmt::format("{} -d {}\n", line, in_quotes(option.help));
    }
    if (!valued.empty())
      arms += fmt::format("            case {}\n                set skip yes\n", joined(valued, " "));
    if (!words.empty()) {
      arms += fmt::format("            case {}\n                set command (string trim \"$command $word\")\n",
                          joined(words, " "));
    }
  }
  return fmt::format(
      R"(# Completion of cenote for fish, printed by 'cenote completion fish'.
function __cenote_at --description 'Whether the words before the cursor name this command'
    set -l command ''
    set -l skip no
    for word in (commandline -opc)[2..-1]
        if test $skip = yes
            set skip no
            continue
        end
        switch "$command|$word"
{}        end
    end
    test "$command" = "$argv[1]"
end
{})",
      arms, completions);
}

}  // namespace cenote::cli
