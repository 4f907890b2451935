#include "cenote/base/format.h"
#include "cenote/protocol/control_requests.h"
#include "context.h"
#include "quota_text.h"

namespace cenote::cli {
namespace {

Json json_of(const ContainerInfo& container) { return Json::parse(to_json(container)); }

std::vector<std::string> row_of(const ContainerInfo& container) {
  return {container.label, container.type.empty() ? "-" : container.type,
          used_bytes_text(container.used_bytes, container.properties),
          used_objects_text(container.used_objects, container.properties), container.id.to_string()};
}

const std::vector<std::string> kHeader = {"CONTAINER", "TYPE", "USED", "OBJECTS", "UUID"};

Result<> create(Context& context, const std::string& name, const std::string& type,
                const std::vector<std::string>& properties) {
  TRY(const ContainerName parsed, parse_container(name));
  CreateContainer request{.pool = parsed.pool, .label = parsed.container, .type = type, .properties = {}};
  TRY(request.properties, parse_properties(properties));
  TRY(Client * client, context.client());
  TRY(const ContainerInfo made, client->create_container(request, context.bounds()));
  context.out.line(fmt::format("created container '{}' ({})", name, made.id.to_string()));
  context.out.document(json_of(made));
  return {};
}

Result<> clone(Context& context, const std::string& source, const std::string& name, const std::string& snapshot) {
  TRY(const ContainerName from, parse_container(source));
  TRY(const ContainerName to, parse_container(name));
  if (from.pool != to.pool) {
    return failf(Code::kInvalidArgument,
                 "a clone lies in the pool of its source: '{}', not '{}'; copy the data instead", from.pool, to.pool);
  }
  TRY(Client * client, context.client());
  TRY(const ContainerInfo made,
      client->clone_container(
          {.pool = from.pool, .source = from.container, .snapshot = snapshot, .label = to.container},
          context.bounds()));
  context.out.line(fmt::format("cloned '{}' as '{}' ({})", source, name, made.id.to_string()));
  context.out.document(json_of(made));
  return {};
}

Result<> list(Context& context, const std::string& pool) {
  TRY(Client * client, context.client());
  TRY(const auto containers, client->list_containers(pool, context.bounds()));
  std::vector<std::vector<std::string>> rows;
  Json all = Json::array();
  for (const ContainerInfo& container : containers) {
    rows.push_back(row_of(container));
    all.push_back(json_of(container));
  }
  context.out.table(kHeader, rows);
  context.out.document({{"containers", std::move(all)}});
  return {};
}

Result<> query(Context& context, const std::string& name) {
  TRY(const ContainerName parsed, parse_container(name));
  TRY(Client * client, context.client());
  TRY(const ContainerInfo container, client->query_container(parsed.pool, parsed.container, context.bounds()));
  context.out.table(kHeader, {row_of(container)});
  if (container.clone_of) {
    context.out.line(fmt::format("clone of {} as of epoch {}: used is what it holds itself",
                                 container.clone_of->container.to_string(), container.clone_of->epoch.value()));
  }
  if (const auto& flattening = container.flattening) {
    context.out.line(fmt::format("being flattened: {} copied, about {} left", human_bytes(flattening->copied_bytes),
                                 human_bytes(flattening->left_bytes)));
    if (flattening->damaged > 0)
      context.out.line(fmt::format("{} parts of objects cannot be read, so it stays a clone", flattening->damaged));
    if (!flattening->obstacle.empty()) context.out.line("waiting: " + flattening->obstacle);
  }
  context.out.document(json_of(container));
  return {};
}

Result<> destroy(Context& context, const std::string& name) {
  TRY(const ContainerName parsed, parse_container(name));
  TRY(Client * client, context.client());
  CHECK_OK(client->destroy_container(parsed.pool, parsed.container, context.bounds()));
  context.out.line(fmt::format("destroyed container '{}'", name));
  context.out.document({{"destroyed", name}});
  return {};
}

Result<> set_property(Context& context, const std::string& name, const std::string& text) {
  TRY(const ContainerName parsed, parse_container(name));
  TRY(const auto property, parse_property(text));
  TRY(Client * client, context.client());
  CHECK_OK(client->set_property(parsed.pool, parsed.container, property.first, property.second, context.bounds()));
  context.out.line(fmt::format("{}: {} = {}", name, property.first, property.second));
  context.out.document({{property.first, property.second}});
  return {};
}

Result<> get_property(Context& context, const std::string& name, const std::string& key) {
  TRY(const ContainerName parsed, parse_container(name));
  TRY(Client * client, context.client());
  TRY(const ContainerInfo container, client->query_container(parsed.pool, parsed.container, context.bounds()));
  if (key.empty()) {
    std::vector<std::vector<std::string>> rows;
    for (const auto& [property, value] : container.properties) rows.push_back({property, value});
    context.out.table({"PROPERTY", "VALUE"}, rows);
    context.out.document(container.properties);
    return {};
  }
  const auto found = container.properties.find(key);
  if (found == container.properties.end())
    return failf(Code::kNotFound, "container '{}' has no property '{}'", name, key);
  context.out.line(found->second);
  context.out.document({{key, found->second}});
  return {};
}

}  // namespace

void add_container(CLI::App& app, Context& context) {
  CLI::App* container =
      add_noun(app, "container", "Containers: where objects, keys and files live",
               "A container is named POOL/CONTAINER, like scratch/home; its space comes from its pool.");
  struct Arguments {
    std::string name, source, snapshot, type, key, property;
    std::vector<std::string> properties;
  };
  const auto arguments = std::make_shared<Arguments>();
  const auto add_name = [&](CLI::App* verb) {
    verb->add_option("POOL/CONTAINER", arguments->name, "the container")->required();
  };

  CLI::App* verb = add_verb(*container, "create", "Create a container",
                            "  cenote container create scratch/things\n"
                            "  cenote container create scratch/home --type posix\n"
                            "  cenote container create scratch/logs --property compression=zstd\n"
                            "  cenote container create scratch/raw --property checksum=off\n"
                            "  cenote container create scratch/small --property quota=10GiB");
  add_name(verb);
  verb->add_option("--type", arguments->type,
                   "'posix' for files, 'kv' for keys and values; left out: for keys, values and objects")
      ->check(CLI::IsMember({"posix", "kv"}));
  verb->add_option(
      "--property", arguments->properties,
      "compression=lz4 or compression=zstd, checksum=off, encryption=off (these cannot be changed later), quota=SIZE, "
      "quota-soft=SIZE, quota-objects=COUNT, quota-objects-soft=COUNT, or user.NAME=VALUE; may be repeated");
  verb->callback([=, &context] {
    context.action = [=, &context] { return create(context, arguments->name, arguments->type, arguments->properties); };
  });

  verb = add_verb(*container, "clone", "Make a container that shows what another one shows",
                  "  cenote container clone scratch/home scratch/experiment\n"
                  "  cenote container clone scratch/home scratch/yesterday --snapshot monday");
  verb->add_option("POOL/SOURCE", arguments->source, "the container to clone")->required();
  verb->add_option("POOL/NAME", arguments->name, "the new container, in the same pool")->required();
  add_snapshot_option(*verb, arguments->snapshot, "a snapshot of the source; left out: as it is now");
  verb->footer(
      verb->get_footer() +
      "\nNothing is copied, whatever the size; both can be changed, each for itself. The source may be destroyed:\n"
      "what its clones show stays, and its space returns with the last of them, or when they are flattened.");
  verb->callback([=, &context] {
    context.action = [=, &context] { return clone(context, arguments->source, arguments->name, arguments->snapshot); };
  });

  verb = add_verb(*container, "list", "List the containers of a pool", "  cenote container list scratch");
  verb->add_option("POOL", arguments->name, "label or UUID of the pool")->required();
  verb->callback([=, &context] { context.action = [=, &context] { return list(context, arguments->name); }; });

  verb = add_verb(*container, "query", "Show one container", "  cenote container query scratch/home");
  add_name(verb);
  verb->callback([=, &context] { context.action = [=, &context] { return query(context, arguments->name); }; });

  verb = add_verb(*container, "destroy", "Destroy a container and all data in it",
                  "  cenote container destroy scratch/things");
  add_name(verb);
  verb->callback([=, &context] { context.action = [=, &context] { return destroy(context, arguments->name); }; });

  verb = add_verb(*container, "set-prop", "Set a property",
                  "  cenote container set-prop scratch/home user.owner=physics\n"
                  "  cenote container set-prop scratch/home quota=20GiB\n"
                  "  cenote container set-prop scratch/home quota-objects=2M\n"
                  "  cenote container set-prop scratch/home quota=none");
  add_name(verb);
  verb->add_option(
          "KEY=VALUE", arguments->property,
          "quota=SIZE or none: most bytes it may hold, old versions included; quota-objects=COUNT or none: most "
          "objects; quota-soft, quota-objects-soft: a mark in lists when it holds more; or a key of yours that "
          "starts with 'user.'")
      ->required();
  verb->callback([=, &context] {
    context.action = [=, &context] { return set_property(context, arguments->name, arguments->property); };
  });

  verb = add_verb(*container, "get-prop", "Show one property, or all",
                  "  cenote container get-prop scratch/home\n  cenote container get-prop scratch/home checksum");
  add_name(verb);
  verb->add_option("KEY", arguments->key, "the property; all when left out");
  verb->callback([=, &context] {
    context.action = [=, &context] { return get_property(context, arguments->name, arguments->key); };
  });

  add_container_check(*container, context);
  add_container_flatten(*container, context);
  add_snapshot(*container, context);
}

}  // namespace cenote::cli
