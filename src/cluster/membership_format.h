#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "cenote/base/epoch.h"
#include "cenote/cluster/engine_list.h"
#include "cenote/cluster/member.h"
#include "cenote/cluster/pool_map_store.h"

// Keys and values of docs/formats/membership.md.
namespace cenote::cluster {

inline constexpr std::string_view kMembershipPrefix = "membership/";
inline constexpr std::string_view kEnginePrefix = "membership/engine/";
inline constexpr std::string_view kPlacePrefix = "membership/place/";
inline constexpr std::string_view kMemberPrefix = "membership/member/";
inline constexpr std::string_view kExitPrefix = "membership/exit/";
inline constexpr std::string_view kPoolPrefix = "membership/pool/";
inline constexpr std::string_view kAckPrefix = "membership/ack/";
inline constexpr std::string_view kMovedPrefix = "membership/moved/";
/// Begins as the keys of pools' maps do, so that whoever watches these sees it, too.
inline constexpr std::string_view kStoppedKey = "membership/pools-stopped";
inline constexpr std::string_view kMapsPrefix = "membership/pool";  ///< of both
inline constexpr std::string_view kQuietPrefix = "membership/quiet/";
inline constexpr std::string_view kSupervisorKey = "membership/supervisor";

std::string place_key(Rank rank);
std::string engine_key(Rank rank);
std::string member_key(Rank rank);
std::string exit_key(Rank rank);
std::string quiet_key(Rank rank);
std::string pool_prefix(Uuid pool);
std::string head_key(Uuid pool);
std::string active_key(Uuid pool);
std::string suspended_key(Uuid pool);
std::string losses_key(Uuid pool);
std::string paused_key(Uuid pool);
std::string piece_key(Uuid pool, std::size_t index);
std::string ack_prefix(Uuid pool);
std::string ack_key(Uuid pool, Rank rank);
std::string moved_prefix(Uuid pool);
std::string moved_key(Uuid pool, Rank rank);
/// The rank at the end of a key. kMalformed: there is none.
Result<Rank> rank_of_key(std::string_view key);
/// The pool of a key below kPoolPrefix. kMalformed: there is none.
Result<Uuid> pool_of_key(std::string_view key);

/// Which engine a rank belongs to, for ever, and the numbers of its targets among those of the system.
struct PlaceRecord {
  Uuid engine;
  std::uint32_t first_target = 0;
  std::uint32_t targets = 0;
  friend bool operator==(const PlaceRecord&, const PlaceRecord&) = default;
};

/// What is known of an engine for ever, whether it runs or not.
struct EngineRecord {
  Incarnation incarnation;  ///< of its last registration
  Uuid engine;
  Uuid process;
  bool ended = false;  ///< that incarnation said itself that it serves no more
  friend bool operator==(const EngineRecord&, const EngineRecord&) = default;
};

/// An incarnation that runs: belongs to its lease.
struct MemberRecord {
  Incarnation incarnation;
  Uuid process;
  std::vector<std::string> addresses;
  // Since format 2; empty in records of before.
  std::string control_address = {};
  std::string fault_domain = {};
  friend bool operator==(const MemberRecord&, const MemberRecord&) = default;
};

/// An engine works on a version and serves no older one: belongs to its lease.
struct AckRecord {
  Incarnation incarnation;
  MapVersion version;
  // Since format 2; 0 in records of before.
  Epoch used;  ///< no change that it began under an older version has a later epoch
  friend bool operator==(const AckRecord&, const AckRecord&) = default;
};

/// The version of a map that engines serve.
struct ActiveRecord {
  MapVersion version;
  // Since format 2; 0 in records of before.
  Epoch closed;  ///< the latest of `used`: what is begun under this version gets later epochs
  friend bool operator==(const ActiveRecord&, const ActiveRecord&) = default;
};

struct HeadRecord {
  MapVersion version;
  std::uint32_t bytes = 0;  ///< of the map, in its pieces
  std::uint32_t redundancy = 0;
  friend bool operator==(const HeadRecord&, const HeadRecord&) = default;
};

struct SuspendedRecord {
  MapVersion version;  ///< in which exclusion was refused
  std::vector<Rank> ranks;
  friend bool operator==(const SuspendedRecord&, const SuspendedRecord&) = default;
};

/// By rank, each once; never none.
struct LossesRecord {
  std::vector<Loss> losses;
  friend bool operator==(const LossesRecord&, const LossesRecord&) = default;
};

/// Targets of an engine that have all that they should under a version of the map.
struct MovedRecord {
  MapVersion version;
  std::uint64_t targets = 0;  ///< bit i: the target with index i in the engine
  friend bool operator==(const MovedRecord&, const MovedRecord&) = default;
};

/// That the system is stopped, while it is there.
struct StoppedRecord {
  WallTime since;
  friend bool operator==(const StoppedRecord&, const StoppedRecord&) = default;
};

/// Nothing runs at an engine that clients had asked for before the system was stopped: belongs to its lease.
struct QuietRecord {
  Incarnation incarnation;
  Revision stop;  ///< of the record that says that the system is stopped
  friend bool operator==(const QuietRecord&, const QuietRecord&) = default;
};

std::string encode(const StoppedRecord& record);
std::string encode(const QuietRecord& record);
std::string encode(const MovedRecord& record);
Result<MovedRecord> decode_moved(std::string_view value);
std::string encode(const PlaceRecord& record);
std::string encode(const EngineRecord& record);
std::string encode(const MemberRecord& record);
std::string encode(const AckRecord& record);
std::string encode(const ActiveRecord& record);
std::string encode(const HeadRecord& record);
std::string encode(const SuspendedRecord& record);
std::string encode(const LossesRecord& record);
std::string encode_exit(Uuid process);

// kMalformed: no such value. kNewerFormat: of a Cenote that this one cannot read.
Result<PlaceRecord> decode_place(std::string_view value);
Result<EngineRecord> decode_engine(std::string_view value);
Result<MemberRecord> decode_member(std::string_view value);
Result<AckRecord> decode_ack(std::string_view value);
Result<HeadRecord> decode_head(std::string_view value);
Result<SuspendedRecord> decode_suspended(std::string_view value);
Result<LossesRecord> decode_losses(std::string_view value);
Result<Uuid> decode_exit(std::string_view value);
Result<StoppedRecord> decode_stopped(std::string_view value);
Result<QuietRecord> decode_quiet(std::string_view value);
Result<ActiveRecord> decode_active(std::string_view value);

}  // namespace cenote::cluster
