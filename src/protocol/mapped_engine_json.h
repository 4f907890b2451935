#pragma once

// Lists, and the engines of a pool's map, which several of the control requests have.

#include <vector>

#include "cenote/protocol/control_requests.h"
#include "json_members.h"

namespace cenote::json {

inline Json json_of(const MappedEngineInfo& engine) {
  return {{"rank", engine.rank}, {"state", engine.state}, {"since", engine.since}};
}

inline Result<MappedEngineInfo> mapped_engine_from(const Json& json) {
  Members members("engine of a pool", json);
  MappedEngineInfo engine;
  engine.rank = members.small("rank");
  engine.state = members.text("state");
  engine.since = members.number("since");
  CHECK_OK(members.finish());
  return engine;
}

/// The entries of a list that may be absent.
template <typename T>
Result<> read_list(const Json& json, const char* name, Members& members, Result<T> (*read)(const Json&),
                   std::vector<T>& into) {
  if (!json.is_object() || !json.contains(name)) return {};
  const Json* const list = members.array(name);
  if (list == nullptr) return {};
  for (const Json& entry : *list) {
    TRY(auto value, read(entry));
    into.push_back(std::move(value));
  }
  return {};
}

}  // namespace cenote::json
