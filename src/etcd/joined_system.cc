#include "cenote/etcd/joined_system.h"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <charconv>
#include <cstdio>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <nlohmann/json.hpp>

#include "cenote/base/format.h"

namespace cenote::etcd {
namespace {

using Json = nlohmann::json;

constexpr const char* kFile = "joined.json";
constexpr const char* kTemporary = "joined.json.new";
constexpr std::size_t kMaxBytes = 1u << 20;
constexpr std::uint32_t kFormat = 1;

/// Members of an object of which the first that is missing, or of another type, is remembered.
class Reader {
 public:
  explicit Reader(const Json& object) : object_(object) {}
  std::string text(const char* name) {
    const auto found = object_.find(name);
    if (found == object_.end() || !found->is_string()) return note(name), std::string();
    return found->get<std::string>();
  }
  bool flag(const char* name) {
    const auto found = object_.find(name);
    if (found == object_.end() || !found->is_boolean()) return note(name), false;
    return found->get<bool>();
  }
  std::uint32_t number(const char* name) {
    const auto found = object_.find(name);
    if (found == object_.end() || !found->is_number_unsigned() || found->get<std::uint64_t>() > UINT32_MAX)
      return note(name), 0;
    return found->get<std::uint32_t>();
  }
  std::vector<std::uint32_t> numbers(const char* name) {
    std::vector<std::uint32_t> all;
    const auto found = object_.find(name);
    if (found == object_.end() || !found->is_array()) return note(name), all;
    for (const Json& one : *found)
      one.is_number_unsigned() && one.get<std::uint64_t>() <= UINT32_MAX ? all.push_back(one.get<std::uint32_t>())
                                                                         : note(name);
    return all;
  }
  std::vector<std::string> texts(const char* name) {
    std::vector<std::string> all;
    const auto found = object_.find(name);
    if (found == object_.end() || !found->is_array()) return note(name), all;
    for (const Json& one : *found) one.is_string() ? all.push_back(one.get<std::string>()) : note(name);
    return all;
  }
  Result<> finish() const {
    if (problem_.empty()) return {};
    return failf(Code::kCorrupt, "'{}' is missing or of another type", problem_);
  }

