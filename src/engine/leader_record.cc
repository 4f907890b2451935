#include "leader_record.h"

#include "cenote/base/format.h"
#include "json_fields.h"

namespace cenote::engine {
namespace {

Result<LeaderRecord> parse_leader(std::string_view value) {
  TRY(const Json json, parse_object(value));
  TRY(const std::uint64_t rank, number_field(json, "rank"));
  const auto addresses = json.find("addresses");
  if (rank > UINT32_MAX || addresses == json.end() || !addresses->is_array())
    return fail(Code::kMalformed, "it has no rank, or no addresses");
  LeaderRecord record{.rank = cluster::Rank(static_cast<std::uint32_t>(rank)), .addresses = {}};
  for (const Json& address : *addresses) {
    if (!address.is_string()) return fail(Code::kMalformed, "an address is no string");
    record.addresses.push_back(address.get<std::string>());
  }
  return record;
}

}  // namespace

std::string encode(const LeaderRecord& record) {
  return json_text(Json{{"rank", record.rank.value()}, {"addresses", record.addresses}});
}

Result<LeaderRecord> decode_leader(std::string_view value) {
  auto record = parse_leader(value);
  if (!record)
    return failf(Code::kCorrupt, "the record of the control leader is damaged: {}", record.error().message());
  return record;
}

}  // namespace cenote::engine
