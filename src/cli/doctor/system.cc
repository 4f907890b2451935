#include "system.h"

#include "cenote/base/format.h"
#include "cenote/rpc/address.h"
#include "damage_listing.h"
#include "http_get.h"
#include "server_options.h"

namespace cenote::cli {
namespace {

constexpr std::uint64_t kFewFree = 20;  // part of the space, one in so many

Finding judge_targets(const SystemInfo& info) {
  std::string down;
  for (const TargetInfo& target : info.targets) {
    if (target.state != "up")
      down += fmt::format("{}target {} is {}", down.empty() ? "" : "; ", target.index, target.state);
  }
  if (down.empty()) return ok("targets", fmt::format("{}, all up", info.targets.size()));
  return bad("targets", down,
             "its data cannot be changed until the engine has been restarted; look at its log and at the disk first");
}

Finding judge_control(const SystemInfo& info) {
  if (info.control_state == "up") return ok("control state", "up");
  return bad("control state", info.control_state,
             "pools and containers cannot be changed, and perhaps not be found, until the engine has been restarted; "
             "look at its log and at the disk first");
}

/// A choice, so neither is a fault; but half of it is mostly a mistake.
Finding judge_encryption(const SystemInfo& info) {
  std::size_t encrypted = info.encrypted ? 1 : 0;
  for (const TargetInfo& target : info.targets) encrypted += target.encrypted ? 1 : 0;
  const std::size_t stores = info.targets.size() + 1;
  if (encrypted == 0) return ok("encryption at rest", "off");
  if (encrypted == stores) return ok("encryption at rest", fmt::format("on, in all {} stores", stores));
  return warn("encryption at rest", fmt::format("on in {} of {} stores", encrypted, stores),
              "start the engine with its key: stores that are not encrypted become so");
}

Finding judge_space(const SystemInfo& info) {
  std::uint64_t total = 0, free = 0;
  for (const TargetInfo& target : info.targets) {
    total += target.total_bytes;
    free += target.free_bytes;
  }
  const std::string found = fmt::format("{} of {} free", human_bytes(free), human_bytes(total));
  for (const TargetInfo& target : info.targets) {
    if (target.free_bytes < target.total_bytes / kFewFree) {
      return warn("space of the system", fmt::format("{}, and target {} is nearly full", found, target.index),
                  "writes are refused when a target is full: delete something, or use more or larger targets");
    }
  }
  return ok("space of the system", found);
}

Finding check_ready(const std::string& control) {
  const auto answer = http_get(control, "/readyz", std::chrono::seconds(2));
  if (!answer) {
    return warn("control port", answer.error().message(),
                "metrics and health checks are not seen there: look for a firewall");
  }
  if (answer->status == 200) return ok("control port", fmt::format("http://{} says ready", control));
  return bad("control port", fmt::format("http://{} says {}", control, answer->status),
             "the engine is starting or stopping, or the system is stopped: look at the engine's log");
}

PortState state_of(const std::string& address, bool ours) {
  if (ours) return PortState::kOurs;
  const auto free = can_listen(address);
  return free && *free ? PortState::kFree : PortState::kTaken;
}

/// Whether the engine that answered is the one at this address.
bool answers_at(const std::optional<SystemInfo>& info, const std::string& address) {
  return info && (info->data_address == address || info->control_address == address);
}

}  // namespace

Findings judge_system(const SystemInfo& info, std::string_view own_version) {
  Findings findings = {ok("system", fmt::format("'{}' answers at {}", info.name, info.data_address))};
  if (info.version == own_version) {
    findings.push_back(ok("version", info.version));
  } else {
    findings.push_back(warn("version", fmt::format("the system has {}, this command {}", info.version, own_version),
                            "they work together, but upgrade the older one soon"));
  }
  if (info.stopped_since_s != 0)
    findings.push_back(warn("service",
                            fmt::format("the system is stopped since {}", local_time_text(info.stopped_since_s)),
                            "'cenote system start' lets it go on"));
  findings.push_back(judge_targets(info));
  findings.push_back(judge_control(info));
  findings.push_back(judge_space(info));
  findings.push_back(judge_encryption(info));
  return findings;
}

Finding judge_port(std::string_view setting, const std::string& address, PortState state) {
  const std::string check = fmt::format("{} ({})", setting, address);
  switch (state) {
    case PortState::kFree:
      return ok(check, "free");
    case PortState::kOurs:
      return ok(check, "in use by the engine that answers");
    case PortState::kTaken:
      break;
  }
  return bad(check, "in use by another program, or no address of this machine",
             fmt::format("see who has it with 'ss -ltnp', or choose another for {}", setting));
}

Findings check_system(const Settings& settings, Duration patience) {
  Findings findings;
  std::optional<SystemInfo> info;
  const auto& server = settings.get("client.server");
  async::ConnectOptions options;
  options.name = "cenote-doctor";
  options.timeout = patience;
  auto client = connect(server.text, options);
  auto answer = client ? client->system({.timeout = patience}) : Result<SystemInfo>(fail(client.error()));
  if (answer) {
    info = *std::move(answer);
    findings = judge_system(*info, CENOTE_VERSION);
    if (!info->control_address.empty()) findings.push_back(check_ready(info->control_address));
  } else if (server.origin == "default") {
    findings.push_back(
        ok("system", fmt::format("none runs at {} yet: start one with 'cenote server' or 'cenote dev'", server.text)));
  } else {
    findings.push_back(bad("system", answer.error().message(),
                           fmt::format("check the address (from {}) and that its engine runs", server.origin)));
  }
  for (const std::string_view key : {"server.listen", "server.control"}) {
    const std::string address = key == "server.control" ? control_address(settings) : settings.text(key);
    if (address == "none") continue;
    findings.push_back(judge_port(key, address, state_of(address, answers_at(info, address))));
  }
  return findings;
}

}  // namespace cenote::cli
