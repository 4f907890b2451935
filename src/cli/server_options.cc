#include "server_options.h"

#include <array>
#include <thread>

#include "cenote/base/format.h"
#include "cenote/rpc/address.h"
#include "encryption_key.h"

namespace cenote::cli {
namespace {

constexpr std::uint16_t kControlPort = 7778;

struct FieldOfSetting {
  std::string_view field;  ///< how errors of the engine begin
  std::string_view key;
};
constexpr std::array kFields = {FieldOfSetting{"targets ", "server.targets"},
                                FieldOfSetting{"target_bytes ", "server.target-size"},
                                FieldOfSetting{"target path", "server.devices"},
                                FieldOfSetting{"wal path", "server.wal-devices"},
                                FieldOfSetting{"data path", "server.data-devices"},
                                FieldOfSetting{"the system name", "server.name"},
                                FieldOfSetting{"listen address", "server.listen"},
                                FieldOfSetting{"control address", "server.control"},
                                FieldOfSetting{"advertise address", "server.advertise"},
                                FieldOfSetting{"fault domain", "server.fault-domain"},
                                FieldOfSetting{"reactors ", "server.reactors"},
                                FieldOfSetting{"cache_bytes ", "server.cache"},
                                FieldOfSetting{"log_bytes ", "server.log-size"},
                                FieldOfSetting{"scrub_bytes_per_second ", "server.scrub-rate"},
                                FieldOfSetting{"scrub_period ", "server.scrub-period"}};

}  // namespace

Result<std::vector<std::string>> list_in(const Settings& settings, const char* key, std::string_view what) {
  std::vector<std::string> parts;
  const std::string list = settings.text(key);
  std::string_view text = list;
  for (bool more = !text.empty(); more;) {
    const std::size_t comma = text.find(',');
    more = comma != std::string_view::npos;
    parts.emplace_back(text.substr(0, comma));
    if (parts.back().empty()) return fail(settings.wrong(key, fmt::format("{} between commas is empty", what)));
    if (more) text.remove_prefix(comma + 1);
  }
  return parts;
}

Error in_terms_of_settings(const Settings& settings, const Error& error) {
  for (const auto& [field, key] : kFields) {
    if (!error.message().starts_with(field)) continue;
    return Error(error.code(), settings.wrong(key, error.message()).message());
  }
  return error;
}

std::string control_address(const Settings& settings) {
  std::string named = settings.text("server.control");
  if (!named.empty()) return named;
  // What is no address is told to be none by whoever listens there.
  const auto listen = rpc::Address::parse(settings.text("server.listen"));
  return rpc::Address{listen ? listen->host : "127.0.0.1", kControlPort}.to_string();
}

Result<engine::EngineOptions> engine_options(const Settings& settings) {
  engine::EngineOptions options;
  options.data_directory = settings.text("server.data");
  options.system_name = settings.text("server.name");
  options.listen_address = settings.text("server.listen");
  options.control_address = control_address(settings);
  if (options.control_address == "none") options.control_address.clear();
  options.advertise_address = settings.text("server.advertise");
  options.fault_domain = settings.text("server.fault-domain");
  TRY(options.auto_reintegrate, settings.flag("server.auto-reintegrate"));
  TRY(options.target_paths, list_in(settings, "server.devices", "a path"));
  TRY(options.wal_paths, list_in(settings, "server.wal-devices", "a path"));
  TRY(options.data_paths, list_in(settings, "server.data-devices", "a path"));
  TRY(options.targets, settings.number("server.targets"));
  TRY(options.target_bytes, settings.bytes("server.target-size"));
  TRY(options.reactors, settings.number("server.reactors"));
  TRY(options.cache_bytes, settings.bytes("server.cache"));
  TRY(options.log_bytes, settings.bytes("server.log-size"));
  TRY(options.discard, settings.flag("server.discard"));
  TRY(options.pin_cpus, settings.flag("server.pin-cpus"));
  TRY(options.insecure, settings.flag("server.insecure"));
  TRY(options.scrub_bytes_per_second, settings.bytes("server.scrub-rate"));
  TRY(options.scrub_period, settings.duration("server.scrub-period"));
  TRY(options.stop_grace, settings.duration("server.stop-grace"));
  auto checked = engine::with_defaults(options, std::thread::hardware_concurrency());
  if (!checked) return fail(in_terms_of_settings(settings, checked.error()));
  // Last, since it may run a command.
  TRY(options.encryption_key, encryption_key(settings));
  return options;
}

Result<LogOptions> log_options(const Settings& settings) {
  LogOptions options;
  const auto level = parse_log_level(settings.text("server.log-level"));
  if (!level) return fail(settings.wrong("server.log-level", level.error().message()));
  options.level = *level;
  options.file = settings.text("server.log-file");
  options.to_stderr = options.file.empty();
  options.background = true;
  return options;
}

}  // namespace cenote::cli
