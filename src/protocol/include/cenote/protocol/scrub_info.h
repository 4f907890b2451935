#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "cenote/base/error.h"
#include "cenote/base/uuid.h"

namespace cenote {

// What a running system says of the data it proves (docs/protocols/admin.md). JSON forms as of control_requests.h.

/// Something that a running system stored and found damaged. As far as it is known: whose, and which part of it.
struct DamageInfo {
  std::uint32_t target = 0;
  std::string kind;     ///< "page", "entry", "data"
  std::string message;  ///< what it is, in a sentence
  std::string advice;   ///< what to do about it
  std::string device;
  std::optional<std::uint64_t> block, blocks, page;
  std::optional<Uuid> container;
  std::optional<std::string> object, dkey, akey;  ///< keys in printable form
  std::optional<std::uint64_t> epoch;
  std::optional<std::uint64_t> first, records;  ///< of an array, those that cannot be read
  bool repaired = false;                        ///< it was damaged: the server had it whole in memory and wrote it anew
  // Of what the scrub of a target knows, in seconds since 1970.
  std::optional<std::uint64_t> found_s;  ///< for the first time
  std::optional<std::uint64_t> seen_s;   ///< the begin of the last pass that found it
};

/// Damage that one answer names; more is counted only, and so is what would make the answer larger than this.
inline constexpr std::size_t kMaxDamagesTold = 256;
inline constexpr std::size_t kMaxDamageBytesTold = 384u << 10;

/// Adds what there is room for and says how many were left out.
std::uint64_t append_damages(std::vector<DamageInfo>& to, std::vector<DamageInfo> more);

/// How far a check of a container, or a whole one, has come. As a string: "running"; "whole"; "damaged"; "cancelled";
/// "failed": it could not go on.
inline constexpr const char* kCheckRunning = "running";
inline constexpr const char* kCheckWhole = "whole";
inline constexpr const char* kCheckDamaged = "damaged";
inline constexpr const char* kCheckCancelled = "cancelled";
inline constexpr const char* kCheckFailed = "failed";

/// The part of one target in a check.
struct CheckedTarget {
  std::uint32_t index = 0;
  std::string state;
  std::uint64_t leaves = 0;
  std::uint64_t pages = 0;    ///< images of metadata pages, read from the device
  std::uint64_t entries = 0;  ///< versions and punches of all levels
  std::uint64_t read_bytes = 0;
  std::uint64_t verified_bytes = 0;     ///< of data that equals its checksums
  std::uint64_t unprotected_bytes = 0;  ///< of data without checksums, which was read
  std::uint64_t damages = 0;
  std::uint64_t repaired = 0;  ///< images of pages that were damaged and are written anew
  std::string error;           ///< why it failed
};

struct ContainerCheck {
  Uuid id;  ///< of the request that began it
  Uuid container;
  std::string state;
  std::uint64_t bytes_per_second = 0;  ///< of each target; 0: what the devices give
  std::uint64_t elapsed_ms = 0;
  std::uint64_t total_bytes = 0;  ///< what the container held when the check began
  std::vector<CheckedTarget> targets;
  std::vector<DamageInfo> findings;
  std::uint64_t findings_omitted = 0;

  std::uint64_t proved_bytes() const;  ///< of `total_bytes`, about
  std::uint64_t read_bytes() const;
};

struct BeginCheck {
  std::uint64_t bytes_per_second = 0;
};

/// What the scrub of one target does. Times in seconds since 1970, 0: never.
struct TargetScrub {
  std::uint32_t index = 0;
  std::string state;  ///< "off", "running", "paused", "waiting"
  std::uint64_t bytes_per_second = 0;
  std::uint64_t period_s = 0;
  std::uint64_t began_s = 0;            ///< the last pass
  std::uint64_t ended_s = 0;            ///< the last pass that came to its end
  std::uint64_t pass_bytes = 0;         ///< read by the present pass, or by the last one
  std::uint64_t used_bytes = 0;         ///< of the target, about what a pass reads
  std::optional<Uuid> container;        ///< where the present pass is
  std::optional<std::uint64_t> left_s;  ///< about, of the present pass
  std::uint64_t damages = 0;            ///< known now
  std::uint64_t repaired = 0;           ///< since the start
};
inline constexpr const char* kScrubOff = "off";
inline constexpr const char* kScrubRunning = "running";
inline constexpr const char* kScrubPaused = "paused";
inline constexpr const char* kScrubWaiting = "waiting";

struct SystemScrub {
  std::vector<TargetScrub> targets;
  std::vector<DamageInfo> findings;
  std::uint64_t findings_omitted = 0;
};

enum class ScrubAction : std::uint8_t { kStart, kPause, kResume };
struct ControlScrub {
  ScrubAction action = ScrubAction::kStart;
  std::optional<std::uint32_t> target;  ///< none: all
};

std::string to_json(const ContainerCheck& check);
std::string to_json(const SystemScrub& scrub);
std::string to_json(const ControlScrub& request);
Result<SystemScrub> system_scrub_from_json(std::string_view json);
Result<ControlScrub> control_scrub_from_json(std::string_view json);
std::string to_json(const BeginCheck& request);
Result<ContainerCheck> container_check_from_json(std::string_view json);
Result<BeginCheck> begin_check_from_json(std::string_view json);

}  // namespace cenote
