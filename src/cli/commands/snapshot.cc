#include "cenote/base/format.h"
#include "context.h"
#include "damage_listing.h"

namespace cenote::cli {
namespace {

struct Arguments {
  std::string container, name;
  bool force = false;
};

/// Epochs count nearly in nanoseconds since 1970.
std::string time_text(Epoch epoch) { return local_time_text(epoch.value() / 1'000'000'000); }

Json json_of(const SnapshotInfo& snapshot) { return Json::parse(to_json(snapshot)); }

Result<> create(Context& context, const Arguments& arguments) {
  TRY(Container container, open_container(context, arguments.container));
  TRY(const SnapshotInfo made, container.create_snapshot(arguments.name, context.bounds()));
  context.out.line(
      fmt::format("created snapshot '{}' of '{}' at epoch {}", made.name, arguments.container, made.epoch.value()));
  context.out.document(json_of(made));
  return {};
}

Result<> list(Context& context, const Arguments& arguments) {
  TRY(Container container, open_container(context, arguments.container));
  TRY(const auto snapshots, container.snapshots(context.bounds()));
  std::vector<std::vector<std::string>> rows;
  Json all = Json::array();
  for (const SnapshotInfo& snapshot : snapshots) {
    rows.push_back({snapshot.name, time_text(snapshot.epoch), fmt::format("{}", snapshot.epoch.value())});
    all.push_back(json_of(snapshot));
  }
  context.out.table({"SNAPSHOT", "CREATED", "EPOCH"}, rows);
  context.out.document({{"snapshots", std::move(all)}});
  return {};
}

Result<> destroy(Context& context, const Arguments& arguments) {
  TRY(Container container, open_container(context, arguments.container));
  CHECK_OK(container.destroy_snapshot(arguments.name, context.bounds()));
  context.out.line(fmt::format("destroyed snapshot '{}' of '{}'", arguments.name, arguments.container));
  context.out.document({{"destroyed", arguments.name}});
  return {};
}

Result<> roll_back(Context& context, const Arguments& arguments) {
  TRY(Container container, open_container(context, arguments.container));
  TRY(const SnapshotInfo to, container.roll_back(arguments.name, arguments.force, context.bounds()));
  context.out.line(
      fmt::format("rolled '{}' back to snapshot '{}', of {}", arguments.container, to.name, time_text(to.epoch)));
  context.out.document({{"rolled_back_to", json_of(to)}});
  return {};
}

}  // namespace

void add_snapshot(CLI::App& container, Context& context) {
  CLI::App* snapshot = container.add_subcommand("snapshot", "Named states of a container that stay as they are");
  snapshot->require_subcommand(1);
  snapshot->footer(
      "A snapshot keeps what it shows until it is destroyed, whatever is overwritten or deleted meanwhile, and the "
      "space of that.\n"
      "'--snapshot NAME' makes the reading verbs of 'kv', 'object' and 'fs' show it.\n"
      "Arguments and examples of each: 'cenote container snapshot SUBCOMMAND --help'.");
  const auto arguments = std::make_shared<Arguments>();
  const auto bind = [&](CLI::App* verb, Result<> (*run)(Context&, const Arguments&)) {
    verb->add_option("POOL/CONTAINER", arguments->container, "the container")->required();
    verb->callback([=, &context] { context.action = [=, &context] { return run(context, *arguments); }; });
  };
  const auto add_name = [&](CLI::App* verb) {
    verb->add_option("NAME", arguments->name, "1 to 127 letters, digits, '.', '_', '-' and ':'")->required();
  };

  CLI::App* verb = add_verb(*snapshot, "create", "Keep the present state under a name",
                            "  cenote container snapshot create scratch/home before-cleanup\n"
                            "  cenote fs ls scratch/home:/ --snapshot before-cleanup");
  bind(verb, create);
  add_name(verb);

  verb =
      add_verb(*snapshot, "list", "List the snapshots of a container", "  cenote container snapshot list scratch/home");
  bind(verb, list);

  verb = add_verb(*snapshot, "destroy", "Destroy a snapshot; what only it kept returns as free space",
                  "  cenote container snapshot destroy scratch/home before-cleanup");
  bind(verb, destroy);
  add_name(verb);

  verb = add_verb(
      *snapshot, "rollback", "Take the container back to a snapshot; what is newer is gone",
      "  cenote container snapshot rollback scratch/home before-cleanup\n"
      "Everything that was written, changed or deleted since is undone, at once. The snapshot stays. Stop what "
      "uses the container first: what is written meanwhile may go or stay.");
  bind(verb, roll_back);
  add_name(verb);
  verb->add_flag("--force", arguments->force, "destroy newer snapshots, which are in the way otherwise");
}

}  // namespace cenote::cli
