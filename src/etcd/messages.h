#pragma once

#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "cenote/cluster/coordinator.h"
#include "cenote/etcd/etcd_cluster.h"

// etcd's JSON: what we send and what we read, which nobody has vouched for. Keys here are etcd's own, with the root.
// Bytes are base64, 64-bit numbers are text, and what is zero, false or empty is left out.
namespace cenote::etcd {

using Json = nlohmann::json;

/// kProtocolError for what is no JSON object. Never throws.
Result<Json> parse_answer(std::string_view text);
/// Of an object; 0 where it is left out or no number.
std::uint64_t number_of(const Json& object, const char* name);
bool flag_of(const Json& object, const char* name);
std::string text_of(const Json& object, const char* name);
/// A member that is an object; an empty object where there is none.
const Json& member_of(const Json& object, const char* name);

/// The end of the range of all keys that begin with `prefix`: the first key behind them. `prefix` is not empty and has
/// a byte below 0xff.
std::string end_of_prefix(std::string prefix);

/// What an answer says of the cluster.
struct Header {
  std::uint64_t cluster = 0;
  cluster::Revision revision;
};
Header header_of(const Json& answer);

/// The entries of an answer to a range; kProtocolError for what is none.
Result<std::vector<cluster::KeyValue>> entries_of(const Json& range);

/// The members in an answer; kProtocolError for what is no list of them.
Result<std::vector<ClusterMember>> members_of(const Json& answer);

/// One message of a watch.
struct WatchMessage {
  std::vector<cluster::WatchEvent> events;
  Header header;  ///< everything up to its revision was sent, if there are no events and it is not `created`
  cluster::Revision compacted;  ///< not 0: the watch asked for what is forgotten up to here
  bool created = false;
  bool cancelled = false;
  bool more = false;  ///< further parts of the same message follow
  std::string error;  ///< the stream ends with it
};
/// kProtocolError for what is none.
Result<WatchMessage> parse_watch_message(std::string_view line);

// Requests.
std::string range_request(std::string_view key, std::string_view end, std::size_t limit);
std::string watch_request(std::string_view prefix, cluster::Revision first);
std::string member_request(std::uint64_t id);

/// What to make of an answer that is no success.
struct Refusal {
  Error error;
  bool again = false;     ///< another try, here or elsewhere, may go better
  bool may_count = true;  ///< the request may have taken effect all the same
};
Refusal refusal_of(long http_status, std::string_view body);

}  // namespace cenote::etcd
