#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <string_view>

#include "cenote/base/bytes.h"
#include "cenote/store/types.h"

namespace cenote::store {

/// What kind of thing a finding is about. Stable: the names stand in `--json`.
enum class FindingKind : std::uint8_t {
  kSuperblock,  ///< one of the two superblocks
  kStore,       ///< the store as a whole does not open
  kLog,         ///< frames of the log
  kChunk,       ///< page map, bitmap or the table of their chunks
  kPage,        ///< the image of a page cannot be read, or is not what it should be
  kTree,        ///< pages contradict each other, or belong to nobody
  kBlock,       ///< a block is used twice, by someone it is not for, or while it counts as free
  kLostSpace,   ///< a block counts as used and nobody uses it
  kEntry,       ///< a key or value that is none of the layer above, or contradicts another one
  kData,        ///< data that does not match its checksum or cannot be read
};
std::string_view finding_name(FindingKind kind);

enum class Severity : std::uint8_t {
  kWarning,  ///< Nothing that was stored is lost or in danger.
  kDamage,
};

/// Keys of one tree, from `lower` on and below `upper`; no `upper`: to the end.
struct KeyRange {
  Bytes lower;
  std::optional<Bytes> upper;
};

/// One thing that is not as it should be. `message` says it in a sentence; the rest says where, as far as it is known.
struct Finding {
  FindingKind kind = FindingKind::kStore;
  Severity severity = Severity::kDamage;
  std::string message;
  std::string device;
  std::optional<std::uint64_t> block;  ///< first of `blocks`
  std::uint64_t blocks = 0;
  std::optional<std::uint64_t> page;
  std::optional<TreeId> tree;
  std::string tree_name;
  std::optional<KeyRange> lost;  ///< entries that cannot be reached because of it
  bool repaired = false;         ///< it was, and the next checkpoint makes it good
};
using FindingSink = std::function<void(Finding)>;

}  // namespace cenote::store
