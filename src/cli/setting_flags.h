#pragma once

#include <CLI/CLI.hpp>
#include <map>
#include <string>
#include <string_view>

#include "settings.h"

namespace cenote::cli {

/// Flags of a verb that stand for settings: made from the table of settings, so that name, meaning and choices are said
/// once. Outlives the parsing, since options are bound to it.
class SettingFlags {
 public:
  /// "server.target-size" becomes `--target-size`, bound to `verb`. `fallback`: what the verb takes instead of the
  /// setting's default, for the help.
  void add(CLI::App& verb, std::string_view key, std::string_view fallback = {});
  /// All settings whose key begins with `section`.
  void add_section(CLI::App& verb, std::string_view section);
  /// A flag that was given wins over environment and file.
  void apply(Settings& settings) const;

 private:
  struct Bound {
    std::string text;
    bool given = false;
  };
  std::map<std::string, Bound> bound_;  // nodes stay where they are
};

/// "--target-size" for "server.target-size".
std::string flag_of(std::string_view key);

}  // namespace cenote::cli
