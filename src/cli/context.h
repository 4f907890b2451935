#pragma once

#include <CLI/CLI.hpp>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "cenote/base/exit_code.h"
#include "cenote/cenote.hpp"
#include "mounting.h"
#include "names.h"
#include "output.h"
#include "settings.h"

namespace cenote::cli {

/// What every command works with. Flags are bound into it while parsing; `run` is what the chosen verb does.
struct Context {
  Settings settings;
  Output out;
  bool quiet = false;

  /// As the program was called.
  std::vector<std::string> arguments;
  /// What the program returns when the command succeeded; a command that looks for trouble sets it when it finds some.
  ExitCode exit = ExitCode::kOk;

  /// In the program that can mount.
  Mounter mounter;

  /// The command that was chosen; set by the verb's callback, run after parsing.
  std::function<Result<>()> action;

  /// Connects on first use.
  Result<Client*> client();
  /// A connection of its own.
  Result<Client> connect_another();
  CallBounds bounds() const { return bounds_; }
  Result<> prepare();

 private:
  std::optional<Client> client_;
  CallBounds bounds_;
};

/// A noun whose verbs are added to it; `remark` is what its help says below the list of verbs.
CLI::App* add_noun(CLI::App& app, const std::string& name, const std::string& description, const std::string& remark);
/// A verb below a noun, with its example lines under the help.
CLI::App* add_verb(CLI::App& noun, const std::string& name, const std::string& description,
                   const std::string& examples);

/// Of a system that is stopped, what everybody should know who looks at it.
std::string stopped_text(const SystemInfo& system);

/// With a name of a snapshot: the container as it was.
Result<Container> open_container(Context& context, std::string_view name, const std::string& snapshot = {});
/// The option of verbs that read. A name that is empty, say of a variable that is not set, does not mean the present.
void add_snapshot_option(CLI::App& verb, std::string& snapshot,
                         const char* description = "as the container was in this snapshot, not as it is");

// One function per noun: adds its verbs to the command line. Each lives in commands/<noun>.cc.
void add_server(CLI::App& app, Context& context);
void add_dev(CLI::App& app, Context& context);
void add_system(CLI::App& app, Context& context);
void add_engine(CLI::App& app, Context& context);
void add_top(CLI::App& app, Context& context);
void add_pool(CLI::App& app, Context& context);
/// Below the nouns `pool` and `system`.
void add_pool_engines(CLI::App& pool, Context& context);
void add_system_engines(CLI::App& system, Context& context);
/// Below the noun `system`.
void add_system_recover(CLI::App& system, Context& context);
void add_system_stop(CLI::App& system, Context& context);
void add_container(CLI::App& app, Context& context);
/// Below the noun `container`.
void add_snapshot(CLI::App& container, Context& context);
/// Below the noun `container`, too.
void add_container_check(CLI::App& container, Context& context);
void add_container_flatten(CLI::App& container, Context& context);
void add_object(CLI::App& app, Context& context);
void add_kv(CLI::App& app, Context& context);
void add_fs(CLI::App& app, Context& context);
/// Below the noun `fs`.
void add_mount(CLI::App& fs, Context& context);
void add_fs_check(CLI::App& fs, Context& context);
void add_run(CLI::App& app, Context& context);
void add_bench(CLI::App& app, Context& context);
/// Below `bench`.
void add_bench_fs(CLI::App& bench, Context& context);
void add_doctor(CLI::App& app, Context& context);
void add_debug(CLI::App& app, Context& context);
void add_rekey(CLI::App& app, Context& context);
void add_config(CLI::App& app, Context& context);
void add_completion(CLI::App& app, Context& context);

/// All of them, in the order the help shows them.
void add_commands(CLI::App& app, Context& context);

}  // namespace cenote::cli
