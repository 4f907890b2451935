#include "messages.h"

#include <charconv>

#include "base64.h"
#include "cenote/base/format.h"

namespace cenote::etcd {
namespace {

using cluster::KeyValue;
using cluster::LeaseId;
using cluster::Revision;
using cluster::WatchEvent;

std::unexpected<Error> no_answer(std::string_view what) {
  return failf(Code::kProtocolError, "etcd answers with what is no {}", what);
}

Result<std::string> bytes_of(const Json& object, const char* name) {
  const auto found = object.find(name);
  if (found == object.end()) return std::string();
  if (!found->is_string()) return no_answer("text");
  auto bytes = from_base64(found->get_ref<const std::string&>());
  if (!bytes) return no_answer("base64");
  return *std::move(bytes);
}

Result<KeyValue> entry_of(const Json& kv) {
  if (!kv.is_object()) return no_answer("entry");
  KeyValue entry;
  TRY(entry.key, bytes_of(kv, "key"));
  TRY(entry.value, bytes_of(kv, "value"));
  entry.modified = Revision(number_of(kv, "mod_revision"));
  entry.lease = LeaseId(number_of(kv, "lease"));
  if (entry.key.empty() || entry.modified == Revision(0)) return no_answer("entry");
  return entry;
}

Result<WatchEvent> event_of(const Json& json) {
  if (!json.is_object()) return no_answer("event");
  TRY(KeyValue entry, entry_of(member_of(json, "kv")));
  const std::string type = text_of(json, "type");
  if (type == "DELETE") return WatchEvent{std::move(entry.key), std::nullopt, entry.modified};
  if (!type.empty() && type != "PUT") return no_answer("event that is known");
  return WatchEvent{std::move(entry.key), std::move(entry.value), entry.modified, entry.lease};
}

}  // namespace

Result<Json> parse_answer(std::string_view text) {
  Json json = Json::parse(text, nullptr, false);
  if (!json.is_object()) return no_answer("JSON object");
  return json;
}

std::uint64_t number_of(const Json& object, const char* name) {
  const auto found = object.find(name);
  if (found == object.end()) return 0;
  if (found->is_number_unsigned()) return found->get<std::uint64_t>();
  if (!found->is_string()) return 0;
  const auto& text = found->get_ref<const std::string&>();
  std::uint64_t number = 0;
  const auto [end, flaw] = std::from_chars(text.data(), text.data() + text.size(), number);
  return flaw == std::errc() && end == text.data() + text.size() ? number : 0;
}

bool flag_of(const Json& object, const char* name) {
  const auto found = object.find(name);
  return found != object.end() && found->is_boolean() && found->get<bool>();
}

std::string text_of(const Json& object, const char* name) {
  const auto found = object.find(name);
  return found != object.end() && found->is_string() ? found->get<std::string>() : "";
}

const Json& member_of(const Json& object, const char* name) {
  static const Json empty = Json::object();
  const auto found = object.find(name);
  return found != object.end() && found->is_object() ? *found : empty;
}

std::string end_of_prefix(std::string prefix) {
  while (!prefix.empty() && prefix.back() == '\xff') prefix.pop_back();
  ASSERT(!prefix.empty());
  prefix.back() = static_cast<char>(static_cast<unsigned char>(prefix.back()) + 1);
  return prefix;
}

Header header_of(const Json& answer) {
  const Json& header = member_of(answer, "header");
  return {number_of(header, "cluster_id"), Revision(number_of(header, "revision"))};
}

Result<std::vector<KeyValue>> entries_of(const Json& range) {
  std::vector<KeyValue> entries;
  const auto found = range.find("kvs");
  if (found == range.end()) return entries;
  if (!found->is_array()) return no_answer("list of entries");
  for (const Json& kv : *found) {
    TRY(KeyValue entry, entry_of(kv));
    entries.push_back(std::move(entry));
  }
  return entries;
}

Result<WatchMessage> parse_watch_message(std::string_view line) {
  TRY(const Json json, parse_answer(line));
  WatchMessage message;
  if (json.contains("error")) {
    const Json& error = member_of(json, "error");
    message.error = text_of(error, "message");
    if (message.error.empty()) message.error = text_of(json, "error");
    if (message.error.empty()) message.error = "the watch has ended";
    return message;
  }
  const Json& result = member_of(json, "result");
  message.header = header_of(result);
  message.compacted = Revision(number_of(result, "compact_revision"));
  message.created = flag_of(result, "created");
  message.cancelled = flag_of(result, "canceled");
  message.more = flag_of(result, "fragment");
  const auto events = result.find("events");
  if (events == result.end()) return message;
  if (!events->is_array()) return no_answer("list of events");
  for (const Json& json_event : *events) {
    TRY(WatchEvent event, event_of(json_event));
    if (!message.events.empty() && event.revision < message.events.back().revision) return no_answer("order of events");
    message.events.push_back(std::move(event));
  }
  return message;
}

std::string range_request(std::string_view key, std::string_view end, std::size_t limit) {
  Json request{{"key", to_base64(key)}};
  if (!end.empty()) request["range_end"] = to_base64(end);
  if (limit > 0) request["limit"] = std::to_string(limit);
  return request.dump();
}

std::string watch_request(std::string_view prefix, Revision first) {
  const Json create{{"key", to_base64(prefix)},
                    {"range_end", to_base64(end_of_prefix(std::string(prefix)))},
                    {"start_revision", std::to_string(first.value())},
                    {"progress_notify", true},
                    {"fragment", true}};
  return Json{{"create_request", create}}.dump();
}

std::string member_request(std::uint64_t id) { return Json{{"ID", std::to_string(id)}}.dump(); }

namespace {

Result<std::vector<std::string>> texts_of(const Json& object, const char* name) {
  std::vector<std::string> texts;
  const auto found = object.find(name);
  if (found == object.end()) return texts;
  if (!found->is_array()) return no_answer("list of URLs");
  for (const Json& text : *found) {
    if (!text.is_string()) return no_answer("list of URLs");
    texts.push_back(text.get<std::string>());
  }
  return texts;
}

}  // namespace

Result<std::vector<ClusterMember>> members_of(const Json& answer) {
  const auto list = answer.find("members");
  if (list == answer.end() || !list->is_array()) return no_answer("list of members");
  std::vector<ClusterMember> members;
  for (const Json& json : *list) {
    ClusterMember member;
    if (json.is_object()) member.id = number_of(json, "ID");
    if (member.id == 0) return no_answer("member");
    member.name = text_of(json, "name");
    member.learner = flag_of(json, "isLearner");
    TRY(member.peer_urls, texts_of(json, "peerURLs"));
    TRY(member.client_urls, texts_of(json, "clientURLs"));
    members.push_back(std::move(member));
  }
  return members;
}

namespace {

/// What etcd's status codes, which are gRPC's, mean here.
struct StatusMeaning {
  std::uint64_t status;
  std::string_view part;  ///< of the message; "": any
  Code code;
  bool again;
  bool may_count;
};
// The first row that fits. Proposals that timed out, or lost their leader, may still be decided: rows 1, 4 and 14.
constexpr StatusMeaning kMeanings[] = {
    {1, "", Code::kConnectionLost, true, true},                // canceled
    {3, "", Code::kInvalidArgument, false, false},             // too large, too many operations, no key
    {4, "", Code::kConnectionLost, true, true},                // deadline exceeded
    {5, "lease", Code::kLeaseExpired, false, false},           // requested lease not found
    {5, "", Code::kNotFound, false, false},                    //
    {6, "", Code::kExists, false, false},                      //
    {7, "", Code::kPermissionDenied, false, false},            //
    {8, "database space", Code::kNoSpace, false, false},       // until somebody compacts and disarms the alarm
    {8, "", Code::kBusy, true, false},                         // too many requests
    {9, "lease already exists", Code::kExists, false, false},  //
    {9, "", Code::kConditionFailed, false, false},      // members: not in sync, too many learners, too few started
    {11, "compacted", Code::kCompacted, false, false},  //
    {11, "", Code::kOutOfRange, false, false},          // a future revision
    {12, "", Code::kUnsupported, false, false},         //
    {14, "", Code::kUnreachable, true, true},           // no leader, leader changed, timed out
    {16, "", Code::kPermissionDenied, false, false},    //
};

}  // namespace

Refusal refusal_of(long http_status, std::string_view body) {
  const auto json = parse_answer(body);
  const std::uint64_t status = json ? number_of(*json, "code") : 0;
  const std::string message = json ? text_of(*json, "message") : "";
  for (const StatusMeaning& meaning : kMeanings) {
    if (meaning.status != status || !message.contains(meaning.part)) continue;
    return {Error(meaning.code, message), meaning.again, meaning.may_count};
  }
  if (status == 0 && http_status >= 400 && http_status < 500) {
    Error error(
        Code::kProtocolError,
        fmt::format("HTTP status {}: this is no etcd of version 3.4 or later with its JSON gateway", http_status));
    return {std::move(error), false, false};
  }
  return {Error(Code::kConnectionLost, message.empty() ? fmt::format("HTTP status {}", http_status) : message), true,
          true};
}

}  // namespace cenote::etcd
