#pragma once

#include <CLI/CLI.hpp>
#include <string>

#include "context.h"

namespace cenote::cli {

/// Flags that every command takes, before or after the verb.
struct GlobalFlags {
  std::string config, server, timeout;
  bool json = false, quiet = false;
};

/// The whole command line. `flags` and `context` are bound to it and outlive it.
void build_command_line(CLI::App& app, GlobalFlags& flags, Context& context);

/// Parses, loads the settings, runs the chosen verb, prints its result or its one line of error. The exit code.
int run_command_line(int argc, char** argv, Settings::Environment environment, Mounter mounter = {});

}  // namespace cenote::cli
