#include "cenote/base/format.h"
#include "cenote/protocol/control_requests.h"
#include "context.h"
#include "quota_text.h"

namespace cenote::cli {
namespace {

Json json_of(const PoolInfo& pool) { return Json::parse(to_json(pool)); }

std::vector<std::string> row_of(const PoolInfo& pool) {
  return {pool.label,
          human_bytes(pool.size_bytes),
          used_bytes_text(pool.used_bytes, pool.properties),
          used_objects_text(pool.used_objects, pool.properties),
          std::to_string(pool.containers),
          pool.id.to_string()};
}

const std::vector<std::string> kHeader = {"POOL", "SIZE", "USED", "OBJECTS", "CONTAINERS", "UUID"};

Result<> create(Context& context, const std::string& label, const std::string& size, std::uint32_t redundancy,
                const std::vector<std::string>& properties) {
  CreatePool request{.label = label, .size_bytes = 0, .properties = {}, .redundancy = redundancy};
  TRY(request.properties, parse_properties(properties));
  if (!size.empty()) {
    TRY(request.size_bytes, parse_bytes(size));
  }
  TRY(Client * client, context.client());
  TRY(const PoolInfo pool, client->create_pool(request, context.bounds()));
  context.out.line("created pool '" + pool.label + "' of " + human_bytes(pool.size_bytes) + " (" + pool.id.to_string() +
                   ")");
  context.out.document(json_of(pool));
  return {};
}

Result<> list(Context& context) {
  TRY(Client * client, context.client());
  TRY(const auto pools, client->list_pools(context.bounds()));
  std::vector<std::vector<std::string>> rows;
  Json all = Json::array();
  for (const PoolInfo& pool : pools) {
    rows.push_back(row_of(pool));
    all.push_back(json_of(pool));
  }
  context.out.table(kHeader, rows);
  context.out.document({{"pools", std::move(all)}});
  return {};
}

/// How far a move is; nothing, if there is none, or it cannot be told.
std::string moves_of(Client& client, Context& context, const PoolInfo& pool) {
  if (pool.engines.size() < 2 || pool.state == "up") return "";
  const auto moves = client.query_moves(pool.id.to_string(), context.bounds());
  if (!moves || !moves->moving) return "";
  return fmt::format(": {} % of about {}", moves->percent(), human_bytes(moves->total_bytes));
}

Result<> query(Context& context, const std::string& name) {
  TRY(Client * client, context.client());
  TRY(const PoolInfo pool, client->query_pool(name, context.bounds()));
  context.out.table(kHeader, {row_of(pool)});
  std::string map = pool.map_version == 0 ? "" : fmt::format(", map version {}", pool.map_version);
  context.out.line(
      fmt::format("redundancy {}{}, {}", pool.redundancy, map, pool.state + moves_of(*client, context, pool)));
  std::vector<std::vector<std::string>> engines;
  for (const MappedEngineInfo& engine : pool.engines)
    engines.push_back({std::to_string(engine.rank), engine.state, fmt::format("version {}", engine.since)});
  if (engines.size() > 1) context.out.table({"ENGINE", "STATE", "SINCE"}, engines);
  context.out.document(json_of(pool));
  return {};
}

Result<> destroy(Context& context, const std::string& name, bool force) {
  TRY(Client * client, context.client());
  CHECK_OK(client->destroy_pool(name, force, context.bounds()));
  context.out.line("destroyed pool '" + name + "'");
  context.out.document({{"destroyed", name}});
  return {};
}

Result<> set_property(Context& context, const std::string& name, const std::string& text) {
  TRY(const auto property, parse_property(text));
  TRY(Client * client, context.client());
  CHECK_OK(client->set_pool_property(name, property.first, property.second, context.bounds()));
  context.out.line(fmt::format("{}: {} = {}", name, property.first, property.second));
  context.out.document({{property.first, property.second}});
  return {};
}

}  // namespace

void add_pool(CLI::App& app, Context& context) {
  CLI::App* pool =
      add_noun(app, "pool", "Pools: space that containers share",
               "A pool is a promise of space: the sizes of all pools together never exceed what the targets hold.");
  struct Arguments {
    std::string name, size, property;
    std::uint32_t redundancy = 0;
    std::vector<std::string> properties;
    bool force = false;
  };
  const auto arguments = std::make_shared<Arguments>();

  CLI::App* verb = add_verb(*pool, "create", "Create a pool",
                            "  cenote pool create scratch --size 10GiB\n"
                            "  cenote pool create scratch --size 10GiB --property quota-objects=5M\n"
                            "  cenote pool create precious --redundancy 1    # of at least two engines\n"
                            "  cenote pool create all          # all space that is free");
  verb->add_option("LABEL", arguments->name, "name of the pool")->required();
  verb->add_option("--size", arguments->size, "space promised to the pool, like 10GiB; all free space when left out");
  verb->add_option("--redundancy", arguments->redundancy,
                   "engines that can be lost without loss of data, 0 (default) to 5: so many and one more have to be "
                   "there, each in a fault domain of its own; objects need a class that survives as much")
      ->check(CLI::Range(0, 5));
  constexpr const char* kProperties =
      "quota-objects=COUNT: most objects in all its containers; quota-soft=SIZE, quota-objects-soft=COUNT: a mark in "
      "lists when they hold more";
  verb->add_option("--property", arguments->properties, std::string(kProperties) + "; may be repeated");
  verb->callback([=, &context] {
    context.action = [=, &context] {
      return create(context, arguments->name, arguments->size, arguments->redundancy, arguments->properties);
    };
  });

  verb = add_verb(*pool, "list", "List all pools", "  cenote pool list\n  cenote pool list --json");
  verb->callback([&context] { context.action = [&context] { return list(context); }; });

  verb = add_verb(*pool, "query", "Show one pool, whether its engines are there, and which are excluded",
                  "  cenote pool query scratch");
  verb->add_option("POOL", arguments->name, "label or UUID")->required();
  verb->callback([=, &context] { context.action = [=, &context] { return query(context, arguments->name); }; });

  verb = add_verb(*pool, "set-prop", "Set a limit of a pool",
                  "  cenote pool set-prop scratch quota-objects=5M\n"
                  "  cenote pool set-prop scratch quota-soft=8GiB\n"
                  "  cenote pool set-prop scratch quota-objects=none");
  verb->add_option("POOL", arguments->name, "label or UUID")->required();
  verb->add_option("KEY=VALUE", arguments->property, std::string(kProperties) + "; or none")->required();
  verb->callback([=, &context] {
    context.action = [=, &context] { return set_property(context, arguments->name, arguments->property); };
  });

  verb = add_verb(*pool, "destroy", "Destroy a pool; refused while it has containers",
                  "  cenote pool destroy scratch\n  cenote pool destroy scratch --force    # with all its containers");
  verb->add_option("POOL", arguments->name, "label or UUID")->required();
  verb->add_flag("--force", arguments->force, "destroy its containers and all data in them, too");
  verb->callback([=, &context] {
    context.action = [=, &context] { return destroy(context, arguments->name, arguments->force); };
  });
  add_pool_engines(*pool, context);
}

}  // namespace cenote::cli
