#include <fmt/ranges.h>

#include "cenote/base/format.h"
#include "cenote/protocol/control_requests.h"
#include "context.h"

namespace cenote::cli {
namespace {

std::string targets_of(const EngineInfo& engine) {
  if (engine.targets == 0) return "-";
  if (engine.targets == 1) return std::to_string(engine.first_target);
  return fmt::format("{}-{}", engine.first_target, engine.first_target + engine.targets - 1);
}

std::string or_dash(const std::string& text) { return text.empty() ? "-" : text; }

std::string describe(const CoordinatorInfo& coordinator) {
  if (coordinator.endpoints.empty()) return "in the engine";
  return fmt::format("etcd at {}{}", fmt::join(coordinator.endpoints, ","),
                     coordinator.managed ? ", run by engines" : "");
}

Result<> query(Context& context) {
  TRY(Client * client, context.client());
  TRY(const SystemInfo system, client->system(context.bounds()));
  // Of an earlier version nobody knows.
  const auto coordinator = client->coordinator(context.bounds());
  context.out.line(fmt::format("{} ({})", system.name, system.system.to_string()));
  std::vector<std::vector<std::string>> rows;
  for (const EngineInfo& engine : system.engines) {
    rows.push_back({std::to_string(engine.rank), engine.state, engine.leader ? "leader" : "",
                    or_dash(engine.addresses.empty() ? "" : engine.addresses.front()), or_dash(engine.control_address),
                    targets_of(engine), or_dash(engine.fault_domain), engine.id.to_string()});
  }
  context.out.table({"ENGINE", "STATE", "CONTROL", "ADDRESS", "CONTROL PORT", "TARGETS", "FAULT DOMAIN", "UUID"}, rows);
  if (system.stopped_since_s != 0) context.out.line(stopped_text(system));
  if (coordinator) context.out.line("coordinator: " + describe(*coordinator));
  for (const PoolTrouble& pool : system.degraded_pools)
    context.out.line(fmt::format("pool {}: {}", pool.label.empty() ? pool.id.to_string() : pool.label, pool.state));
  Json document = Json::parse(to_json(system));
  if (coordinator) {
    document["coordinator"] = {
        {"endpoints", coordinator->endpoints}, {"root", coordinator->root}, {"managed", coordinator->managed}};
  }
  context.out.document(document);
  return {};
}

}  // namespace

void add_system(CLI::App& app, Context& context) {
  CLI::App* system = add_noun(app, "system", "The system: all its engines",
                              "A system is one engine, or several that share a coordinator ('cenote server --help').");
  CLI::App* verb = add_verb(*system, "query", "Show the engines: where they are, who leads, who is gone",
                            "  cenote system query\n  cenote system query --json");
  verb->callback([&context] { context.action = [&context] { return query(context); }; });
  add_system_engines(*system, context);
  add_system_recover(*system, context);
  add_system_stop(*system, context);
}

}  // namespace cenote::cli
