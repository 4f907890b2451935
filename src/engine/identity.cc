#include "cenote/engine/identity.h"

#include <algorithm>

#include "cenote/base/checksum.h"
#include "cenote/base/format.h"
#include "cenote/engine/engine_options.h"
#include "json_fields.h"

namespace cenote::engine {
namespace {

constexpr const char* kMagic = "cenote-engine";
constexpr const char* kCreating = "creating";
constexpr const char* kReady = "ready";

Json encode_device(const DeviceIdentity& device) { return Json{{"path", device.path}, {"bytes", device.bytes}}; }

Json encode_store(const StoreIdentity& store) {
  Json json{{"id", store.id.to_string()}, {"path", store.path}, {"bytes", store.bytes}, {"log_bytes", store.log_bytes}};
  if (store.wal) json["wal"] = encode_device(*store.wal);
  if (store.data) json["data"] = encode_device(*store.data);
  return json;
}

Result<std::optional<DeviceIdentity>> decode_device(const Json& store, const char* role) {
  const auto json = store.find(role);
  if (json == store.end()) return std::nullopt;
  if (!json->is_object()) return failf(Code::kMalformed, "the {} device of a store is no JSON object", role);
  DeviceIdentity device;
  TRY(device.path, text_field(*json, "path"));
  TRY(device.bytes, number_field(*json, "bytes"));
  if (device.path.empty()) return failf(Code::kMalformed, "the {} device of a store has no path", role);
  return device;
}

bool has_own_devices(const Identity& identity) {
  return std::ranges::any_of(identity.targets, [](const StoreIdentity& store) { return store.wal || store.data; });
}

Result<StoreIdentity> decode_store(const Json& json) {
  if (!json.is_object()) return fail(Code::kMalformed, "a store is no JSON object");
  StoreIdentity store;
  TRY(store.id, uuid_field(json, "id"));
  TRY(store.path, text_field(json, "path"));
  TRY(store.bytes, number_field(json, "bytes"));
  TRY(store.log_bytes, number_field(json, "log_bytes"));
  TRY(store.wal, decode_device(json, "wal"));
  TRY(store.data, decode_device(json, "data"));
  if (store.path.empty()) return fail(Code::kMalformed, "a store has no path");
  return store;
}

// Of the document without its checksum. The members of an object are sorted and the layout is fixed, so equal documents
// give equal text.
std::uint32_t checksum_of(const Json& document) { return crc32c(as_bytes(json_text(document))); }

Result<> check_document(Json& document) {
  TRY(const std::string magic, text_field(document, "magic"));
  if (magic != kMagic) return failf(Code::kMalformed, "magic is '{}'", printable(as_bytes(magic)));
  // The version comes before the checksum: a newer format may compute it in another way.
  TRY(const std::uint64_t oldest, number_field(document, "oldest_reader"));
  if (oldest > kIdentityFormat) {
    return failf(Code::kNewerFormat,
                 "written in format {}, which needs a Cenote that reads format {}; this one reads {}",
                 document.value("format", Json(0)).dump(), oldest, kIdentityFormat);
  }
  TRY(const std::uint64_t stored, number_field(document, "crc32c"));
  document.erase("crc32c");
  if (stored != checksum_of(document)) return fail(Code::kMalformed, "its checksum does not match");
  return {};
}

/// What has nothing new in it stays readable for those who know earlier formats only.
std::uint32_t format_of(const Identity& identity) {
  if (!identity.coordinator) return kIdentityFormat;
  return has_own_devices(identity) ? 2 : 1;
}

Result<Identity> decode_document(const Json& document) {
  Identity identity;
  TRY(const std::string state, text_field(document, "state"));
  if (state != kCreating && state != kReady) return failf(Code::kMalformed, "state is '{}'", state);
  identity.state = state == kReady ? Identity::State::kReady : Identity::State::kCreating;
  TRY(identity.system, uuid_field(document, "system"));
  TRY(identity.engine, uuid_field(document, "engine"));
  TRY(identity.name, text_field(document, "name"));
  const auto coordinator = document.find("coordinator");
  const auto targets = document.find("targets");
  TRY(const std::uint64_t format, number_field(document, "format"));
  if ((coordinator == document.end() && format < 3) || targets == document.end() || !targets->is_array()) {
    return fail(Code::kMalformed, "the lists of stores are missing");
  }
  if (coordinator != document.end()) {
    TRY(identity.coordinator, decode_store(*coordinator));
  }
  for (const Json& target : *targets) {
    TRY(auto store, decode_store(target));
    identity.targets.push_back(std::move(store));
  }
  if (identity.targets.empty() || identity.targets.size() > kMaxTargets) {
    return failf(Code::kMalformed, "it lists {} targets", identity.targets.size());
  }
  return identity;
}

}  // namespace

std::string encode_identity(const Identity& identity) {
  Json targets = Json::array();
  for (const StoreIdentity& target : identity.targets) targets.push_back(encode_store(target));
  const std::uint32_t format = format_of(identity);
  Json document{{"magic", kMagic},
                {"format", format},
                {"oldest_reader", format},
                {"state", identity.state == Identity::State::kReady ? kReady : kCreating},
                {"system", identity.system.to_string()},
                {"engine", identity.engine.to_string()},
                {"name", identity.name},
                {"targets", std::move(targets)}};
  if (identity.coordinator) document["coordinator"] = encode_store(*identity.coordinator);
  document["crc32c"] = checksum_of(document);
  return json_text(document, 2) + "\n";
}

Result<Identity> decode_identity(std::string_view text) {
  // Inside, kMalformed says what is wrong; outside it is stored bytes that are damaged.
  const auto decode = [&]() -> Result<Identity> {
    TRY(Json document, parse_object(text));
    CHECK_OK(check_document(document));
    return decode_document(document);
  };
  auto identity = decode();
  if (!identity && identity.error() == Code::kMalformed) return fail(Code::kCorrupt, identity.error().message());
  return identity;
}

}  // namespace cenote::engine
