#include <charconv>

#include "cenote/base/format.h"
#include "cenote/protocol/control_requests.h"
#include "context.h"

namespace cenote::cli {
namespace {

void show_targets(Context& context, const SystemInfo& system) {
  std::vector<std::vector<std::string>> rows;
  for (const TargetInfo& target : system.targets) {
    rows.push_back({std::to_string(target.index), human_bytes(target.total_bytes), human_bytes(target.free_bytes),
                    target.state, target.id.to_string()});
  }
  context.out.table({"TARGET", "SIZE", "FREE", "STATE", "UUID"}, rows);
  context.out.document(Json::parse(to_json(system)));
}

Result<> list(Context& context) {
  TRY(Client * client, context.client());
  TRY(const SystemInfo system, client->system(context.bounds()));
  show_targets(context, system);
  return {};
}

struct GrowArguments {
  std::string target, size;
};

Result<> grow(Context& context, const GrowArguments& arguments) {
  GrowTargets request;
  if (!arguments.target.empty()) {
    std::uint32_t number = 0;
    const char* end = arguments.target.data() + arguments.target.size();
    const auto [stop, error] = std::from_chars(arguments.target.data(), end, number);
    if (error != std::errc() || stop != end) {
      return failf(Code::kInvalidArgument, "'{}' is no number of a target: see 'cenote engine list'", arguments.target);
    }
    request.target = number;
  }
  if (!arguments.size.empty()) {
    TRY(request.size_bytes, parse_bytes(arguments.size));
  }
  TRY(Client * client, context.client());
  TRY(const SystemInfo system, client->grow_targets(request, context.bounds()));
  show_targets(context, system);
  return {};
}

}  // namespace

void add_engine(CLI::App& app, Context& context) {
  CLI::App* engine =
      add_noun(app, "engine", "The engine and its targets", "A target is a store on devices of its own.");
  CLI::App* verb = add_verb(*engine, "list", "List the targets: size, free space, state",
                            "  cenote engine list\n  cenote engine list --json");
  verb->callback([&context] { context.action = [&context] { return list(context); }; });

  const auto arguments = std::make_shared<GrowArguments>();
  verb = add_verb(*engine, "grow", "Use devices and files that became larger, at once and without a restart",
                  "  cenote engine grow                        # all targets, as large as their devices are now\n"
                  "  cenote engine grow --target 1\n"
                  "  cenote engine grow --size 200GiB          # makes the files of all targets so large first\n"
                  "Nothing is ever made smaller.");
  verb->add_option("--target", arguments->target, "number of one target; all when left out");
  verb->add_option("--size", arguments->size,
                   "make the file of each target so large first, like 200GiB; of its data device where it has one");
  verb->callback([=, &context] { context.action = [=, &context] { return grow(context, *arguments); }; });
}

}  // namespace cenote::cli
