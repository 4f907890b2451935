#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace CLI {  // NOLINT(readability-identifier-naming): the library's own
class App;
class Option;
}  // namespace CLI

namespace cenote::cli {

/// What the command line understands, as plain data: completions and the manual page are printed from it, so that they
/// cannot say anything else than the parser.
struct OptionDoc {
  std::vector<std::string> names;    ///< "--quiet", "-q"
  std::string value;                 ///< what stands for its value in the help; empty for a flag
  std::vector<std::string> choices;  ///< the values it accepts, when there are only a few
  std::string help;
};

struct ArgumentDoc {
  std::string name;
  std::string help;
  bool required = false;
  bool repeated = false;
};

struct CommandDoc {
  std::string path;  ///< "container create"; empty for the program itself
  std::string summary;
  std::string footer;  ///< examples and remarks
  std::vector<OptionDoc> options;
  std::vector<ArgumentDoc> arguments;
  std::vector<CommandDoc> commands;

  std::string_view name() const;
};

/// One argument whose name stands for several, like "SOURCE... TARGET".
bool names_many(const CLI::Option& option);

/// Leaves out what is hidden from the help (its group is empty), and the help flag of all but the program itself.
CommandDoc describe(const CLI::App& app);

/// `command` and everything below it, parents first.
std::vector<const CommandDoc*> flatten(const CommandDoc& command);

}  // namespace cenote::cli
