#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "cenote/base/error.h"

namespace cenote::etcd {

/// The member of etcd that runs beside an engine, as the engine keeps it.
struct OwnMember {
  std::string name;             ///< "engine-7", by the engine's rank
  std::string client_url;       ///< where engines reach it
  std::string peer_url;         ///< where the other members do
  std::uint32_t number = 1;     ///< of this engine's memberships: each has a folder of its own
  std::string initial_cluster;  ///< "engine-0=http://...,engine-7=http://..."; empty: it is wanted, and not to run yet
  std::string token;            ///< of a new cluster; empty: it enters one that is there
  bool started = false;         ///< it has been in the cluster, so that without its data it must never run again
  bool runs() const { return !initial_cluster.empty(); }
  friend bool operator==(const OwnMember&, const OwnMember&) = default;
};

/// How an engine gets at the coordinator of a system that it joined: the file `joined.json` in its data directory
/// (docs/formats/data-directory.md).
struct JoinedSystem {
  std::vector<std::string> endpoints;
  std::string root;
  bool managed = false;           ///< engines of the system run etcd themselves
  bool moving = false;            ///< the engine's own control state is to be moved there first
  std::uint32_t memberships = 0;  ///< that the engine has had so far
  std::optional<OwnMember> member = std::nullopt;
  /// Memberships that ended as the cluster said, whose data is of no use any more.
  std::vector<std::uint32_t> over = {};
  friend bool operator==(const JoinedSystem&, const JoinedSystem&) = default;
};

std::string encode_joined(const JoinedSystem& joined);
/// kCorrupt for what is none, kNewerFormat. Any bytes are safe.
Result<JoinedSystem> decode_joined(std::string_view text);

/// nullopt: the directory, if it is there at all, has joined nothing. kCorrupt and others name the file.
Result<std::optional<JoinedSystem>> load_joined(const std::string& data_directory);
/// Replaces it as a whole, durably. The directory exists.
Result<> save_joined(const std::string& data_directory, const JoinedSystem& joined);

/// Where a member keeps its data.
std::string member_folder(const std::string& data_directory, const OwnMember& member);
/// A number of which there is no data yet.
std::uint32_t next_membership(const std::string& data_directory, const JoinedSystem& joined);
/// A member that was in a cluster, and whose data is not there.
bool has_lost_data(const std::string& data_directory, const OwnMember& member);

}  // namespace cenote::etcd
