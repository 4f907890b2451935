#include <algorithm>
#include <utility>

#include "cenote/protocol/scrub_info.h"
#include "json_members.h"

namespace cenote {
namespace {

using namespace json;

template <typename T>
void put(Json& object, const char* name, const std::optional<T>& value) {
  if (value) object[name] = *value;
}

Json json_of(const DamageInfo& damage) {
  Json json = {{"target", damage.target},
               {"kind", damage.kind},
               {"message", damage.message},
               {"advice", damage.advice},
               {"device", damage.device}};
  put(json, "block", damage.block);
  put(json, "blocks", damage.blocks);
  put(json, "page", damage.page);
  if (damage.container) json["container"] = damage.container->to_string();
  put(json, "object", damage.object);
  put(json, "dkey", damage.dkey);
  put(json, "akey", damage.akey);
  put(json, "epoch", damage.epoch);
  put(json, "first", damage.first);
  put(json, "records", damage.records);
  if (damage.repaired) json["repaired"] = true;
  put(json, "found_s", damage.found_s);
  put(json, "seen_s", damage.seen_s);
  return json;
}

Result<DamageInfo> damage_from(const Json& json) {
  Members members("finding", json);
  DamageInfo damage;
  damage.target = members.small("target");
  damage.kind = members.text("kind");
  damage.message = members.text("message");
  damage.advice = members.text_or("advice", "");
  damage.device = members.text_or("device", "");
  damage.block = members.number_if("block");
  damage.blocks = members.number_if("blocks");
  damage.page = members.number_if("page");
  if (members.text_if("container")) damage.container = members.uuid("container");
  damage.object = members.text_if("object");
  damage.dkey = members.text_if("dkey");
  damage.akey = members.text_if("akey");
  damage.epoch = members.number_if("epoch");
  damage.first = members.number_if("first");
  damage.records = members.number_if("records");
  damage.repaired = members.flag_or("repaired", false);
  damage.found_s = members.number_if("found_s");
  damage.seen_s = members.number_if("seen_s");
  CHECK_OK(members.finish());
  return damage;
}

Json json_of(const CheckedTarget& target) {
  Json json = {{"index", target.index},
               {"state", target.state},
               {"leaves", target.leaves},
               {"pages", target.pages},
               {"entries", target.entries},
               {"read_bytes", target.read_bytes},
               {"verified_bytes", target.verified_bytes},
               {"unprotected_bytes", target.unprotected_bytes},
               {"damages", target.damages},
               {"repaired", target.repaired}};
  if (!target.error.empty()) json["error"] = target.error;
  return json;
}

Result<CheckedTarget> checked_target_from(const Json& json) {
  Members members("target", json);
  CheckedTarget target;
  target.index = members.small("index");
  target.state = members.text("state");
  target.leaves = members.number("leaves");
  target.pages = members.number("pages");
  target.entries = members.number("entries");
  target.read_bytes = members.number("read_bytes");
  target.verified_bytes = members.number("verified_bytes");
  target.unprotected_bytes = members.number("unprotected_bytes");
  target.damages = members.number("damages");
  target.repaired = members.number_or("repaired", 0);
  target.error = members.text_or("error", "");
  CHECK_OK(members.finish());
  return target;
}

Json json_of(const TargetScrub& target) {
  Json json = {{"index", target.index},
               {"state", target.state},
               {"bytes_per_second", target.bytes_per_second},
               {"period_s", target.period_s},
               {"began_s", target.began_s},
               {"ended_s", target.ended_s},
               {"pass_bytes", target.pass_bytes},
               {"used_bytes", target.used_bytes},
               {"damages", target.damages},
               {"repaired", target.repaired}};
  if (target.container) json["container"] = target.container->to_string();
  put(json, "left_s", target.left_s);
  return json;
}

Result<TargetScrub> target_scrub_from(const Json& json) {
  Members members("target", json);
  TargetScrub target;
  target.index = members.small("index");
  target.state = members.text("state");
  target.bytes_per_second = members.number("bytes_per_second");
  target.period_s = members.number("period_s");
  target.began_s = members.number("began_s");
  target.ended_s = members.number("ended_s");
  target.pass_bytes = members.number("pass_bytes");
  target.used_bytes = members.number("used_bytes");
  target.damages = members.number("damages");
  target.repaired = members.number("repaired");
  if (members.text_if("container")) target.container = members.uuid("container");
  target.left_s = members.number_if("left_s");
  CHECK_OK(members.finish());
  return target;
}

constexpr std::pair<ScrubAction, std::string_view> kActions[] = {
    {ScrubAction::kStart, "start"}, {ScrubAction::kPause, "pause"}, {ScrubAction::kResume, "resume"}};

template <typename T>
Json array_of(const std::vector<T>& list) {
  Json array = Json::array();
  for (const T& entry : list) array.push_back(json_of(entry));
  return array;
}

template <typename T>
Result<std::vector<T>> read_array(Members& members, const char* name, Result<T> (*read)(const Json&)) {
  std::vector<T> list;
  const Json* array = members.array(name);
  if (array == nullptr) return list;
  for (const Json& entry : *array) {
    TRY(auto value, read(entry));
    list.push_back(std::move(value));
  }
  return list;
}

/// Of one finding in an answer, about: every character may need an escape.
std::size_t told_bytes(const DamageInfo& damage) {
  constexpr std::size_t kRest = 512;
  return kRest + 2 * (damage.message.size() + damage.advice.size() + damage.device.size() +
                      damage.dkey.value_or("").size() + damage.akey.value_or("").size());
}

}  // namespace

std::uint64_t append_damages(std::vector<DamageInfo>& to, std::vector<DamageInfo> more) {
  std::size_t bytes = 0;
  for (const DamageInfo& damage : to) bytes += told_bytes(damage);
  std::uint64_t omitted = 0;
  for (DamageInfo& damage : more) {
    bytes += told_bytes(damage);
    if (to.size() < kMaxDamagesTold && bytes <= kMaxDamageBytesTold) {
      to.push_back(std::move(damage));
    } else {
      ++omitted;
    }
  }
  return omitted;
}

std::uint64_t ContainerCheck::proved_bytes() const {
  std::uint64_t sum = 0;
  for (const CheckedTarget& target : targets) sum += target.verified_bytes + target.unprotected_bytes;
  return sum;
}

std::uint64_t ContainerCheck::read_bytes() const {
  std::uint64_t sum = 0;
  for (const CheckedTarget& target : targets) sum += target.read_bytes;
  return sum;
}

std::string to_json(const ContainerCheck& check) {
  return dump({{"id", check.id.to_string()},
               {"container", check.container.to_string()},
               {"state", check.state},
               {"bytes_per_second", check.bytes_per_second},
               {"elapsed_ms", check.elapsed_ms},
               {"total_bytes", check.total_bytes},
               {"targets", array_of(check.targets)},
               {"findings", array_of(check.findings)},
               {"findings_omitted", check.findings_omitted}});
}

std::string to_json(const SystemScrub& scrub) {
  return dump({{"targets", array_of(scrub.targets)},
               {"findings", array_of(scrub.findings)},
               {"findings_omitted", scrub.findings_omitted}});
}

Result<SystemScrub> system_scrub_from_json(std::string_view json) {
  TRY(const Json document, parse("scrub", json));
  Members members("scrub", document);
  SystemScrub scrub;
  scrub.findings_omitted = members.number("findings_omitted");
  TRY(scrub.targets, read_array(members, "targets", target_scrub_from));
  TRY(scrub.findings, read_array(members, "findings", damage_from));
  CHECK_OK(members.finish());
  return scrub;
}

std::string to_json(const ControlScrub& request) {
  Json json = Json::object();
  for (const auto& [action, name] : kActions) {
    if (action == request.action) json["action"] = name;
  }
  put(json, "target", request.target);
  return dump(json);
}

Result<ControlScrub> control_scrub_from_json(std::string_view json) {
  TRY(const Json document, parse("request", json));
  Members members("request", document);
  ControlScrub request;
  const std::string wanted = members.text("action");
  const auto known = std::ranges::find(kActions, wanted, &std::pair<ScrubAction, std::string_view>::second);
  if (known == std::end(kActions)) {
    members.note("member 'action' is none of start, pause and resume");
  } else {
    request.action = known->first;
  }
  if (document.is_object() && document.contains("target")) request.target = members.small("target");
  CHECK_OK(members.finish());
  return request;
}

std::string to_json(const BeginCheck& request) { return dump({{"bytes_per_second", request.bytes_per_second}}); }

Result<ContainerCheck> container_check_from_json(std::string_view json) {
  TRY(const Json document, parse("check", json));
  Members members("check", document);
  ContainerCheck check;
  check.id = members.uuid("id");
  check.container = members.uuid("container");
  check.state = members.text("state");
  check.bytes_per_second = members.number("bytes_per_second");
  check.elapsed_ms = members.number("elapsed_ms");
  check.total_bytes = members.number("total_bytes");
  check.findings_omitted = members.number("findings_omitted");
  TRY(check.targets, read_array(members, "targets", checked_target_from));
  TRY(check.findings, read_array(members, "findings", damage_from));
  CHECK_OK(members.finish());
  return check;
}

Result<BeginCheck> begin_check_from_json(std::string_view json) {
  TRY(const Json document, parse("request", json));
  Members members("request", document);
  BeginCheck request;
  request.bytes_per_second = members.number_or("bytes_per_second", 0);
  CHECK_OK(members.finish());
  return request;
}

}  // namespace cenote
