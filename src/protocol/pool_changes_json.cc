#include <algorithm>
#include <array>

#include "cenote/protocol/pool_changes.h"
#include "json_members.h"
#include "mapped_engine_json.h"

namespace cenote {
namespace {

using namespace json;

struct NamedOperation {
  PoolOperation operation;
  std::string_view name;
};
constexpr std::array kOperations = {
    NamedOperation{PoolOperation::kExclude, "exclude"}, NamedOperation{PoolOperation::kDrain, "drain"},
    NamedOperation{PoolOperation::kReintegrate, "reintegrate"}, NamedOperation{PoolOperation::kExtend, "extend"}};

Result<std::uint32_t> rank_from(const Json& json) {
  if (json.is_number_unsigned() && json.get<std::uint64_t>() <= UINT32_MAX) return json.get<std::uint32_t>();
  return fail(Code::kMalformed, "an engine is named by its rank, a number");
}

Result<EngineChange> engine_change_from(const Json& json) {
  Members members("engine", json);
  EngineChange change;
  change.rank = members.small("rank");
  change.outcome = members.text("outcome");
  change.state = members.text("state");
  CHECK_OK(members.finish());
  return change;
}

Json json_of(const TargetMove& move) {
  return {{"rank", move.rank},       {"target", move.target}, {"bytes", move.bytes},
          {"objects", move.objects}, {"done", move.done},     {"obstacle", move.obstacle}};
}

Result<TargetMove> target_move_from(const Json& json) {
  Members members("target", json);
  TargetMove move;
  move.rank = members.small("rank");
  move.target = members.small("target");
  move.bytes = members.number("bytes");
  move.objects = members.number("objects");
  move.done = members.flag_or("done", false);
  move.obstacle = members.text("obstacle");
  CHECK_OK(members.finish());
  return move;
}

}  // namespace

std::string_view operation_name(PoolOperation operation) {
  return std::ranges::find(kOperations, operation, &NamedOperation::operation)->name;
}

std::optional<PoolOperation> parse_operation(std::string_view name) {
  const auto found = std::ranges::find(kOperations, name, &NamedOperation::name);
  return found == kOperations.end() ? std::nullopt : std::optional(found->operation);
}

std::uint32_t PoolMoves::percent() const {
  if (!moving) return 100;
  if (total_bytes == 0) return 0;
  const double share = static_cast<double>(moved_bytes) / static_cast<double>(total_bytes);
  // The estimate may be too low.
  return static_cast<std::uint32_t>(std::min(99.0, share * 100));
}

std::string to_json(const ChangeEngines& request) { return dump({{"engines", request.engines}}); }

std::string to_json(const PoolChanged& changed) {
  Json engines = Json::array();
  for (const EngineChange& engine : changed.engines)
    engines.push_back({{"rank", engine.rank}, {"outcome", engine.outcome}, {"state", engine.state}});
  return dump({{"pool", changed.pool.to_string()},
               {"label", changed.label},
               {"map_version", changed.map_version},
               {"engines", std::move(engines)}});
}

std::string to_json(const PoolMoves& moves) {
  Json engines = Json::array();
  for (const MappedEngineInfo& engine : moves.engines) engines.push_back(json::json_of(engine));
  Json targets = Json::array();
  for (const TargetMove& target : moves.targets) targets.push_back(json_of(target));
  return dump({{"pool", moves.pool.to_string()},
               {"label", moves.label},
               {"map_version", moves.map_version},
               {"active_version", moves.active_version},
               {"moving", moves.moving},
               {"paused", moves.paused},
               {"state", moves.state},
               {"moved_bytes", moves.moved_bytes},
               {"moved_objects", moves.moved_objects},
               {"total_bytes", moves.total_bytes},
               {"engines", std::move(engines)},
               {"targets", std::move(targets)},
               {"silent", moves.silent}});
}

std::string pause_request_to_json(bool paused) { return dump({{"paused", paused}}); }

Result<ChangeEngines> change_engines_from_json(std::string_view json) {
  TRY(const Json document, parse("request", json));
  Members members("request", document);
  ChangeEngines request;
  // It must be there, other than in an answer.
  static_cast<void>(members.array("engines"));
  CHECK_OK(read_list(document, "engines", members, rank_from, request.engines));
  CHECK_OK(members.finish());
  return request;
}

Result<PoolChanged> pool_changed_from_json(std::string_view json) {
  TRY(const Json document, parse("change of a pool", json));
  Members members("change of a pool", document);
  PoolChanged changed;
  changed.pool = members.uuid("pool");
  changed.label = members.text("label");
  changed.map_version = members.number("map_version");
  CHECK_OK(read_list(document, "engines", members, engine_change_from, changed.engines));
  CHECK_OK(members.finish());
  return changed;
}

Result<PoolMoves> pool_moves_from_json(std::string_view json) {
  TRY(const Json document, parse("moves of a pool", json));
  Members members("moves of a pool", document);
  PoolMoves moves;
  moves.pool = members.uuid("pool");
  moves.label = members.text("label");
  moves.map_version = members.number("map_version");
  moves.active_version = members.number("active_version");
  moves.moving = members.flag_or("moving", false);
  moves.paused = members.flag_or("paused", false);
  moves.state = members.text("state");
  moves.moved_bytes = members.number("moved_bytes");
  moves.moved_objects = members.number("moved_objects");
  moves.total_bytes = members.number("total_bytes");
  CHECK_OK(read_list(document, "engines", members, mapped_engine_from, moves.engines));
  CHECK_OK(read_list(document, "targets", members, target_move_from, moves.targets));
  CHECK_OK(read_list(document, "silent", members, rank_from, moves.silent));
  CHECK_OK(members.finish());
  return moves;
}

Result<bool> pause_request_from_json(std::string_view json) {
  TRY(const Json document, parse("request", json));
  Members members("request", document);
  if (!document.is_object() || !document.contains("paused")) members.note("member 'paused' is missing");
  const bool paused = members.flag_or("paused", false);
  CHECK_OK(members.finish());
  return paused;
}

}  // namespace cenote
