#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <vector>

#include "cenote/base/bytes.h"
#include "cenote/base/error.h"
#include "cenote/base/sealer.h"
#include "cenote/base/uuid.h"
#include "geometry.h"

namespace cenote::store {

inline constexpr std::uint16_t kFormatVersion = 1;
/// Of labels: 2 since they say how new they are.
inline constexpr std::uint16_t kLabelVersion = 2;
/// Feature bits this build understands; a superblock with others is treated as docs/formats/store.md says.
inline constexpr std::uint64_t kReadOnlyFeatures = 0;
inline constexpr std::uint64_t kSealedFeature = 1;
/// Chunk table, page map and bitmap lie elsewhere than `format` puts them: the store has grown.
inline constexpr std::uint64_t kMovedMaps = 2;
inline constexpr std::uint64_t kIncompatibleFeatures = kSealedFeature | kMovedMaps;

/// Which of the two slots of a chunk or table block holds its present contents, and their checksum.
struct LiveSlot {
  std::uint8_t state = 0;  ///< 0 never written (all zeroes), 1 slot A, 2 slot B
  std::uint32_t crc = 0;
  friend bool operator==(const LiveSlot&, const LiveSlot&) = default;
};

/// The key of a sealed store as its superblock holds it: sealed under the master key.
struct WrappedKey {
  bool mixed = false;               ///< The store held something before it was sealed: that is not.
  SecretKey::Fingerprint master{};  ///< of the master key
  std::array<std::byte, kEnvelopeBytes> envelope{};
  std::array<std::byte, SecretKey::kBytes> key{};
  friend bool operator==(const WrappedKey&, const WrappedKey&) = default;
};

/// A place in the log between two frames, and all that the next frame must continue.
struct ChainPoint {
  std::uint64_t position = 0;
  std::uint64_t sequence = 1;      ///< of the frame that begins here
  std::uint32_t previous_crc = 0;  ///< of the frame that ends here
  friend bool operator==(const ChainPoint&, const ChainPoint&) = default;
};

/// What a superblock says (docs/formats/store.md): who the store is, where everything lies, and one consistent
/// checkpoint.
struct Superblock {
  std::uint64_t compatible = 0;
  std::uint64_t read_only_compatible = 0;
  std::uint64_t incompatible = 0;
  Uuid system;
  Uuid target;
  std::uint64_t incarnation = 0;
  std::uint64_t sequence = 0;
  Geometry geometry;
  ChainPoint replay_from;
  std::uint32_t records_done = 0;  ///< of the frame at `replay_from`
  Lsn checkpoint{};                ///< of the last batch in the checkpoint
  std::uint64_t generation = 0;
  std::uint64_t generation_start = 0;
  PageId catalog_root{};
  TreeId next_tree{};
  std::optional<WrappedKey> sealing;  ///< there exactly if the incompatible feature is
  std::vector<LiveSlot> table;

  friend bool operator==(const Superblock&, const Superblock&) = default;
};

/// `into` is kSuperblockBytes.
void encode_superblock(const Superblock& superblock, MutableBytes into);
/// kNotFound: no superblock here. kCorrupt: there was one. kNewerFormat: cannot be read by this build.
Result<Superblock> decode_superblock(ByteView from);

/// In two places of a device that is not the meta device.
struct Label {
  Uuid system;
  Uuid target;
  std::uint64_t incarnation = 0;
  std::uint32_t device = 0;
  bool wal = false;
  bool data = false;
  std::uint64_t blocks = 0;
  std::uint64_t sequence = 0;  ///< of the superblock it was written for; 0: version 1, which did not say
  friend bool operator==(const Label&, const Label&) = default;
};

/// `into` is one block.
void encode_label(const Label& label, MutableBytes into);
/// Errors as of decode_superblock.
Result<Label> decode_label(ByteView from);

}  // namespace cenote::store
