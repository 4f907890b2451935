#include "cenote/protocol/control_requests.h"
#include "cenote/protocol/system_stop.h"
#include "json_members.h"
#include "mapped_engine_json.h"

namespace cenote {
namespace {

using namespace json;

Result<StoppedEngine> stopped_engine_from(const Json& json) {
  Members members("engine", json);
  StoppedEngine engine;
  engine.rank = members.small("rank");
  engine.state = members.text("state");
  engine.needed = members.flag_or("needed", false);
  engine.quiet = members.flag_or("quiet", false);
  CHECK_OK(members.finish());
  return engine;
}

}  // namespace

std::vector<std::uint32_t> SystemStopInfo::busy() const {
  std::vector<std::uint32_t> ranks;
  for (const StoppedEngine& engine : engines)
    if (engine.state == kEngineUp && !engine.quiet) ranks.push_back(engine.rank);
  return ranks;
}

std::vector<std::uint32_t> SystemStopInfo::missing() const {
  std::vector<std::uint32_t> ranks;
  for (const StoppedEngine& engine : engines)
    if (engine.state != kEngineUp && engine.needed) ranks.push_back(engine.rank);
  return ranks;
}

std::string to_json(const SystemStopInfo& info) {
  Json engines = Json::array();
  for (const StoppedEngine& engine : info.engines)
    engines.push_back(
        {{"rank", engine.rank}, {"state", engine.state}, {"needed", engine.needed}, {"quiet", engine.quiet}});
  return dump({{"stopped_since_s", info.stopped_since_s}, {"changed", info.changed}, {"engines", std::move(engines)}});
}

std::string to_json(const StartSystem& request) { return dump({{"now", request.now}}); }

Result<SystemStopInfo> system_stop_from_json(std::string_view json) {
  TRY(const Json document, parse("stop of a system", json));
  Members members("stop of a system", document);
  SystemStopInfo info;
  info.stopped_since_s = members.number("stopped_since_s");
  info.changed = members.flag_or("changed", false);
  CHECK_OK(read_list(document, "engines", members, stopped_engine_from, info.engines));
  CHECK_OK(members.finish());
  return info;
}

Result<StartSystem> start_system_from_json(std::string_view json) {
  TRY(const Json document, parse("request", json));
  Members members("request", document);
  StartSystem request;
  request.now = members.flag_or("now", false);
  CHECK_OK(members.finish());
  return request;
}

}  // namespace cenote