 private:
  void note(const char* name) {
    if (problem_.empty()) problem_ = name;
  }
  const Json& object_;
  std::string problem_;
};

Result<OwnMember> decode_member(const Json& json) {
  if (!json.is_object()) return fail(Code::kCorrupt, "'member' is no object");
  Reader reader(json);
  OwnMember member;
  member.name = reader.text("name");
  member.client_url = reader.text("client_url");
  member.peer_url = reader.text("peer_url");
  member.number = reader.number("number");
  member.initial_cluster = reader.text("initial_cluster");
  member.token = reader.text("token");
  member.started = reader.flag("started");
  CHECK_OK(reader.finish());
  return member;
}

std::unexpected<Error> failed(std::string_view what, const std::string& path) {
  const Code code = errno == EACCES || errno == EPERM || errno == EROFS ? Code::kPermissionDenied
                    : errno == ENOSPC || errno == EDQUOT                ? Code::kDeviceFull
                                                                        : Code::kIoError;
  return failf(code, "cannot {} '{}': {}", what, path, std::strerror(errno));
}

Result<> write_and_sync(const std::string& path, std::string_view text) {
  const int file = ::open(path.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0640);
  if (file < 0) return failed("create", path);
  Result<> outcome;
  while (outcome && !text.empty()) {
    const ssize_t written = ::write(file, text.data(), text.size());
    if (written >= 0) {
      text.remove_prefix(static_cast<std::size_t>(written));
    } else if (errno != EINTR) {
      outcome = failed("write", path);
    }
  }
  if (outcome && ::fsync(file) != 0) outcome = failed("sync", path);
  ::close(file);
  return outcome;
}

Result<> sync_directory(const std::string& path) {
  const int directory = ::open(path.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  const bool synced = directory >= 0 && ::fsync(directory) == 0;
  auto outcome = synced ? Result<>() : Result<>(failed("sync directory", path));
  if (directory >= 0) ::close(directory);
  return outcome;
}

}  // namespace

std::string encode_joined(const JoinedSystem& joined) {
  Json json{{"format", kFormat},         {"endpoints", joined.endpoints},     {"root", joined.root},
            {"managed", joined.managed}, {"memberships", joined.memberships}, {"moving", joined.moving},
            {"over", joined.over}};
  if (const auto& member = joined.member) {
    json["member"] = {{"name", member->name},
                      {"client_url", member->client_url},
                      {"peer_url", member->peer_url},
                      {"number", member->number},
                      {"started", member->started},
                      {"token", member->token},
                      {"initial_cluster", member->initial_cluster}};
  }
  return json.dump(2) + "\n";
}

Result<JoinedSystem> decode_joined(std::string_view text) {
  const Json json = Json::parse(text, nullptr, false);
  if (!json.is_object()) return fail(Code::kCorrupt, "it is no JSON object");
  Reader reader(json);
  const std::uint32_t format = reader.number("format");
  if (format > kFormat) return failf(Code::kNewerFormat, "it has format {}, of a later version", format);
  JoinedSystem joined;
  joined.endpoints = reader.texts("endpoints");
  joined.root = reader.text("root");
  joined.managed = reader.flag("managed");
  joined.moving = reader.flag("moving");
  joined.memberships = reader.number("memberships");
  joined.over = reader.numbers("over");
  CHECK_OK(reader.finish());
  if (joined.endpoints.empty()) return fail(Code::kCorrupt, "it names no endpoint");
  if (joined.root.size() < 2 || !joined.root.ends_with('/')) return fail(Code::kCorrupt, "it names no root");
  if (const auto member = json.find("member"); member != json.end()) {
    TRY(joined.member, decode_member(*member));
  }
  return joined;
}

Result<std::optional<JoinedSystem>> load_joined(const std::string& data_directory) {
  const std::string path = data_directory + "/" + kFile;
  std::ifstream file(path, std::ios::binary);
  if (!file) {
    if (errno == ENOENT || errno == ENOTDIR) return std::nullopt;
    return failed("open", path);
  }
  std::string text(kMaxBytes, '\0');
  file.read(text.data(), static_cast<std::streamsize>(text.size()));
  text.resize(static_cast<std::size_t>(file.gcount()));
  auto joined = decode_joined(text);
  if (!joined && joined.error() == Code::kNewerFormat) return fail(joined.error().with_context(path));
  if (!joined) {
    return failf(
        Code::kCorrupt,
        "'{}' is damaged ({}): restore it, or move it away and start once with --join HOST of another engine of "
        "the system, which writes it anew",
        path, joined.error().message());
  }
  return std::optional(*std::move(joined));
}

std::string member_folder(const std::string& data_directory, const OwnMember& member) {
  return fmt::format("{}/etcd/{}", data_directory, member.number);
}

bool has_lost_data(const std::string& data_directory, const OwnMember& member) {
  std::error_code ignored;
  return member.started && !std::filesystem::exists(member_folder(data_directory, member) + "/member/wal", ignored);
}

std::uint32_t next_membership(const std::string& data_directory, const JoinedSystem& joined) {
  std::uint32_t last = joined.memberships;
  std::error_code ignored;
  for (const auto& entry : std::filesystem::directory_iterator(data_directory + "/etcd", ignored)) {
    const std::string name = entry.path().filename().string();
    std::uint32_t number = 0;
    const auto [end, error] = std::from_chars(name.data(), name.data() + name.size(), number);
    if (error == std::errc() && end == name.data() + name.size()) last = std::max(last, number);
  }
  return last + 1;
}

Result<> save_joined(const std::string& data_directory, const JoinedSystem& joined) {
  const std::string path = data_directory + "/" + kFile;
  const std::string temporary = data_directory + "/" + kTemporary;
  CHECK_OK(write_and_sync(temporary, encode_joined(joined)));
  if (std::rename(temporary.c_str(), path.c_str()) != 0) return failed("replace", path);
  return sync_directory(data_directory);
}

}  // namespace cenote::etcd
