#include "settings.h"

#include <toml++/toml.h>

#include <charconv>
#include <cmath>
#include <filesystem>

#include "cenote/base/assert.h"
#include "cenote/base/format.h"

namespace cenote::cli {

const std::vector<SettingSpec>& setting_specs() {
  static const std::vector<SettingSpec> specs = {
      {"client.server", "CENOTE_SERVER", "127.0.0.1:7777",
       "address of the system: HOST[:PORT], several separated by commas"},
      {"client.timeout", "CENOTE_TIMEOUT", "30s", "how long one operation may take"},
      {"server.data", "CENOTE_DATA", "/var/lib/cenote", "data directory of the engine"},
      {"server.name", "CENOTE_NAME", "cenote", "name of a system that is created"},
      {"server.listen", "CENOTE_LISTEN", "127.0.0.1:7777", "where clients connect"},
      {"server.control", "CENOTE_CONTROL", "",
       "where the control port (HTTP) listens; 'none' for no control port; nothing: the host of --listen, port 7778"},
      {"server.join", "CENOTE_JOIN", "",
       "HOST[:PORT] of an engine whose system a new data directory joins, several separated by commas; none: the first "
       "engine of a system of its own"},
      {"server.coordinator", "CENOTE_COORDINATOR", "",
       "endpoints of an etcd of yours for a system of several engines, http://HOST:PORT or https://HOST:PORT, "
       "separated "
       "by commas; none: a system of this engine, or what it joins"},
      {"server.coordinator-root", "CENOTE_COORDINATOR_ROOT", "cenote/",
       "what all keys of the system begin with there, ending in '/'"},
      {"server.coordinator-ca", "CENOTE_COORDINATOR_CA", "",
       "PEM file of the authorities that sign the endpoints' certificates; none: the machine's"},
      {"server.coordinator-cert", "CENOTE_COORDINATOR_CERT", "",
       "PEM file of a certificate for endpoints that ask for one"},
      {"server.coordinator-key", "CENOTE_COORDINATOR_KEY", "", "PEM file of that certificate's key"},
      {"server.etcd", "CENOTE_ETCD", "etcd", "the etcd that engines run for a system that others join"},
      {"server.etcd-port", "CENOTE_ETCD_PORT", "0",
       "port of that etcd for engines; the next one is for its other members; 0: the port of --listen plus 2"},
      {"server.etcd-patience", "CENOTE_ETCD_PATIENCE", "10m",
       "how long an engine that runs etcd may be away before another one does in its place; of all servers alike"},
      {"server.advertise", "CENOTE_ADVERTISE", "",
       "HOST[:PORT] at which the other engines of the system find this one; none: where it listens"},
      {"server.fault-domain", "CENOTE_FAULT_DOMAIN", "",
       "where the engine stands, from the highest level to its node, like rack1/node7"},
      {"server.auto-reintegrate",
       "CENOTE_AUTO_REINTEGRATE",
       "on",
       "whether engines that were lost and are back take part in pools again by themselves; of all servers alike",
       {"on", "off"}},
      {"server.targets", "CENOTE_TARGETS", "0", "storage targets of a new data directory; 0: one per core, at most 4"},
      {"server.target-size", "CENOTE_TARGET_SIZE", "0",
       "size of each target's file, like 100GiB, at creation; 0: a share of half the free space"},
      {"server.reactors", "CENOTE_REACTORS", "0", "threads that serve data; 0: one less than there are cores"},
      {"server.cache", "CENOTE_CACHE", "0",
       "metadata cache per target; 0: all together a sixteenth of the memory, each 64MiB to 1GiB"},
      {"server.log-size", "CENOTE_LOG_SIZE", "0",
       "write-ahead log per target, at creation; 0: chosen by the target's size"},
      {"server.devices", "CENOTE_DEVICES", "",
       "block devices or files to use as targets instead, separated by commas, at creation"},
      {"server.wal-devices", "CENOTE_WAL_DEVICES", "",
       "block devices or files for the logs of the targets, one each, at creation; none: within the targets"},
      {"server.data-devices", "CENOTE_DATA_DEVICES", "",
       "block devices or files for the data of the targets, one each, at creation; none: within the targets"},
      {"server.encryption-key-file", "CENOTE_ENCRYPTION_KEY_FILE", "",
       "file with the key that stores are encrypted under: 32 bytes or 64 hexadecimal digits, readable by its owner "
       "only"},
      {"server.encryption-key-command", "CENOTE_ENCRYPTION_KEY_COMMAND", "",
       "shell command that prints that key instead, within 30 seconds"},
      {"server.discard", "CENOTE_DISCARD", "false",
       "give freed space back to files and block devices (holes, TRIM), in the background"},
      {"server.attendant",
       "CENOTE_ATTENDANT",
       "true",
       "beside one engine of several: a second process, which tells the others at once when the engine has crashed",
       {"true", "false"}},
      {"server.pin-cpus", "CENOTE_PIN_CPUS", "false", "pin each reactor to a core"},
      {"server.insecure", "CENOTE_INSECURE", "false",
       "allow listening beyond this machine although there is no authentication"},
      {"server.scrub-rate", "CENOTE_SCRUB_RATE", "32MiB",
       "bytes per second that each target reads to prove what it stores; 0: never"},
      {"server.scrub-period", "CENOTE_SCRUB_PERIOD", "168h", "how often everything that is stored is proved"},
      {"server.stop-grace", "CENOTE_STOP_GRACE", "10s", "how long a stop waits for running requests"},
      {"server.log-level", "CENOTE_LOG_LEVEL", "info", "how much is logged", {"error", "warn", "info", "debug"}},
      {"server.log-file", "CENOTE_LOG_FILE", "", "write logs there instead of to standard error; rotated"},
  };
  return specs;
}

namespace {

const SettingSpec* find_spec(std::string_view key) {
  for (const SettingSpec& spec : setting_specs()) {
    if (spec.key == key) return &spec;
  }
  return nullptr;
}

/// The file to read when none was named: the first that exists.
std::string default_file(Settings::Environment environment) {
  std::vector<std::string> candidates;
  if (const auto config_home = environment("XDG_CONFIG_HOME")) {
    candidates.push_back(*config_home + "/cenote/config.toml");
  } else if (const auto home = environment("HOME")) {
    candidates.push_back(*home + "/.config/cenote/config.toml");
  }
  candidates.emplace_back("/etc/cenote/config.toml");
  for (const std::string& candidate : candidates) {
    std::error_code ignored;
    if (std::filesystem::exists(candidate, ignored)) return candidate;
  }
  return {};
}

Result<std::string> text_of(const toml::node& node, const std::string& key, const std::string& path) {
  if (const auto text = node.value_exact<std::string>()) return *text;
  if (const auto number = node.value_exact<std::int64_t>()) return fmt::format("{}", *number);
  if (const auto flag = node.value_exact<bool>()) return std::string(*flag ? "true" : "false");
  return failf(Code::kInvalidArgument, "{}: '{}' must be a text, a whole number or true/false", path, key);
}

}  // namespace

Result<Settings> Settings::load(std::optional<std::string> file, Environment environment) {
  Settings settings;
  for (const SettingSpec& spec : setting_specs()) {
    settings.values_[std::string(spec.key)] = {std::string(spec.fallback), "default"};
  }
  if (!file) file = environment("CENOTE_CONFIG");
  const bool named = file.has_value();
  const std::string path = named ? *file : default_file(environment);
  if (!path.empty()) CHECK_OK(settings.read_file(path));
  for (const SettingSpec& spec : setting_specs()) {
    if (auto value = environment(spec.environment)) {
      settings.values_[std::string(spec.key)] = {*std::move(value), fmt::format("${}", spec.environment)};
    }
  }
  return settings;
}

Result<> Settings::read_file(const std::string& path) {
  std::error_code missing;
  if (!std::filesystem::exists(path, missing)) return failf(Code::kNotFound, "no configuration file '{}'", path);
  // Opening it would succeed, and it would read as empty.
  if (std::filesystem::is_directory(path, missing)) {
    return failf(Code::kInvalidArgument, "'{}' is a directory: name a configuration file", path);
  }
  toml::table table;
  // The one library here that reports by exception; it ends at this edge.
  try {
    table = toml::parse_file(path);
  } catch (const toml::parse_error& error) {
    return failf(Code::kInvalidArgument, "{}:{}:{}: {}", path, error.source().begin.line, error.source().begin.column,
                 error.description());
  }
  for (const auto& [section, entries] : table) {
    const toml::table* inner = entries.as_table();
    if (inner == nullptr) {
      return failf(Code::kInvalidArgument, "{}: '{}' must stand in a section, [client] or [server]", path,
                   section.str());
    }
    for (const auto& [name, node] : *inner) {
      const std::string key = fmt::format("{}.{}", section.str(), name.str());
      if (find_spec(key) == nullptr) {
        return failf(Code::kInvalidArgument, "{}: unknown setting '{}' (see 'cenote config show')", path, key);
      }
      TRY(auto text, text_of(node, key, path));
      values_[key] = {std::move(text), path};
    }
  }
  file_ = path;
  return {};
}

void Settings::set_flag(std::string_view key, std::string value, std::string_view flag) {
  ASSERT(find_spec(key) != nullptr);
  values_[std::string(key)] = {std::move(value), std::string(flag)};
}

const Settings::Value& Settings::get(std::string_view key) const {
  const auto found = values_.find(key);
  ASSERT(found != values_.end());
  return found->second;
}

namespace {

Error of_setting(const Error& error, std::string_view key, const Settings::Value& value) {
  return error.with_context(fmt::format("{} (from {})", key, value.origin));
}

}  // namespace

Result<std::uint64_t> Settings::bytes(std::string_view key) const {
  const Value& value = get(key);
  auto parsed = parse_bytes(value.text);
  if (!parsed) return fail(of_setting(parsed.error(), key, value));
  return parsed;
}

Result<std::uint32_t> Settings::number(std::string_view key) const {
  const Value& value = get(key);
  std::uint32_t number = 0;
  const char* end = value.text.data() + value.text.size();
  const auto [stop, error] = std::from_chars(value.text.data(), end, number);
  if (error != std::errc() || stop != end) {
    return fail(
        of_setting(Error(Code::kInvalidArgument, fmt::format("'{}' is no whole number", value.text)), key, value));
  }
  return number;
}

Result<bool> Settings::flag(std::string_view key) const {
  const Value& value = get(key);
  if (value.text == "true" || value.text == "1" || value.text == "yes" || value.text == "on") return true;
  if (value.text == "false" || value.text == "0" || value.text == "no" || value.text == "off") return false;
  return fail(
      of_setting(Error(Code::kInvalidArgument, fmt::format("'{}' is neither true nor false", value.text)), key, value));
}

Result<Duration> Settings::duration(std::string_view key) const {
  const Value& value = get(key);
  auto parsed = parse_nanoseconds(value.text);
  if (!parsed) return fail(of_setting(parsed.error(), key, value));
  return Duration(static_cast<std::int64_t>(*parsed));
}

Error Settings::wrong(std::string_view key, std::string_view why) const {
  return of_setting(Error(Code::kInvalidArgument, std::string(why)), key, get(key));
}

namespace {

/// A number at the front of `text`; the rest is left there.
std::optional<double> take_number(std::string_view& text) {
  double number = 0;
  const auto [stop, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  if (error != std::errc() || !std::isfinite(number) || number < 0) return std::nullopt;
  text.remove_prefix(static_cast<std::size_t>(stop - text.data()));
  return number;
}

}  // namespace

Result<std::uint64_t> parse_bytes(std::string_view text) {
  const auto malformed = [&] {
    return failf(Code::kInvalidArgument, "'{}' is no size: write 4096, 64K, 1.5GiB or 2T (powers of 1024)", text);
  };
  std::string_view rest = text;
  const auto number = take_number(rest);
  if (!number) return malformed();
  std::string unit;
  for (const char c : rest) unit += static_cast<char>(std::toupper(static_cast<unsigned char>(c)));
  if (unit.size() > 2 && unit.ends_with("IB")) {
    unit.resize(unit.size() - 2);
  } else if (unit.ends_with("B")) {
    unit.resize(unit.size() - 1);
  }
  constexpr std::string_view kUnits = "KMGTP";
  double factor = 1;
  if (unit.size() > 1) return malformed();
  if (unit.size() == 1) {
    const std::size_t power = kUnits.find(unit[0]);
    if (power == std::string_view::npos) return malformed();
    factor = std::pow(1024.0, static_cast<double>(power + 1));
  }
  const double bytes = *number * factor;
  if (bytes >= 9.2e18) return failf(Code::kOutOfRange, "'{}' is more than any store can hold", text);
  if (bytes != std::floor(bytes)) return failf(Code::kInvalidArgument, "'{}' is no whole number of bytes", text);
  return static_cast<std::uint64_t>(bytes);
}

std::string human_bytes(std::uint64_t bytes) {
  constexpr const char* kUnits[] = {"B", "KiB", "MiB", "GiB", "TiB", "PiB"};
  auto value = static_cast<double>(bytes);
  std::size_t unit = 0;
  while (value >= 1024 && unit + 1 < std::size(kUnits)) {
    value /= 1024;
    ++unit;
  }
  return unit == 0 ? fmt::format("{} B", bytes) : fmt::format("{:.2f} {}", value, kUnits[unit]);
}

Result<std::uint64_t> parse_nanoseconds(std::string_view text) {
  std::string_view rest = text;
  const auto number = take_number(rest);
  double factor = 0;
  if (rest.empty() || rest == "s") factor = 1e9;
  if (rest == "ms") factor = 1e6;
  if (rest == "us") factor = 1e3;
  if (rest == "m") factor = 60e9;
  if (rest == "h") factor = 3600e9;
  constexpr double kYear = 365.0 * 24 * 3600 * 1e9;
  if (!number || factor == 0 || *number * factor > kYear) {
    return failf(Code::kInvalidArgument, "'{}' is no duration: write 250ms, 30s, 5m or 2h", text);
  }
  return static_cast<std::uint64_t>(*number * factor);
}

}  // namespace cenote::cli
