#pragma once

#include <array>
#include <optional>
#include <string>
#include <vector>

#include "cenote/base/uuid.h"
#include "cenote/store/store.h"

namespace cenote::store {

/// What stands in one of the two places of the superblock; without a flaw all of it was verified.
struct SuperblockReport {
  /// kNotFound: nothing that ever was a superblock; kCorrupt; kNewerFormat; an I/O error.
  std::optional<Error> flaw;
  Uuid system;
  Uuid target;
  std::uint64_t sequence = 0;
  std::uint64_t log_first_block = 0;
  std::uint64_t log_bytes = 0;
  std::uint64_t replay_position = 0;  ///< of the log, where recovery begins
  Lsn checkpoint{};
  std::optional<SecretKey::Fingerprint> key;  ///< of an encrypted store: which master key opens it
  bool mixed = false;                         ///< it holds things from before it was encrypted, which are not
};

/// Both places, A and B, of the meta device of a store that may not even open. For inspection: writes nothing.
Task<std::array<SuperblockReport, 2>> read_superblocks(media::BlockDevice& meta);

struct TreeReport {
  TreeId id{};
  std::string name;
};
/// Every tree of an open store, by id.
std::vector<TreeReport> list_trees(const Store& store);

}  // namespace cenote::store
